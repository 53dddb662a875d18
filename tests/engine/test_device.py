import os

import pytest
import torch

from fettle.engine.device import autocast, cores, peak_bytes, seeded, set_threads


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


def test_the_peak_is_in_bytes_and_never_falls():
    before = peak_bytes()
    assert before > 50 * 2**20  # torch alone takes that
    held = torch.ones(64 * 2**20 // 4 + before // 4)
    assert peak_bytes() >= before + 32 * 2**20
    del held
    assert peak_bytes() >= before + 32 * 2**20
