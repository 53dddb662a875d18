"""Views: kept ones are what live ones are, and what judges is never augmented."""

import dataclasses

import numpy as np
import pytest
import torch

from fettle.core.parts import Strategy
from fettle.core.plan import Pictures, Plan, Rung
from fettle.core.progress import Note
from fettle.core.run import Epoch
from fettle.engine import allotting, costs, replay, views
from fettle.engine.costs import Size
from fettle.engine.loop import Lesson, Loop
from fettle.engine.several import Several, sizes_of
from fettle.modalities.image import ImageEncoder
from fettle.models.network import open_network
from fettle.tasks.classification import Classification
from pictures import CLASSES, card, drawn, own_cache

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}
SETTINGS = {"epochs": 4, "batch_rows": 4, "schedule": "constant", "warmup": 0.0, "cycles": 1,
            "weight_decay": 0.0, "clip": 1.0}
ROWS, MUCH = 10, 1 << 30


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(0)
    made = open_network(card(tmp_path / "model", "test_resnet"))
    made.set_head(HEAD)
    return made


def encoder_of(network, **changes):
    return ImageEncoder.fit(network.card, fields=("picture",), pictures=Pictures(32, **changes))


def items(number=ROWS, seed=0):
    return [drawn(CLASSES[at % 3], seed=seed + at, side=36) for at in range(number)]


def targets(number=ROWS):
    return np.arange(number) % 3


def planned(pictures, limit=MUCH):
    return Plan(task="classification", modality="image", model="m", weights="", learning="",
                classes=CLASSES, metric="accuracy", rungs=(), max_tokens=1, precision="fp32",
                threads=1, pictures=pictures, cache_limit=limit)


def finished(work):
    notes = []
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return end.value, notes
        if isinstance(event, Note):
            notes.append(event.sentence)


@pytest.fixture
def kept(network, tmp_path):
    """Of so many views: (plain states, Views, notes, encoder)."""
    def made(pictures=None, limit=MUCH, block=2):
        pictures = pictures or Pictures(32, "light", True, views=3, live=1)
        encoder = ImageEncoder.fit(network.card, fields=("picture",), pictures=pictures)
        plain, _ = finished(replay.prefix(
            network, encoder, items(), poolings=("own",), blocks=(block,), precision="fp32",
            folder=tmp_path / "kept", limit=limit))
        found, notes = finished(views.kept(
            network, encoder, items(), plain, planned(pictures, limit), folder=tmp_path / "kept"))
        return plain, found, notes, encoder
    return made


def test_views_are_made_when_they_are_asked_for_and_are_the_same_each_time(network):
    encoder = encoder_of(network, augment="trivial")
    made = Several(items(), encoder, times=2, seed=5)
    assert len(made) == 20
    assert np.array_equal(made[13], made[13])
    assert not np.array_equal(made[3], made[13])
    assert np.array_equal(made[4:6][1], made[5])
    assert len({one.tobytes() for one in made}) == 20
    assert not np.array_equal(Several(items(), encoder, times=2, seed=6)[3], made[3])
    assert sizes_of(encoder, made) == [encoder.size(item) for item in items()] * 2
    with pytest.raises(IndexError):
        made[20]


def test_what_is_kept_of_a_view_is_what_the_frozen_blocks_make_of_it(network, kept):
    _, found, notes, encoder = kept()
    assert (notes, found.times, found.live) == ([], 3, 1)
    made = Several(items(), encoder, times=3, seed=0)
    for epoch in range(4):
        states = found.at(epoch)[2]
        for row in (0, 4, 9):
            view = (epoch + row) % 3
            batch = encoder.collate([made[view * ROWS + row]])
            with torch.inference_mode():
                expected = network.taps(batch, ("block 2",))["block 2"]
            torch.testing.assert_close(states.batch([row]), expected, rtol=1e-4, atol=1e-4)


def test_each_epoch_takes_another_view_and_all_come_equally_often(kept):
    _, found, _, _ = kept()
    seen = [found.at(epoch)[2].batch([7]) for epoch in range(6)]
    assert torch.equal(seen[0], seen[3])
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_views_of_some_rows_are_numbered_anew(kept):
    _, found, _, _ = kept()
    rows = np.array([8, 1, 5])
    some = found.of(rows)
    for epoch in range(3):
        numbers = (epoch + np.arange(3)) % 3 * ROWS + rows
        whole = found.states[2]
        assert torch.equal(some.at(epoch)[2].batch([0, 1, 2]), whole.batch(numbers))


def test_what_is_kept_is_used_again_and_another_seed_or_recipe_is_not(network, kept, tmp_path):
    kept()
    before = sorted(path.name for path in (tmp_path / "kept").glob("*.array"))
    kept()
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.array")) == before
    kept(Pictures(32, "trivial", True, views=3))
    assert len(list((tmp_path / "kept").glob("*.array"))) == len(before) + 1


def test_views_count_against_the_limit_and_never_push_out_the_rows_themselves(kept):
    plain, found, _, _ = kept()
    once = plain.states[2].values.nbytes
    assert found.states[2].values.nbytes == 3 * once
    plain, found, (note,), _ = kept(Pictures(32, "light", views=3, erasing=0.1), limit=3 * once)
    assert found.states == {}
    assert note.startswith("Of 3 views of each row: Without replay from block 2")
    assert "--cache-limit" in note
    assert plain.states.keys() == {2}


def lesson(found=None, plain=None, number=ROWS, seed=0):
    return Lesson(items(number, seed), targets(number), [str(at) for at in range(number)],
                  dict(plain.states) if plain else {}, found or views.Views())


def loop(network, encoder, *, rates=(0.0, 0.0, 0.01, 0.01), **settings):
    lowest = len(rates) - 2
    return Loop(network, encoder, Classification(CLASSES),
                strategy=Strategy(lambda blocks, epoch: tuple(
                    0.0 if block < lowest else 0.01 for block in range(blocks))),
                settings={**SETTINGS, **settings}, precision="fp32", seed=0)


class Spy(ImageEncoder):
    """Writes down what is shown to training."""

    def views(self, item, rng):
        self.settings.setdefault("seen", []).append(item.tobytes())
        return super().views(item, rng)


@pytest.mark.parametrize("mixes", [{}, {"mixup": 0.4}])
def test_rows_that_validate_are_never_augmented_or_mixed(network, mixes):
    spy = Spy(encoder_of(network, augment="trivial", erasing=0.5, **mixes).settings)
    held = lesson(number=6, seed=100)
    outputs = []

    def score(said, _):
        outputs.append(said)
        return 0.0

    still = loop(network, spy, epochs=2)
    still.strategy = dataclasses.replace(
        still.strategy, rates=lambda blocks, epoch: (1e-20,) * blocks)
    list(still.fit(lesson(), held, score))
    assert set(spy.settings["seen"]) == {item.tobytes() for item in items()}
    with torch.inference_mode():
        expected = network.eval()(encoder_of(network).collate(held.items)).numpy()
    for said in outputs:
        np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-4)


def test_the_last_epochs_run_the_frozen_blocks_on_views_made_anew(network, kept):
    plain, found, _, encoder = kept()
    spy = Spy(encoder.settings)
    shown = []
    for event in loop(network, spy).fit(lesson(found, plain), None, lambda *_: 0.0):
        if isinstance(event, Epoch):
            shown.append(len(spy.settings.get("seen", [])))
    assert shown == [0, 0, 0, ROWS]


def test_training_on_kept_views_is_training_on_those_views(network, kept):
    """One epoch from what was kept, against one that runs the frozen blocks on the same views."""
    import copy

    plain, found, _, encoder = kept()
    made = Several(items(), encoder, times=3, seed=0)
    first = [made[row % 3 * ROWS + row] for row in range(ROWS)]
    one, other = copy.deepcopy(network), copy.deepcopy(network)
    list(loop(one, encoder, epochs=1).fit(
        lesson(dataclasses.replace(found, live=0), plain), None, lambda *_: 0.0))
    still = encoder_of(network)
    list(loop(other, still, epochs=1).fit(
        dataclasses.replace(lesson(), items=first), None, lambda *_: 0.0))
    moved = 0.0
    for (name, value), same, before in zip(
        one.named_parameters(), other.parameters(), network.parameters(), strict=True
    ):
        torch.testing.assert_close(value, same, rtol=1e-3, atol=1e-4, msg=name)
        moved += float((value - before).abs().sum().detach())
    assert moved > 0


# How many are kept.

SIZE = Size(1000, 36.0, 3, 1)
TOP = (Rung("top", {"epochs": 6, "batch_rows": 32}),
       Strategy(lambda blocks, epoch: (0.0,) * (blocks - 2) + (1.0, 1.0)))
FULL = (Rung("full", {"epochs": 6, "batch_rows": 32}),
        Strategy(lambda blocks, epoch: (1.0,) * blocks))


def allotted(network, views, *, rungs=(TOP, FULL), limit=MUCH):
    return allotting.allotted(Pictures(32, "trivial", views=views), rungs, SIZE, network.card,
                              limit=limit)


def test_as_many_views_as_are_wished_for_where_they_fit(network):
    found, (why,) = allotted(network, 4)
    assert (found.views, found.live) == (4, 1)
    assert "4 views" in why
    assert "the last 1 of 6 epochs" in why
    assert allotted(network, 0) == (Pictures(32, "trivial"), ())


def test_fewer_where_the_limit_says_so_and_none_aloud(network):
    block = len(network.card.operations) - 1
    once = costs.state_bytes(network.card, SIZE, block)
    found, (why,) = allotted(network, 4, limit=int(3 * once))
    assert found.views == 2
    assert "not 4" in why
    found, (why,) = allotted(network, 4, limit=int(once))
    assert found.views == 0
    assert "--cache-limit" in why


def test_where_nothing_is_saved_frozen_blocks_run_in_each_epoch(network):
    found, (why,) = allotted(network, 6)
    assert (found.views, found.live) == (0, 6)
    assert "saves no pass" in why
    found, (why,) = allotted(network, 4, rungs=(FULL,))
    assert (found.views, found.live) == (0, 0)
    assert "No frozen blocks are replayed" in why


def test_views_and_live_epochs_are_paid_for_in_the_prediction(network):
    rung, strategy = TOP
    def seconds(**changes):
        return costs.predicted(rung, strategy, dataclasses.replace(SIZE, **changes), network.card,
                               peak=1e6, cache_limit=MUCH).seconds

    plain, one, four = seconds(), seconds(views=1), seconds(views=4)
    assert four - plain == pytest.approx(4 * (one - plain), rel=0.05)
    assert seconds(live=6) > seconds(live=1) > plain
