import pytest

from fettle.core.errors import CorruptFile
from fettle.store import blobs, files


def test_a_blob_lies_under_its_own_hash_and_once(tmp_path):
    for name in ("a", "b"):
        files.write_text(tmp_path / name, "same")
    first, second = (blobs.put(tmp_path / "root", tmp_path / name) for name in ("a", "b"))
    assert first == second == files.sha256(tmp_path / "a")
    assert blobs.path_of(tmp_path / "root", first).read_text() == "same"
    assert len([p for p in (tmp_path / "root").rglob("*") if p.is_file()]) == 1


def test_a_blob_that_was_altered_is_put_right_by_the_next_put(tmp_path):
    source = files.write_text(tmp_path / "a", "right")
    digest = blobs.put(tmp_path, source)
    blobs.path_of(tmp_path, digest).write_text("wrong")
    with pytest.raises(CorruptFile):
        files.require_hash(blobs.path_of(tmp_path, digest), digest)
    blobs.put(tmp_path, source)
    assert blobs.path_of(tmp_path, digest).read_text() == "right"
