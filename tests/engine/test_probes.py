import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from fettle.core.errors import StoreError
from fettle.engine import probes

from .probing import small


@pytest.fixture(autouse=True)
def quick():
    with small():
        yield


def clocked(monkeypatch, *costs):
    """Ways that take these seconds, by a clock of their own; each cost is a list, try by try."""
    now = [0.0]
    monkeypatch.setattr(probes, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    order = []

    def way(number, left):
        def once():
            order.append(number)
            now[0] += left.pop(0)
        return once

    return [way(number, list(left)) for number, left in enumerate(costs)], order


def test_the_best_try_of_each_way_counts_and_the_ways_take_turns(monkeypatch):
    ways, order = clocked(monkeypatch, [9.0, 2.0], [5.0, 7.0])
    assert probes.fastest(*ways) == (2.0, 5.0)
    assert order == [0, 1, 0, 1]


def test_a_probe_goes_on_until_its_seconds_are_over(monkeypatch):
    monkeypatch.setattr(probes, "SECONDS", 3.5)
    ways, order = clocked(monkeypatch, [1.0] * 9)
    assert probes.fastest(*ways) == (1.0,)
    assert len(order) == 4


def test_a_product_is_a_multiplication_and_an_addition_for_each_cell_and_step():
    assert probes.operations((2, 3, 4)) == 2 * 2 * 3 * 4


def test_products_are_measured_at_every_shape():
    measured = probes.products()
    shapes = [(one.tokens, one.width, one.inner) for one in measured]
    assert shapes == [probes.TRIAL, *probes.SHAPES]
    assert all(0 < one.fp32 < 1e16 for one in measured)
    assert 0 < measured[0].bf16 < 1e16


def faked(monkeypatch, fp32, bf16):
    """Products at these rates; what was asked for is noted down."""
    asked = []

    def rates(shape, *types):
        asked.append((shape, len(types)))
        return (fp32, bf16)[: len(types)]

    monkeypatch.setattr(probes, "product_rates", rates)
    return asked


def test_bf16_that_is_emulated_is_tried_once_and_not_again(monkeypatch):
    asked = faked(monkeypatch, 1e9, 0.4e9)
    assert [one.bf16 for one in probes.products()] == [0.4e9, None, None, None]
    assert [types for _, types in asked] == [2, 1, 1, 1]


def test_bf16_that_is_in_the_race_is_tried_to_the_end(monkeypatch):
    faked(monkeypatch, 1e9, 0.6e9)
    assert [one.bf16 for one in probes.products()] == [0.6e9] * 4


def test_a_shape_that_would_take_too_long_is_left_out(monkeypatch):
    asked = faked(monkeypatch, 1e5, 1e5)
    monkeypatch.setattr(probes, "SHAPES", ((8, 16, 16), (80, 160, 160)))
    assert len(probes.products()) == 2
    assert [shape for shape, _ in asked] == [probes.TRIAL, (8, 16, 16)]


def test_every_number_of_threads_is_tried_and_its_rate_is_the_harmonic_mean(monkeypatch):
    rates = iter([1e9, 3e9, 2e9, 6e9])
    monkeypatch.setattr(probes, "product_rates", lambda *_: (next(rates),))
    one, two = probes.threads((1, 2), probes.SHAPES[:2], torch.float32)
    assert (one.threads, one.flops) == (1, pytest.approx(1.5e9))
    assert (two.threads, two.flops) == (2, pytest.approx(3e9))
    assert torch.get_num_threads() == 2


def test_the_processor_time_that_was_given_is_a_share_of_what_was_asked(monkeypatch):
    now = SimpleNamespace(wall=0.0, given=0.0)

    def once():  # four threads ask for four seconds a second, and get three
        now.wall += 0.01
        now.given += 0.03

    clock = SimpleNamespace(perf_counter=lambda: now.wall, process_time=lambda: now.given)
    monkeypatch.setattr(probes, "SECONDS", 0.1)
    monkeypatch.setattr(probes, "time", clock)
    monkeypatch.setattr(probes, "_product", lambda *_: once)
    assert probes.attended(4) == pytest.approx(0.75)
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("bf16", 2e-2)])
@pytest.mark.parametrize("tokens", [16, 128])
def test_both_ways_of_attention_compute_the_same(precision, most, tokens):
    plain = probes._attention(precision, tokens, fused=False)()
    fused = probes._attention(precision, tokens, fused=True)()
    for one, other in zip(plain, fused, strict=True):
        assert one.shape == (max(64 // tokens, 1), tokens, probes.HEADS * probes.HEAD_WIDTH)
        assert one.abs().max() > 0
        torch.testing.assert_close(one.float(), other.float(), atol=most, rtol=most)


def test_attention_is_timed_in_both_ways():
    timed = probes.attention("bf16", 32)
    assert (timed.precision, timed.tokens) == ("bf16", 32)
    assert timed.plain_seconds > 1e-7
    assert timed.fused_seconds > 1e-7


def test_optimizer_and_memory_have_a_rate():
    assert probes.optimizer_step() > 1e-7
    assert 0 < probes.copied() < 1e13


def test_the_disk_has_its_rates_and_nothing_is_left_on_it(tmp_path):
    read, written = probes.disk_rates(tmp_path)
    assert 0 < written < 1e12
    assert 0 <= read < 1e12
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_may_not_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        probes.disk_rates(tmp_path / "file")


def test_without_a_gpu_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert probes.gpu() is None


@pytest.mark.parametrize("is_full", [False, True])
def test_a_gpu_has_a_name_and_rates_where_there_is_room_for_them(monkeypatch, is_full):
    def rates(*_, device):
        assert device == "cuda"
        if is_full:
            raise torch.cuda.OutOfMemoryError
        return 1e12, 4e12

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties",
                        lambda _: SimpleNamespace(name="a card", total_memory=2**34))
    monkeypatch.setattr(probes, "product_rates", rates)
    expected = (0.0, 0.0) if is_full else (1e12, 4e12)
    assert probes.gpu() == probes.Gpu("a card", 2**34, *expected)


def test_no_probe_draws_a_random_number():
    before = torch.get_rng_state()
    probes.products()
    probes.attention("fp32", 32)
    probes.optimizer_step()
    assert torch.equal(torch.get_rng_state(), before)


def test_no_probe_imports_a_compiler_or_an_algebra_system():
    code = """
import sys, torch
from fettle.engine import probes
probes.SECONDS = 0.0
before = set(sys.modules)
for precision in ("fp32", "bf16"):
    probes.attention(precision, 32)
probes.optimizer_step()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*(loaded & {"sympy", "triton", "mpmath"}), *({"torch._dynamo"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
