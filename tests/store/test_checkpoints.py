import json
import os
import subprocess
import sys

import pytest
import safetensors
import safetensors.torch
import torch

from fettle.core.errors import CorruptFile, StoreError
from fettle.store import checkpoints, files


def save(folder, number):
    checkpoints.save(folder, number, {"w": torch.full((3,), float(number))}, {"epoch": number})


def files_of(*numbers):
    return [f"{number:012d}.{kind}" for number in numbers for kind in ("json", "safetensors")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def append(path, content):
    with path.open("ab") as stream:
        stream.write(content)


def test_tensors_come_back_to_the_bit(tmp_path):
    tensors = {
        "a": torch.randn(3, 4).T,
        "b": torch.tensor(7),
        "c": torch.tensor([0.1], dtype=torch.bfloat16),
        "d": torch.zeros(0),
    }
    found = checkpoints.read_tensors(checkpoints.write_tensors(tmp_path / "t", tensors))
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert all(found[name].dtype == tensors[name].dtype for name in tensors)


def test_the_newest_is_found_with_its_facts(tmp_path):
    for number in (1, 2, 10):
        save(tmp_path, number)
    found, passed_over = checkpoints.latest(tmp_path)
    assert (found.number, found.facts, passed_over) == (10, {"epoch": 10}, ())
    assert torch.equal(found.tensors["w"], torch.full((3,), 10.0))


def test_nothing_there_is_no_checkpoint(tmp_path):
    assert checkpoints.latest(tmp_path / "gone") == (None, ())


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: flip(folder / "000000000002.safetensors"),
        lambda folder: (folder / "000000000002.safetensors").write_bytes(
            (folder / "000000000002.safetensors").read_bytes()[:-4]
        ),
        lambda folder: append(folder / "000000000002.safetensors", b"\0"),
        lambda folder: (folder / "000000000002.safetensors").write_bytes(b""),
        lambda folder: safetensors.torch.save_file(
            {"w": torch.full((3, 1), 2.0)}, folder / "000000000002.safetensors"
        ),
        lambda folder: os.replace(
            folder / "000000000001.safetensors", folder / "000000000002.safetensors"
        ),
        lambda folder: (folder / "000000000002.safetensors").unlink(),
        lambda folder: (folder / "000000000002.json").write_text(""),
        lambda folder: (folder / "000000000002.json").write_text('{"number": 2,'),
        lambda folder: (folder / "000000000002.json").write_text("[]"),
        lambda folder: (folder / "000000000002.json").write_text(
            (folder / "000000000002.json").read_text().replace('"epoch": 2', '"epoch": 3')
        ),
    ],
    ids=["flipped", "torn", "appended", "empty", "other shape", "other tensors", "gone",
         "empty manifest", "torn manifest", "other manifest", "altered facts"],
)
def test_a_newest_that_is_not_whole_is_passed_over_aloud_for_the_one_before(tmp_path, harm):
    for number in (1, 2):
        save(tmp_path, number)
    kept = files.copy_file(tmp_path / "000000000001.safetensors", tmp_path / "kept")
    harm(tmp_path)
    os.replace(kept, tmp_path / "000000000001.safetensors")
    found, (sentence,) = checkpoints.latest(tmp_path)
    assert (found.number, found.facts) == (1, {"epoch": 1})
    assert torch.equal(found.tensors["w"], torch.full((3,), 1.0))
    assert "Checkpoint 000000000002 is not whole" in sentence
    assert f"{tmp_path / '000000000002'}" in sentence


@pytest.mark.parametrize("name", ["000000000002.safetensors", "000000000002.json"])
def test_no_byte_of_a_checkpoint_can_change_or_be_missing_unseen(tmp_path, name):
    for number in (1, 2):
        save(tmp_path, number)
    whole = (tmp_path / name).read_bytes()
    for at in range(len(whole.rstrip(b"\n"))):  # the last break says nothing
        flip(tmp_path / name, at)
        assert checkpoints.latest(tmp_path)[0].number == 1, f"byte {at} flipped"
        (tmp_path / name).write_bytes(whole[:at])
        assert checkpoints.latest(tmp_path)[0].number == 1, f"cut at byte {at}"
        (tmp_path / name).write_bytes(whole)
    assert checkpoints.latest(tmp_path)[0].number == 2


def test_a_checkpoint_under_the_name_of_another_is_passed_over(tmp_path):
    save(tmp_path, 1)
    for suffix in ("json", "safetensors"):
        files.copy_file(tmp_path / f"000000000001.{suffix}", tmp_path / f"000000000007.{suffix}")
    found, (sentence,) = checkpoints.latest(tmp_path)
    assert found.number == 1
    assert "under another name" in sentence


def test_when_none_is_whole_each_is_named(tmp_path):
    for number in (1, 2):
        save(tmp_path, number)
        flip(tmp_path / f"{number:012d}.safetensors")
    found, (newest, before) = checkpoints.latest(tmp_path)
    assert found is None
    assert "Checkpoint 000000000002" in newest
    assert "Checkpoint 000000000001" in before


def test_a_checkpoint_that_the_disk_gives_back_with_other_bytes_is_a_store_error(
    tmp_path, monkeypatch
):
    for number in (1, 2):
        save(tmp_path, number)
    real = os.replace

    for suffix in (".safetensors", ".json"):
        def rots(source, target, suffix=suffix):
            real(source, target)
            if str(target).endswith(suffix):
                flip(target, at=-3)

        monkeypatch.setattr(os, "replace", rots)
        with pytest.raises(StoreError, match="did not give back what was written"):
            save(tmp_path, 3)
        assert names(tmp_path)[:4] == files_of(1, 2)
        assert checkpoints.latest(tmp_path)[0].number == 2


def test_numbers_may_jump_and_outgrow_their_twelve_digits(tmp_path):
    for number in (40, 10**12 - 1, 10**12):
        checkpoints.save(tmp_path, number, {"w": torch.zeros(1)}, {})
    found, _ = checkpoints.latest(tmp_path)
    assert found.number == 10**12
    assert names(tmp_path) == files_of(10**12, 10**12 - 1)


def test_tensors_that_never_got_a_manifest_go_with_the_next_save(tmp_path):
    save(tmp_path, 1)
    files.write_bytes(tmp_path / "000000000002.safetensors", b"of a killed save")
    files.write_bytes(tmp_path / "notes.json", b"{}")
    save(tmp_path, 3)
    assert names(tmp_path) == [*files_of(1, 3), "notes.json"]


@pytest.mark.parametrize(
    "facts", [{"losses": (0.1, float("nan"))}, {"at": {9: "a", 10: "b"}}, {"text": "größe \u2028"}]
)
def test_facts_come_back_as_json_has_them(tmp_path, facts):
    checkpoints.save(tmp_path, 1, {}, facts)
    found, passed_over = checkpoints.latest(tmp_path)
    assert passed_over == ()
    assert json.dumps(found.facts) == json.dumps(facts)


def test_weights_that_are_not_finite_are_refused_by_name_where_that_is_asked(tmp_path):
    save(tmp_path, 1)
    tensors = {
        "best.w": torch.tensor([1.0, float("nan"), float("inf")]),
        "optimizer.w": torch.tensor([float("inf")], dtype=torch.bfloat16),
        "step": torch.tensor(3),
    }
    checkpoints.save(tmp_path, 2, tensors, {})
    assert checkpoints.latest(tmp_path)[0].number == 2
    found, (sentence,) = checkpoints.latest(tmp_path, finite=("best.", "model."))
    assert found.number == 1
    assert "2 of 3 numbers of 'best.w' in" in sentence

    path = tmp_path / "000000000002.safetensors"
    assert checkpoints.read_tensors(path).keys() == tensors.keys()
    with pytest.raises(CorruptFile, match=r"1 of 1 numbers of 'optimizer.w' in .* not finite"):
        checkpoints.read_tensors(path, finite=("optimizer.",))
    with pytest.raises(CorruptFile, match="not finite"):
        checkpoints.read_tensors(path, finite=("",))


@pytest.mark.parametrize("kind", sorted(checkpoints.TYPES))
def test_every_type_is_written_as_safetensors_itself_reads_it(tmp_path, kind):
    dtype = getattr(torch, kind.removeprefix("torch."))
    values = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    path = checkpoints.write_tensors(tmp_path / "t", {"größe": values, "one": values[0, 0]})
    found = safetensors.torch.load_file(path)
    assert found["größe"].dtype == dtype
    assert found["größe"].shape == (2, 3)
    assert torch.equal(found["größe"].view(torch.uint8), values.view(torch.uint8))
    assert found["one"].shape == ()
    with safetensors.safe_open(path, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}
    checkpoints.read_tensors(path, finite=("",))


def test_tensors_that_share_memory_are_both_written(tmp_path):
    tied = torch.arange(6.0)
    tensors = {"a": tied, "b": tied, "c": tied[2:4]}
    found = checkpoints.read_tensors(checkpoints.write_tensors(tmp_path / "t", tensors))
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_the_same_tensors_in_another_order_are_the_same_bytes(tmp_path):
    tensors = {"a": torch.ones(2), "b": torch.zeros(3, dtype=torch.int8), "c": torch.ones(1)}
    one = checkpoints.write_tensors(tmp_path / "1", tensors)
    two = checkpoints.write_tensors(tmp_path / "2", dict(reversed(tensors.items())))
    assert one.read_bytes() == two.read_bytes()


def test_no_second_copy_of_the_tensors_is_made_while_they_are_written(tmp_path):
    code = """
import resource, torch
from pathlib import Path
from fettle.store import checkpoints

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

tensors = {str(number): torch.ones(10 * 1024, 1024).T for number in range(4)}  # 40 MB each
checkpoints.write_tensors(Path("warm"), {"0": torch.ones(3)})
before = peak()
checkpoints.save(Path("as they lie"), 1, {name: value.T for name, value in tensors.items()}, {})
between = peak()
checkpoints.save(Path("one after the other"), 1, tensors, {})
print(between - before, peak() - between)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    none, one_at_a_time = map(float, done.stdout.split())
    assert none < 10
    assert one_at_a_time < 60


def test_weights_without_a_manifest_are_as_if_they_were_not_there(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / "000000000002.json").unlink()  # killed between the two files
    found, _ = checkpoints.latest(tmp_path)
    assert found.number == 1


def test_older_ones_go_only_after_the_newer_is_whole(tmp_path, monkeypatch):
    for number in (1, 2):
        save(tmp_path, number)

    def killed(*_):
        assert names(tmp_path)[:2] == files_of(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 3)
    assert checkpoints.latest(tmp_path)[0].number == 2
    save(tmp_path, 3)
    assert names(tmp_path) == files_of(2, 3)


def test_what_is_saved_after_broken_ones_is_not_what_is_removed(tmp_path):
    for number in (4, 5):
        save(tmp_path, number)
        flip(tmp_path / f"{number:012d}.safetensors")
    for number in (1, 2):  # begun again, as none was whole
        save(tmp_path, number)
        found, passed_over = checkpoints.latest(tmp_path)
        assert (found.number, passed_over) == (number, ())


def test_a_number_that_is_saved_again_is_the_new_one(tmp_path):
    save(tmp_path, 1)
    checkpoints.save(tmp_path, 1, {"w": torch.zeros(1)}, {"again": True})
    found, _ = checkpoints.latest(tmp_path)
    assert found.facts == {"again": True}
    assert json.loads((tmp_path / "000000000001.json").read_text())["number"] == 1


def test_a_broken_tensor_file_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    for name in ("a", "gone"):
        with pytest.raises(CorruptFile, match=name):
            checkpoints.read_tensors(tmp_path / f"{name}.safetensors")
