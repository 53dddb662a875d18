import os
import subprocess
import sys

import pytest
import torch

from fettle.engine.device import (
    UNLIMITED,
    autocast,
    cores,
    quota,
    seeded,
    set_threads,
    whole_cores,
)  # fmt: skip


def drawn(*numbers):
    with seeded(*numbers):
        return torch.rand(4).tolist()


def test_what_is_drawn_follows_from_the_numbers_alone():
    torch.rand(3)
    first = drawn(5, 7)
    torch.rand(3)
    assert drawn(5, 7) == first
    assert len({tuple(drawn(*numbers)) for numbers in ((5, 7), (7, 5), (5,), (5, 7, 0), (0, 0),
                                                       (0,), (0, 1), (1, 0))}) == 8  # fmt: skip


def test_what_is_drawn_outside_does_not_notice():
    torch.manual_seed(3)
    expected = torch.rand(2), torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(2)
    drawn(1)
    with pytest.raises(ZeroDivisionError), seeded(1):
        torch.rand(1 // 0)
    assert torch.equal(first, expected[0])
    assert torch.equal(torch.rand(2), expected[1])


def test_products_are_in_bf16_only_where_asked():
    square = torch.eye(2)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(precision):
            assert (square @ square).dtype == dtype
    assert (square @ square).dtype == torch.float32


def test_threads_are_as_many_as_asked():
    before = torch.get_num_threads()
    set_threads(2)
    assert torch.get_num_threads() == 2
    set_threads(before)
    assert torch.get_num_threads() == before


def test_cores_are_those_that_this_process_may_use():
    assert 1 <= cores() <= os.cpu_count()


def test_two_threads_of_one_core_are_one_core(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 9}, raising=False)
    assert whole_cores(tmp_path) == 0  # nothing is said
    for number, siblings in ((0, "0,4"), (1, "1,5"), (4, "0,4"), (7, "7")):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert whole_cores(tmp_path) == 2


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, "/", 1.5),
        ({"cpu.max": "max 100000\n"}, "/", UNLIMITED),
        ({"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, "/a/b", 4.0),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "/", 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "/", UNLIMITED),
        ({"other/cpu.max": "100000 100000\n"}, "/a/b", UNLIMITED),
        ({}, "/", UNLIMITED),
    ],
)  # fmt: skip
def test_a_container_grants_so_many_cores(tmp_path, files, own, expected):
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert quota(tmp_path / "groups", own) == expected


def test_half_a_core_is_one_core_to_work_with(monkeypatch):
    monkeypatch.setattr("fettle.engine.device.quota", lambda *_: 0.5)
    assert cores() == 1


def test_the_peak_is_in_bytes_and_never_falls():
    code = """
import torch
from fettle.engine.device import peak_bytes
before = peak_bytes()
held = torch.ones(256 * 2**20 // 4)
during = peak_bytes()
del held
print(before, during, peak_bytes())
"""  # a process of its own: in this one, other tests may have had their peak
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, during, afterwards = map(int, done.stdout.split())
    assert 50 * 2**20 < before < 2**40  # torch alone takes that
    assert during > before + 128 * 2**20  # an import may have needed some before
    assert afterwards > during - 2**20  # the system counts pages roughly
