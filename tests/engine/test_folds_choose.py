"""Where folds choose: they judge points that the training on all rows has, made of them."""

import pytest
import torch

from engine.standing import PLAN, no_restarts, rung_of, stand, watched
from fettle.engine import climbing
from fettle.strategies import STRATEGIES
from fettle.strategies.keeping import copied

__all__ = ["no_restarts"]


def told(memory):
    """(whether rows are held out, [(is the best, its weights)] by epoch) of each training."""
    trainings = []
    begin, epoch = memory.begin, memory.epoch

    def begun(weights, *, steps, held_out):
        trainings.append((held_out, []))
        begin(weights, steps=steps, held_out=held_out)

    def done(weights, score, *, is_best):
        trainings[-1][1].append((is_best, copied(weights)))
        epoch(weights, score, is_best=is_best)

    memory.begin, memory.epoch = begun, done
    return trainings


def climbed(folder, sides, name="soup"):
    ground, chosen = stand(folder, sides=sides)
    rung = rung_of(name, rate=0.03, head_rate=0.03, epochs=4, kept="retrained")
    strategy = STRATEGIES[name](rung.settings)
    trainings = told(strategy.memory)
    found, _ = watched(climbing.tuned(ground, PLAN, rung, strategy, chosen))
    return found, trainings


def test_the_network_of_all_rows_is_the_mean_of_as_many_of_its_last_epochs_as_folds_took(tmp_path):
    found, trainings = climbed(tmp_path, 2)
    assert [held_out for held_out, _ in trainings] == [False] * 3
    last = trainings[-1][1]
    assert len(last) == found.chosen["epoch"]
    assert all(is_best for is_best, _ in last)
    newest = [weights for _, weights in last[::-1][: found.chosen["ingredients"]]]
    own = found.network.state_dict()
    for name in newest[0]:
        torch.testing.assert_close(own[name], sum(one[name] for one in newest) / len(newest))


@pytest.mark.parametrize("sides", [1, 2])
def test_an_epoch_is_the_best_where_it_does_better_than_all_before(tmp_path, sides):
    found, trainings = climbed(tmp_path, sides)
    judged = trainings[0][1]
    assert trainings[0][0] is (sides == 1)
    ranks = [(one.validation_score, -one.validation_loss) for one in found.history]
    assert [is_best for is_best, _ in judged] == [
        rank > max(ranks[:at], default=(-1.0, 0.0)) for at, rank in enumerate(ranks)]
