import pytest

from fettle.core.errors import CorruptFile, MissingFile
from fettle.store import files, seals


@pytest.fixture
def sealed(tmp_path):
    folder = tmp_path / "full"
    for name in ("model", "sub/größe.json"):
        files.write_text(folder / name, f"{name} of the rung")
    seals.seal(folder)
    return folder


def test_a_sealed_folder_is_finished(sealed):
    assert seals.is_sealed(sealed)
    seals.require_sealed(sealed)
    files.write_text(sealed / "notes", "what is added later is nobody's")
    seals.require_sealed(sealed)


def test_a_folder_that_was_not_sealed_is_not_finished(tmp_path):
    (tmp_path / "full").mkdir()
    assert not seals.is_sealed(tmp_path / "full")
    with pytest.raises(MissingFile):
        seals.require_sealed(tmp_path / "full")


@pytest.mark.parametrize("name", ["full/model", "full/sub/größe.json", "full.sealed.json"])
def test_no_byte_can_change_and_no_file_be_missing_unseen(sealed, name):
    path = sealed.parent / name
    whole = path.read_bytes()
    for at in range(len(whole.rstrip(b"\n"))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CorruptFile):
            seals.require_sealed(sealed)
        path.write_bytes(whole[:at])
        with pytest.raises(CorruptFile):
            seals.require_sealed(sealed)
    path.unlink()
    with pytest.raises(MissingFile, match=path.name):
        seals.require_sealed(sealed)


def test_what_is_finished_again_is_sealed_again(sealed):
    files.write_text(sealed / "model", "another")
    with pytest.raises(CorruptFile, match="model is not the file that was written"):
        seals.require_sealed(sealed)
    seals.seal(sealed)
    seals.require_sealed(sealed)
