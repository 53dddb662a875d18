import pytest

from fettle.engine.schedules import warmup_cosine


def test_ten_steps_of_which_two_warm_up_by_hand():
    shares = [warmup_cosine(step, steps=10, warmup=0.2) for step in range(10)]
    assert shares[:2] == [0.5, 1.0]
    assert shares[2] == 1.0  # cos(0)
    assert shares[6] == pytest.approx(0.5)  # half of the eight that fall
    assert shares[8] == pytest.approx(0.1464466)  # (1 + cos(3/4 pi)) / 2
    assert shares[2:] == sorted(shares[2:], reverse=True)
    assert shares[9] > 0


def test_no_step_is_wasted_on_a_rate_of_zero_and_none_is_above_one():
    for steps in (1, 2, 3, 7, 100):
        for warmup in (0.0, 0.1, 0.5, 1.0):
            shares = [warmup_cosine(step, steps=steps, warmup=warmup) for step in range(steps)]
            assert all(0 < share <= 1 for share in shares), (steps, warmup)
            assert max(shares) == 1.0


def test_after_the_end_it_stays_at_zero():
    assert warmup_cosine(10, steps=10, warmup=0.2) == pytest.approx(0)
    assert warmup_cosine(99, steps=10, warmup=0.2) == pytest.approx(0)
