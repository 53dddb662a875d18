import json

import pytest
import torch

from fettle.core.errors import CorruptFile
from fettle.store import checkpoints


def save(folder, number):
    checkpoints.save(folder, number, {"w": torch.full((3,), float(number))}, {"epoch": number})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


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
        lambda folder: (folder / "000000000002.safetensors").unlink(),
        lambda folder: (folder / "000000000002.json").write_text('{"number": 2,'),
        lambda folder: (folder / "000000000002.json").write_text("[]"),
        lambda folder: (folder / "000000000002.json").write_text(
            (folder / "000000000002.json").read_text().replace('"epoch": 2', '"epoch": 3')
        ),
    ],
    ids=["flipped", "torn", "gone", "torn manifest", "other manifest", "altered facts"],
)
def test_a_newest_that_is_not_whole_is_passed_over_aloud_for_the_one_before(tmp_path, harm):
    save(tmp_path, 1)
    save(tmp_path, 2)
    harm(tmp_path)
    found, (sentence,) = checkpoints.latest(tmp_path)
    assert (found.number, found.facts) == (1, {"epoch": 1})
    assert "Checkpoint 000000000002 is not whole" in sentence


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
        assert names(tmp_path)[:2] == ["000000000001.json", "000000000001.safetensors"]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 3)
    assert checkpoints.latest(tmp_path)[0].number == 2
    save(tmp_path, 3)
    assert names(tmp_path) == [
        f"{number:012d}.{kind}" for number in (2, 3) for kind in ("json", "safetensors")
    ]


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
