from dataclasses import replace

import pytest

from fettle.core.plan import Attention, Machine, Products, Threads
from fettle.doctor import examine, measured

MACHINE = Machine(
    "a processor", 4, 2**34, None, True, 2e11, 5e11,
    products=(Products(64, 384, 384, 1e11, 3e11), Products(2048, 768, 3072, 2e11)),
    threads=2, tried=(Threads(1, 2.5e11), Threads(2, 5e11), Threads(4, 4e11)),
    attention=(Attention("fp32", 32, 0.002, 0.001), Attention("bf16", 32, 0.001, 0.005),
               Attention("bf16", 128, 0.002, 0.006)),
    math_below_bf16=128, optimizer_seconds=0.00054, memory_bytes_per_second=4.5e10,
    disk_write_bytes_per_second=5.25e8,
)  # fmt: skip


def told(machine: Machine) -> dict[str, tuple[str, str]]:
    """What was found and what was chosen, by what was measured."""
    return {what: (found, chosen) for what, found, chosen in measured(machine)}


def test_every_number_stands_in_a_unit_that_can_be_read():
    lines = told(MACHINE)
    assert lines["products of 64 x 384 x 384"][0] == "fp32 100 GFLOP/s, bf16 300 GFLOP/s"
    assert lines["products of 2048 x 768 x 3072"][0] == "fp32 200 GFLOP/s, bf16 not measured"
    assert lines["threads"][0] == "1: 250 GFLOP/s, 2: 500 GFLOP/s, 4: 400 GFLOP/s"
    assert lines["attention, bf16, 128 tokens a row"][0] == "plain 2.0 ms, fused 6.0 ms"
    assert lines["optimizer step, a million parameters"][0] == "0.54 ms"
    assert lines["memory, copying"][0] == "45.00 GB/s"
    assert lines["disk, reading"][0] == "not measured"
    assert lines["disk, writing"][0] == "0.53 GB/s"
    assert not [what for what in lines if what.startswith("GPU")]


def test_every_choice_stands_beside_its_numbers_with_the_reason():
    lines = told(MACHINE)
    assert lines["matrix products at their best"][1] == (
        "bf16: bf16 is 2.5 times as fast as fp32")
    assert lines["threads"][1] == "2 threads: no other number is clearly faster"
    assert lines["attention, fp32, 32 tokens a row"][1].startswith("fused:")
    assert lines["attention, bf16, 32 tokens a row"][1] == ""
    assert lines["attention, bf16, 128 tokens a row"][1].startswith(
        "plain products up to 128 tokens, fused beyond")


def test_choices_turn_with_the_numbers():
    slow = replace(MACHINE, bf16=False, flops_bf16=1e11, threads=1, calm=False)
    lines = told(slow)
    assert lines["matrix products at their best"][1] == (
        "fp32: bf16 is 0.5 times as fast as fp32")
    assert lines["threads"][1] == "1 thread: others were busy, so the figures do not count"


def test_a_gpu_stands_with_its_memory_and_its_products():
    lines = told(replace(MACHINE, gpu="a card", gpu_memory_bytes=2**37, gpu_flops_bf16=4e14))
    assert lines["GPU, 128 GiB"][0] == "fp32 not measured, bf16 400,000 GFLOP/s"


@pytest.mark.parametrize(("is_calm", "said"), [
    (True, "while little else ran"), (False, "it will be measured again when that is over"),
])  # fmt: skip
def test_whether_the_machine_was_calm_is_said(tmp_path, is_calm, said):
    assert said in examine(tmp_path, replace(MACHINE, calm=is_calm))["measured"]
