"""Replay: what is kept is used again to the bit, and anything else is computed anew."""

import dataclasses
import errno
import os
import time

import numpy as np
import pytest
import torch

from fettle.core.progress import Note, finish
from fettle.engine import replay
from fettle.engine.predict import taps_of
from fettle.engine.replay import Kept, States
from fettle.store import arrays, folders
from small import encoder, network, texts

BLOCKS = (2, 3, 4)
MUCH = 1 << 30
ASKED = {"poolings": ("mean", "cls"), "blocks": BLOCKS, "precision": "fp32", "limit": MUCH}


@pytest.fixture
def small(tmp_path):
    return network(tmp_path / "base", num_hidden_layers=4)


@pytest.fixture
def read(small):
    return encoder(small.card)


@pytest.fixture
def items(read):
    return read.encode(texts(30))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def ask(small, read, folder):
    """(Kept, notes, forward passes) of a question for what the frozen blocks give."""
    passes = []
    small.backbone.register_forward_hook(lambda *_: passes.append(1))

    def asked(items, **changes):
        passes.clear()
        work = replay.prefix(small, read, items, folder=folder, **{**ASKED, **changes})
        notes = []
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                return end.value, notes, len(passes)
            if isinstance(event, Note):
                notes.append(event.sentence)

    return asked


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def plain(found: Kept):
    """Every number of it, by name."""
    every = {str(block): states.batch(np.arange(len(states.rows))).float().numpy()
             for block, states in found.states.items()}  # fmt: skip
    return {**found.vectors, **every}


def equal(first, second):
    one, other = plain(first), plain(second)
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


def bytes_of(read, items, width=8):
    """What the states of one block take in fp32."""
    return sum(read.size(item) for item in items) * width * 4


def test_what_is_kept_is_used_again_to_the_bit_without_a_forward_pass(items, ask):
    first, notes, passes = ask(items)
    assert passes > 0
    assert notes == []
    again, notes, passes = ask(items)
    assert (notes, passes) == ([], 0)
    assert equal(first, again)
    assert first.vectors["mean"].shape == (30, 8)
    assert first.states.keys() == again.states.keys() == set(BLOCKS)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_states_are_what_reaches_the_block_row_by_row_and_zero_beyond(
    small, read, items, ask, precision
):
    found, _, _ = ask(items, precision=precision)
    ready = small.in_precision(precision)
    for block, states in found.states.items():
        rows = np.array([7, 0, 21])
        batch = read.collate([items[row] for row in rows])
        with torch.no_grad():
            expected = ready.taps(batch, (f"block {block}",))[f"block {block}"]
        given = states.batch(rows)
        assert given.dtype == expected.dtype
        expected = expected * batch["attention_mask"][..., None]
        assert (batch["attention_mask"] == 0).any()
        close = 1e-6 if precision == "fp32" else 3e-2
        torch.testing.assert_close(given, expected, rtol=close, atol=close)
        assert torch.equal(given == 0, expected == 0)


def test_states_of_some_rows_are_numbered_anew_without_a_copy(items, ask):
    states = ask(items)[0].states[3]
    some = states.of(np.array([20, 3, 11]))
    assert torch.equal(some.batch([1]), states.batch([3]))
    assert torch.equal(some.batch(np.array([0, 2])), states.batch([20, 11]))
    assert torch.equal(some.of(np.array([2])).batch([0]), states.batch([11]))
    assert some.values is states.values


def test_rows_of_a_batch_by_hand():
    values = torch.arange(1.0, 7.0).reshape(6, 1)
    states = States(2, values, np.array([0, 1, 4, 6]), np.arange(3))
    assert states.batch([0, 2]).tolist() == [[[1], [0]], [[5], [6]]]
    assert states.batch([1, 0]).tolist() == [[[2], [3], [4]], [[1], [0], [0]]]


def test_vectors_are_those_of_a_plain_pass_whatever_else_is_kept(small, read, items, ask):
    expected = list(taps_of(small, read, items, names=("mean",), precision="fp32"))
    assert expected[-1].done == 30
    with_states, _, _ = ask(items)
    without, _, _ = ask(items[:], blocks=(), poolings=("mean", "max"))
    assert np.array_equal(with_states.vectors["mean"], without.vectors["mean"])


def test_only_what_is_missing_is_computed(items, ask):
    ask(items, blocks=(3,), poolings=("mean",))
    found, _, passes = ask(items, blocks=(3, 2), poolings=("mean", "cls"))
    assert passes > 0
    assert ask(items, blocks=(2,), poolings=("cls",))[2] == 0
    assert found.states.keys() == {2, 3}
    assert tuple(found.vectors) == ("mean", "cls")
    assert equal(found, ask(items, blocks=(2, 3))[0])


def test_features_alone_need_no_state(small, read, items, ask, folder):
    found = finish(replay.features(
        small, read, items, names=("mean",), precision="fp32", folder=folder))
    assert found["mean"].shape == (30, 8)
    assert [name.partition("-")[2] for name in names(folder)] == ["mean.array", "mean.json"]
    assert ask(items, poolings=("mean",), blocks=())[2] == 0


def test_other_rows_weights_precision_or_code_are_computed_anew(small, items, ask, monkeypatch):
    ask(items)
    assert ask(items[:-1])[2] > 0
    assert ask(items[::-1])[2] > 0
    assert ask([*items[:-1], np.append(items[-1], 4).astype(np.int32)])[2] > 0
    assert ask(items, precision="bf16")[2] > 0
    for change in ({"sha256": "other"}, {"definition": "other"}):
        small.card, card = dataclasses.replace(small.card, **change), small.card
        assert ask(items)[2] > 0
        small.card = card
    assert ask(items)[2] == 0
    for place, name, value in ((replay, "CODE", "other"), (torch, "__version__", "other"),
                               (replay, "BUDGET", 20)):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(place, name, value)
            assert ask(items)[2] > 0, name
    assert ask(items)[2] == 0


def test_where_one_row_ends_and_the_next_begins_is_part_of_the_key(ask):
    first, second = np.array([2, 4], np.int32), np.array([5, 3], np.int32)
    ask([first, second])
    assert ask([np.concatenate([first, second])])[2] > 0
    assert ask([first[:1], np.concatenate([first[1:], second])])[2] > 0


@pytest.mark.parametrize("name", ["mean", "block3"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content[:-7],
        lambda content: b"",
    ],
    ids=["flipped", "torn", "empty"],
)
def test_what_is_not_whole_is_computed_again_aloud(folder, items, ask, name, harm):
    first, _, _ = ask(items)
    (path,) = folder.glob(f"*-{name}.array")
    content = path.read_bytes()
    path.unlink()  # the first answer still reads it
    path.write_bytes(harm(content))
    again, (note,), passes = ask(items)
    assert "computed again" in note
    assert path.name in note
    assert passes > 0
    assert equal(first, again)
    assert ask(items)[1:] == ([], 0)


def test_a_limit_of_nothing_leaves_all_states_out_aloud_and_changes_nothing_else(items, ask):
    whole, _, _ = ask(items)
    found, notes, _ = ask(items[:29], limit=0)
    assert found.states == {}
    assert len(notes) == 3
    assert all("--cache-limit" in note for note in notes)
    assert np.array_equal(found.vectors["mean"], ask(items[:29])[0].vectors["mean"])
    assert whole.states.keys() == set(BLOCKS)


@pytest.mark.parametrize(
    ("times", "blocks"), [(1.0, {4}), (1.99, {4}), (2.0, {4, 3}), (3.0, {4, 3, 2})]
)
def test_inside_a_small_limit_the_highest_blocks_are_kept_and_the_others_said(
    small, read, items, ask, folder, times, blocks
):
    limit = int(times * bytes_of(read, items))
    found, notes, _ = ask(items, limit=limit)
    assert found.states.keys() == blocks
    assert sorted(note.split(":")[0] for note in notes) == [
        f"Without replay from block {block}" for block in sorted(set(BLOCKS) - blocks)
    ]
    held = sum(path.stat().st_size for path in folder.glob("*block*.array"))
    assert held == len(blocks) * bytes_of(read, items) <= limit


def test_a_limit_that_still_holds_does_not_drive_out_what_this_run_uses(read, items, ask, folder):
    limit = int(2.5 * bytes_of(read, items))
    ask(items, limit=limit)
    before = names(folder)
    found, (note,), passes = ask(items, limit=limit)
    assert "block 2" in note
    assert passes == 1  # and no whole pass for what does not fit anyway
    assert found.states.keys() == {4, 3}
    assert [name for name in names(folder) if "block" in name] == [
        name for name in before if "block" in name
    ]


def test_states_of_other_rows_go_first_when_room_is_needed(read, items, ask, folder):
    limit = int(1.5 * bytes_of(read, items))
    ask(items, limit=limit, blocks=(4,))
    (old,) = folder.glob("*-block4.array")
    os.utime(old, (time.time() - 60,) * 2)
    found, notes, _ = ask(items[::-1], limit=limit, blocks=(4,))
    assert notes == []
    assert found.states.keys() == {4}
    assert not old.exists()
    assert len(list(folder.glob("*-block4.array"))) == 1


def no_space(*_):
    raise OSError(errno.ENOSPC, "no space")


def test_a_full_disk_leaves_states_out_aloud(items, ask, folder, monkeypatch):
    whole, _, _ = ask(items)
    for path in folder.iterdir():
        path.unlink()
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    found, notes, _ = ask(items)
    assert found.states == {}
    assert sum("Without replay from block" in note for note in notes) == 3
    assert sum("are not kept for the next run" in note for note in notes) == 2
    assert np.array_equal(found.vectors["mean"], whole.vectors["mean"])
    assert names(folder) == []


def test_a_disk_that_is_nearly_full_is_left_alone(items, ask, monkeypatch):
    monkeypatch.setattr(folders, "free", lambda folder: replay.RESERVE + 100)
    found, notes, _ = ask(items)
    assert found.states == {}
    assert any("are free in" in note for note in notes)


def test_a_disk_that_fills_up_at_the_end_still_gives_this_run_its_states(
    items, ask, folder, monkeypatch
):
    whole, _, _ = ask(items)
    for path in folder.iterdir():
        path.unlink()
    real = arrays.files.write_json

    def write_json(path, value):
        if "block3" in path.name:
            raise arrays.StoreError("Could not write: no space.")
        return real(path, value)

    monkeypatch.setattr(arrays.files, "write_json", write_json)
    found, (note,), _ = ask(items)
    assert "block 3 is not kept for the next run" in note
    assert equal(found, whole)
    monkeypatch.undo()
    again, _, passes = ask(items)
    assert passes > 0
    assert equal(again, whole)


def test_a_pass_that_is_broken_off_leaves_nothing_half_done(small, read, items, folder):
    work = replay.prefix(small, read, items, folder=folder, **ASKED)
    next(work)
    assert any(name.endswith(arrays.PARTIAL) for name in names(folder))
    work.close()
    assert names(folder) == []


def test_leftovers_of_a_killed_pass_are_swept_by_a_later_one(items, ask, folder):
    folder.mkdir()
    old = folder / f".x{arrays.PARTIAL}"
    old.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * arrays.FORGOTTEN_SECONDS,) * 2)
    ask(items)
    assert not old.exists()


def test_two_passes_at_once_do_not_disturb_each_other(small, read, items, ask, folder):
    first = replay.prefix(small, read, items, folder=folder, **ASKED)
    next(first)
    second, _, _ = ask(items)
    assert equal(finish(first), second)
    again, notes, passes = ask(items)
    assert (notes, passes) == ([], 0)
    assert equal(again, second)
