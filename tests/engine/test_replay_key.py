"""The key of what is kept: it holds all that the kept numbers hang on, and nothing else."""

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from fettle.core.parts import Card
from fettle.core.plan import Pictures, Plan
from fettle.core.progress import finish
from fettle.engine import batches, device, replay, views
from fettle.modalities.image import ImageEncoder
from fettle.models import arithmetic
from fettle.models.network import open_network
from pictures import CLASSES, card, drawn, own_cache
from small import encoder, network, texts

__all__ = ["own_cache"]

ROWS = [np.array([2, 4, 5], np.int32), np.array([6, 3], np.int32)]


@pytest.fixture
def small(tmp_path):
    return network(tmp_path / "base")


def key(network, items=ROWS, precision="fp32", named=""):
    return replay._key(network, items, precision, named)


def test_the_same_question_has_the_same_key_and_each_part_of_it_another(small):
    asked = [key(small), key(small, ROWS[::-1]), key(small, ROWS[:1]), key(small, ROWS * 2),
             key(small, [one.astype(np.int64) for one in ROWS]),
             key(small, [one[None] for one in ROWS]), key(small, [np.concatenate(ROWS)]),
             key(small, precision="bf16"), key(small, named="views"), key(small, named="others")]
    assert key(small) == key(small, [one.copy() for one in ROWS])
    assert len(set(asked)) == len(asked)


def test_the_network_is_part_of_the_key(small):
    before = key(small)
    for change in ({"sha256": "other"}, {"definition": "other"}):
        small.card, known = dataclasses.replace(small.card, **change), small.card
        assert key(small) != before
        small.card = known
    assert key(small) == before


@pytest.mark.parametrize(("place", "name", "value"), [
    (replay, "CODE", "other"), (replay, "BUDGET", 20), (torch, "__version__", "other"),
    (device, "processor", lambda: "another"),
    (torch.backends.cpu, "get_cpu_capability", lambda: "less"),
    (torch, "get_num_threads", lambda: 77),
])  # fmt: skip
def test_code_batches_and_machine_are_part_of_the_key(small, monkeypatch, place, name, value):
    before = key(small)
    monkeypatch.setattr(place, name, value)
    assert key(small) != before


def test_the_most_rows_of_a_batch_are_part_of_the_key(small, monkeypatch):
    before = key(small)
    monkeypatch.setitem(batches.by_length.__kwdefaults__, "most", 7)
    assert key(small) != before


def test_another_depth_is_another_network(tmp_path):
    from fettle.models.cutting import cut

    whole = network(tmp_path / "base")
    short = open_network(cut(whole.card, 1))
    assert key(short) != key(whole)


def test_what_training_alone_does_changes_neither_key_nor_numbers(small, tmp_path):
    read = encoder(small.card)
    items = read.encode(texts(20))

    def features(folder):
        return finish(replay.prefix(small, read, items, poolings=("mean",), blocks=(),
                                    precision="fp32", folder=tmp_path / folder, limit=0))

    before = features("before")
    small.attend_plainly(below=0)
    small.set_dropout(0.9)
    after = features("after")
    assert after.key == before.key
    assert np.array_equal(after.vectors["mean"], before.vectors["mean"])


@pytest.fixture
def of_pictures(tmp_path):
    torch.manual_seed(0)
    return open_network(card(tmp_path / "model", "test_resnet"))


def shown(network, folder, **changes):
    """What is kept of some pictures that are shown in this way."""
    told = Pictures(32, **changes)
    network.run_on(told)
    read = ImageEncoder.fit(network.card, fields=("picture",), pictures=told)
    items = [drawn(CLASSES[at % 3], seed=at, side=36) for at in range(9)]
    return finish(replay.prefix(network, read, items, poolings=("own",), blocks=(2,),
                                precision="fp32", folder=folder, limit=1 << 30))


def test_pictures_that_lie_otherwise_in_memory_are_kept_apart(of_pictures, tmp_path):
    last = shown(of_pictures, tmp_path / "kept", layout="channels last")
    first = shown(of_pictures, tmp_path / "kept", layout="channels first")
    assert first.key != last.key
    alone = shown(of_pictures, tmp_path / "alone", layout="channels first")
    assert alone.key == first.key
    assert np.array_equal(alone.vectors["own"], first.vectors["own"])
    assert torch.equal(alone.states[2].values, first.states[2].values)


def test_norms_that_are_folded_in_training_alone_change_neither_key_nor_numbers(
    of_pictures, tmp_path
):
    plain = shown(of_pictures, tmp_path / "plain")
    folded = shown(of_pictures, tmp_path / "folded", folded=True)
    assert folded.key == plain.key
    assert np.array_equal(folded.vectors["own"], plain.vectors["own"])


def test_another_version_of_the_library_that_holds_the_networks_code_is_part_of_the_key(
    of_pictures, small, monkeypatch
):
    before, own = key(of_pictures), key(small)
    asked = []
    monkeypatch.setattr(arithmetic, "version", lambda name: asked.append(name) or "99")
    assert key(of_pictures) != before
    assert asked == ["timm"]
    assert key(small) == own  # our own BERT: CODE speaks for it


OF_A_USERS_OWN = Card(**{**dict.fromkeys(Card.__dataclass_fields__, 0), "source": "module"})
WRITTEN = """
from torch import nn
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(2, 2)
    def forward(self, x):
        return self.map(x)
"""


def test_other_code_of_a_users_own_network_is_part_of_the_key(tmp_path, monkeypatch):
    place = tmp_path / "written_for_a_key.py"
    place.write_text(WRITTEN)
    monkeypatch.syspath_prepend(tmp_path)
    model = importlib.import_module("written_for_a_key").Own()
    before = arithmetic.code_of(OF_A_USERS_OWN, model)
    assert arithmetic.code_of(OF_A_USERS_OWN, type(model)()) == before
    place.write_text(WRITTEN.replace("self.map(x)", "-self.map(x)"))
    assert arithmetic.code_of(OF_A_USERS_OWN, model) != before


def test_a_class_without_a_file_to_read_is_known_by_its_name():
    typed = type("Typed", (torch.nn.Module,), {"__module__": "somewhere"})
    other = type("Other", (torch.nn.Module,), {"__module__": "somewhere"})
    codes = {arithmetic.code_of(OF_A_USERS_OWN, kind()) for kind in (typed, other)}
    assert len(codes) == 2


def test_views_are_kept_by_how_they_are_drawn_and_by_the_seed(of_pictures, tmp_path, monkeypatch):
    asked = []

    def prefix(*_, named, **__):
        asked.append(named)
        yield from ()
        return replay.Kept({}, {})

    monkeypatch.setattr(views, "prefix", prefix)
    items = [drawn("disc", seed=at, side=36) for at in range(3)]
    plain = replay.Kept({}, {2: None}, "key")

    def named(seed=0, key="key", **changes):
        told = Pictures(32, **{"augment": "light", "views": 2, **changes})
        read = ImageEncoder.fit(of_pictures.card, fields=("picture",), pictures=told)
        plan = Plan(task="classification", modality="image", model="m", weights="", learning="",
                    classes=CLASSES, metric="accuracy", rungs=(), max_tokens=1, precision="fp32",
                    threads=1, pictures=told, seed=seed)
        finish(views.kept(of_pictures, read, items, dataclasses.replace(plain, key=key), plan,
                          folder=tmp_path))
        return asked[-1]

    ways = [named(), named(seed=1), named(key="of other rows"), named(flip=True), named(views=3),
            named(erasing=0.5), named(augment="trivial")]
    assert len(set(ways)) == len(ways)
    assert named() == ways[0]
    real = ImageEncoder.views
    monkeypatch.setattr(ImageEncoder, "views", lambda self, item, rng: 255 - real(self, item, rng))
    assert named() != ways[0]  # another version of who draws them


WHAT_MATTERS = {
    "model": "sha256 and definition", "weights": "sha256", "definition": "definition",
    "learning": "items", "reading": "items", "max_tokens": "items", "precision": "precision",
    "threads": "kernels", "keep_blocks": "definition", "modality": "definition",
    "pictures": "items, and the layout by arithmetic", "rungs": "which arrays are asked for",
}
WHAT_DOES_NOT = {
    "task", "classes", "unit", "metric", "texts", "math_below", "seed", "seeds", "asked",
    "budget_seconds", "cache_limit", "name", "predicted", "reasons",
}
"""Of a plan: `texts` are changed where frozen blocks run live, `seed` is that of views."""


def test_of_each_part_of_a_plan_it_is_known_whether_what_is_kept_hangs_on_it():
    assert {*WHAT_MATTERS} | WHAT_DOES_NOT == {*Plan.__dataclass_fields__}
