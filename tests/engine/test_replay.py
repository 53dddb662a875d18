import dataclasses

import numpy as np
import pytest
import torch

from fettle.core.progress import Note
from fettle.engine import replay
from fettle.engine.predict import taps_of
from small import encoder, network, texts

ASKED = {"names": ("mean", "cls"), "precision": "fp32"}


@pytest.fixture
def small(tmp_path):
    return network(tmp_path / "base")


@pytest.fixture
def items(small):
    return encoder(small.card).encode(texts(30))


@pytest.fixture
def ask(small, tmp_path):
    """(vectors, notes, forward passes) of a question for features."""
    passes = []
    small.backbone.register_forward_hook(lambda *_: passes.append(1))

    def asked(items, **changes):
        passes.clear()
        work = replay.features(
            small, encoder(small.card), items, folder=tmp_path / "kept", **{**ASKED, **changes}
        )
        notes = []
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                return end.value, notes, len(passes)
            if isinstance(event, Note):
                notes.append(event.sentence)

    return asked


def equal(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[n], second[n]) for n in first)


def test_kept_features_are_used_again_without_a_forward_pass(small, items, ask):
    first, notes, passes = ask(items)
    assert passes > 0
    assert notes == []
    expected = list(taps_of(small, encoder(small.card), items, **ASKED))
    assert expected[-1].done == 30
    again, notes, passes = ask(items)
    assert (notes, passes) == ([], 0)
    assert equal(first, again)
    assert first["mean"].shape == (30, 8)


@pytest.mark.parametrize("change", [{"names": ("mean",)}, {"names": ("cls", "mean")},
                                    {"precision": "bf16"}], ids=str)  # fmt: skip
def test_another_question_is_computed_anew(items, ask, change):
    ask(items)
    found, _, _ = ask(items, **change)
    assert tuple(found) == change.get("names", ASKED["names"])
    if "precision" in change:
        assert not equal(found, ask(items)[0])
    else:
        assert ask(items, **change)[2] == 0


def test_other_rows_weights_or_code_are_computed_anew(small, items, ask, monkeypatch):
    ask(items)
    assert ask(items[:-1])[2] > 0
    assert ask(items[::-1])[2] > 0
    assert ask([*items[:-1], np.append(items[-1], 4).astype(np.int32)])[2] > 0
    small.card, card = dataclasses.replace(small.card, sha256="other"), small.card
    assert ask(items)[2] > 0
    small.card = card
    assert ask(items)[2] == 0
    monkeypatch.setattr(replay, "CODE", "other")
    assert ask(items)[2] > 0
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "other")
    assert ask(items)[2] > 0


def test_where_one_row_ends_and_the_next_begins_is_part_of_the_key(ask):
    first, second = np.array([2, 4], np.int32), np.array([5, 3], np.int32)
    ask([first, second])
    assert ask([np.concatenate([first, second])])[2] > 0
    assert ask([first[:1], np.concatenate([first[1:], second])])[2] > 0


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:-7],
        lambda content: b"",
    ],
    ids=["flipped", "torn", "empty"],
)
def test_kept_features_that_are_not_whole_are_computed_again_aloud(tmp_path, items, ask, harm):
    first, _, _ = ask(items)
    (path,) = (tmp_path / "kept").glob("*-mean.array")
    path.write_bytes(harm(path.read_bytes()))
    again, (note,), passes = ask(items)
    assert "computed again" in note
    assert passes > 0
    assert equal(first, again)
    assert ask(items)[1:] == ([], 0)
