"""WiSE-FT, EMA and soup: what they keep of a training, and the network that they make of it."""

import numpy as np
import pytest
import torch

from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.strategies.keeping import copied, put
from strategies.stepping import small

NAME = "head.linear.bias"


@pytest.fixture
def network(tmp_path):
    return small(tmp_path)


def made(name, **settings):
    return STRATEGIES[name]({**DEFAULTS[name], **settings})


def weights(network, number):
    """All of the network's weights, every one this number."""
    with torch.no_grad():
        for value in network.parameters():
            value.fill_(number)
    return {name: value.detach() for name, value in network.named_parameters()}


def value_of(network):
    found = {float(value) for one in network.parameters() for value in one.detach().flatten()}
    (number,) = found
    return number


def peak(at):
    """A score that is best where every weight is this number."""
    return lambda network: -abs(float(network.head.linear.bias[0].detach()) - at)


# WiSE-FT.


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_every_weight_is_so_far_on_the_way_from_start_to_end(network, alpha):
    strategy = made("wise")
    strategy.memory.begin(weights(network, 2.0), steps=9)
    weights(network, 7.0)
    found = strategy.finish(network, peak(2.0 + alpha * 5.0))
    assert value_of(found) == pytest.approx(2.0 + alpha * 5.0)
    assert strategy.memory.chosen == {"alpha": alpha}
    assert [one["alpha"] for one in strategy.memory.trials] == [n / 10 for n in range(11)]


def test_of_points_that_do_equally_well_the_one_nearest_to_the_start_is_taken(network):
    strategy = made("wise")
    strategy.memory.begin(weights(network, 0.0), steps=9)
    weights(network, 1.0)
    strategy.finish(network, lambda one: float(one.head.linear.bias[0].detach() > 0.35))
    assert strategy.memory.chosen == {"alpha": 0.4}


def test_the_end_itself_is_kept_bit_by_bit(network):
    strategy = made("wise")
    strategy.memory.begin(copied(weights(network, 0.1)), steps=9)
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.normal_()
    before = copied(dict(network.named_parameters()))
    found = strategy.finish(network, lambda one: float((one.head.linear.bias - before[NAME])
                                                       .square().sum() == 0))
    assert all(torch.equal(value, before[name]) for name, value in found.named_parameters())


def test_where_nothing_is_judged_alpha_is_the_median_of_the_folds(network):
    strategy = made("wise")
    for at in (2.0, 8.0, 5.0):
        strategy.memory.begin(weights(network, 0.0), steps=9)
        weights(network, 10.0)
        strategy.finish(network, peak(at))
    strategy.memory.begin(weights(network, 0.0), steps=9)
    weights(network, 10.0)
    assert value_of(strategy.finish(network, None)) == pytest.approx(5.0)


# EMA.


def test_the_average_keeps_its_decay_of_itself_and_warms_up(network):
    strategy = made("ema", window=0.1)
    strategy.memory.begin(weights(network, 0.0), steps=40)  # decay 1 - 1 / 4
    expected = 0.0
    for step in range(1, 31):
        strategy.memory.step(weights(network, float(step)))
        kept = min(0.75, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step
    assert (1 + 1) / (10 + 1) < 0.75 < (1 + 30) / (10 + 30)  # both arms were taken
    found = strategy.finish(network, peak(expected))
    assert value_of(found) == pytest.approx(expected, rel=1e-5)
    assert strategy.memory.chosen == {"weights": "average"}


def test_the_best_epoch_stays_where_it_does_better_than_the_average(network):
    strategy = made("ema")
    strategy.memory.begin(weights(network, 0.0), steps=40)
    strategy.memory.step(weights(network, 1.0))
    weights(network, 5.0)
    assert value_of(strategy.finish(network, peak(5.0))) == 5.0
    assert strategy.memory.chosen == {"weights": "best epoch"}
    weights(network, 5.0)
    assert value_of(strategy.finish(network, lambda one: 1.0)) < 1  # as good: the average
    weights(network, 5.0)
    assert value_of(strategy.finish(network, None)) < 1  # one fold each


def test_an_average_goes_on_from_a_checkpoint_to_the_same_bits(network):
    first, second = made("ema"), made("ema")
    first.memory.begin(weights(network, 0.3), steps=20)
    second.memory.begin(weights(network, 0.3), steps=20)
    for step in range(6):
        first.memory.step(weights(network, 0.1 * step))
        if step == 2:
            second.memory.restore(copied(first.memory.state()))
    for step in range(3, 6):
        second.memory.step(weights(network, 0.1 * step))
    one, other = first.memory.state(), second.memory.state()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def averaged(memory, network, *epochs):
    """Epochs of so many steps, all at one number, and whether each is the best so far."""
    kept, expected, step = [], 0.0, 0
    for number, steps, is_best in epochs:
        for _ in range(steps):
            step += 1
            memory.step(weights(network, number))
            share = min(0.75, (1 + step) / (10 + step))
            expected = share * expected + (1 - share) * number
        memory.epoch(weights(network, number), 0.5, is_best=is_best)
        kept.append(expected)
    return kept


def test_where_folds_judge_it_is_the_average_at_the_best_epoch_not_one_that_ran_on(network):
    strategy = made("ema", window=0.1)
    strategy.memory.begin(weights(network, 0.0), steps=40, held_out=False)
    first, second, third = averaged(
        strategy.memory, network, (4.0, 5, True), (8.0, 5, True), (1.0, 10, False))
    weights(network, 100.0)
    found = strategy.finish(network, peak(second))
    assert value_of(found) == pytest.approx(second, rel=1e-5)
    assert len({round(one, 3) for one in (first, second, third)}) == 3
    strategy.memory.begin(weights(network, 0.0), steps=40, held_out=False)
    (last,) = averaged(strategy.memory, network, (6.0, 7, True))  # on all rows: its last epoch
    assert value_of(strategy.finish(network, None)) == pytest.approx(last, rel=1e-5)
    assert strategy.memory.copies(held_out=False) == 2


def test_where_rows_are_held_out_it_is_the_average_at_the_end(network):
    strategy = made("ema", window=0.1)
    strategy.memory.begin(weights(network, 0.0), steps=40, held_out=True)
    *_, last = averaged(strategy.memory, network, (4.0, 5, True), (1.0, 10, False))
    assert value_of(strategy.finish(network, peak(last))) == pytest.approx(last, rel=1e-5)
    assert not [name for name in strategy.memory.state() if "best" in name]


def test_the_average_at_the_best_epoch_goes_on_from_a_checkpoint(network):
    first, second = made("ema"), made("ema")
    for one in (first, second):
        one.memory.begin(weights(network, 0.0), steps=40, held_out=False)
    (best,) = averaged(first.memory, network, (4.0, 5, True))
    second.memory.restore(copied(first.memory.state()))
    second.memory.step(weights(network, 9.0))
    assert value_of(second.finish(network, peak(best))) == pytest.approx(best, rel=1e-5)


# Soup.


def cooked(network, epochs, validate, **settings):
    strategy = made("soup", **settings)
    strategy.memory.begin(weights(network, 0.0), steps=9)
    for number, score in epochs:
        strategy.memory.epoch(weights(network, number), score)
    return strategy, value_of(strategy.finish(network, validate))


def test_the_best_epochs_join_one_by_one_where_the_mean_gets_no_worse(network):
    epochs = [(1.0, 0.5), (8.0, 0.9), (2.0, 0.7), (4.0, 0.8)]
    # by score 8, 4, 2: 8 alone; the mean 6 is nearer to 5.5; with 2 it is 14/3, which is farther
    strategy, found = cooked(network, epochs, peak(5.5))
    assert found == pytest.approx(6.0)
    assert strategy.memory.chosen == {"ingredients": 2}
    _, found = cooked(network, epochs, peak(8.0))
    assert found == 8.0  # nobody joins
    _, found = cooked(network, epochs, lambda one: 1.0)
    assert found == pytest.approx(14 / 3)  # all three: none does harm


def test_one_that_does_harm_is_left_out_and_the_next_may_join(network):
    epochs = [(4.0, 0.9), (0.0, 0.8), (6.0, 0.7)]
    _, found = cooked(network, epochs, peak(5.0))
    assert found == pytest.approx(5.0)  # 4 and 6, without 0


def test_no_more_epochs_are_kept_than_asked_and_they_are_the_best(network):
    epochs = [(1.0, 0.1), (2.0, 0.9), (3.0, 0.2), (4.0, 0.8)]
    strategy, found = cooked(network, epochs, lambda one: 1.0, ingredients=2)
    assert found == pytest.approx(3.0)
    assert strategy.memory.copies(held_out=True) == 2
    assert len([name for name in strategy.memory.state() if name.endswith(NAME)]) == 2


def test_where_nothing_is_judged_the_newest_epochs_are_averaged(network):
    strategy, _ = cooked(network, [(8.0, 0.9), (4.0, 0.8), (2.0, 0.7)], peak(5.5))  # two
    strategy.memory.begin(weights(network, 0.0), steps=9)
    for number in (1.0, 2.0, 3.0, 10.0):
        strategy.memory.epoch(weights(network, number), None)
    assert value_of(strategy.finish(network, None)) == pytest.approx(6.5)


def test_a_pot_goes_on_from_a_checkpoint(network):
    first, second = made("soup"), made("soup")
    for number, score in ((1.0, 0.5), (8.0, 0.9)):
        first.memory.epoch(weights(network, number), score)
    second.memory.restore(copied(first.memory.state()))
    for strategy in (first, second):
        strategy.memory.epoch(weights(network, 4.0), 0.8)
    assert value_of(second.finish(network, peak(5.5))) == pytest.approx(6.0)


def folded(network, epochs, validate, **settings):
    """The soup of a fold: of (number, whether it is the best so far) by epoch."""
    strategy = made("soup", **settings)
    strategy.memory.begin(weights(network, 0.0), steps=9, held_out=False)
    for number, is_best in epochs:
        strategy.memory.epoch(weights(network, number), 0.5, is_best=is_best)
    return strategy, value_of(strategy.finish(network, validate))


def test_where_folds_judge_the_best_epoch_and_those_right_before_it_are_tried(network):
    epochs = [(9.0, True), (4.0, False), (8.0, True), (2.0, False), (6.0, False)]
    strategy, found = folded(network, epochs, lambda one: 1.0)
    assert found == pytest.approx((8 + 4 + 9) / 3)
    assert strategy.memory.chosen == {"ingredients": 3}
    strategy, found = folded(network, epochs, peak(6.0))
    assert found == pytest.approx(6.0)  # 8 and 4: with 9 it is 7, which is farther
    assert strategy.memory.chosen == {"ingredients": 2}
    assert strategy.memory.copies(held_out=False) == 5


def test_where_folds_judge_nothing_joins_behind_one_that_does_harm(network):
    epochs = [(4.0, True), (0.0, False), (6.0, True)]
    strategy, found = folded(network, epochs, peak(5.0))
    assert found == 6.0  # 4 would help, but a training on all rows cannot leave an epoch out
    assert strategy.memory.chosen == {"ingredients": 1}


def test_the_training_on_all_rows_takes_the_point_that_folds_judged(network):
    strategy, _ = folded(network, [(9.0, True), (4.0, False), (8.0, True), (2.0, False)], peak(6.0))
    strategy.memory.begin(weights(network, 0.0), steps=9, held_out=False)
    for number in (1.0, 2.0, 3.0, 10.0):
        strategy.memory.epoch(weights(network, number), None, is_best=True)
    assert value_of(strategy.finish(network, None)) == pytest.approx(6.5)  # 10 and 3


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_the_pot_of_a_fold_goes_on_from_a_checkpoint_and_keeps_each_epoch_once(network, at):
    epochs = [(9.0, True), (4.0, False), (8.0, True), (2.0, False), (6.0, True)]
    first, second = made("soup"), made("soup")
    for one in (first, second):
        one.memory.begin(weights(network, 0.0), steps=9, held_out=False)
    for number, is_best in epochs[:at]:
        first.memory.epoch(weights(network, number), 0.5, is_best=is_best)
    state = copied(first.memory.state())
    held = [float(value[0]) for name, value in state.items() if name.endswith(NAME)]
    assert len(held) == len(set(held)) <= first.memory.copies(held_out=False)
    second.memory.restore(state)
    for one in (first, second):
        for number, is_best in epochs[at:]:
            one.memory.epoch(weights(network, number), 0.5, is_best=is_best)
    found = [value_of(one.finish(network, lambda _: 1.0)) for one in (first, second)]
    assert found == [pytest.approx(16 / 3)] * 2


def test_what_is_put_into_a_network_is_in_it(network):
    torch.manual_seed(3)
    given = {NAME: torch.randn(2)}
    found = put(network, given)
    np.testing.assert_array_equal(found.head.linear.bias.detach().numpy(), given[NAME].numpy())
