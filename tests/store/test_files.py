import os
import subprocess
import sys

import pytest

from fettle.core.errors import CorruptFile, MissingFile, StoreError
from fettle.store import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def half_and_then(error):
    def make(path):
        path.write_text("half of the ne")
        raise error

    return make


def test_a_file_is_whole_and_nothing_lies_beside_it(tmp_path):
    path = files.write_text(tmp_path / "new" / "a.txt", "größe\n")
    assert path.read_bytes() == "größe\n".encode()
    assert names(tmp_path / "new") == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_old_content_and_nothing_else(tmp_path, error):
    path = files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises((StoreError, KeyboardInterrupt)):
        files.write_with(path, half_and_then(error))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "write",
    [
        "files.write_bytes(path, b'x' * 5000)",
        "files.copy_file(source, path)",
        "files.append_line(path, 'x' * 5000)",
        "checkpoints.write_tensors(path, {'x': torch.zeros(5000)})",
    ],
)
def test_a_full_disk_is_a_store_error_that_says_what_to_do(tmp_path, write):
    (tmp_path / "source").write_bytes(b"x" * 5000)
    (tmp_path / "a").write_text("old")
    needs = "import safetensors.torch, torch" if "torch" in write else ""
    code = f"""
import resource
from pathlib import Path
from fettle.core.errors import StoreError
from fettle.store import checkpoints, files
{needs}
path, source = Path("a"), Path("source")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    {write}
except StoreError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "Could not write a: File too large." in done.stdout, done.stderr
    assert "Make room" in done.stdout
    assert (tmp_path / "a").read_text().startswith("old")
    assert names(tmp_path) == ["a", "source"]
    if "append" not in write:
        assert (tmp_path / "a").read_text() == "old"


def test_a_file_is_changed_by_giving_its_name_to_another_and_not_byte_by_byte(tmp_path):
    path = files.write_text(tmp_path / "a", "old")
    os.link(path, tmp_path / "as it was")
    files.write_text(path, "new")
    assert (tmp_path / "as it was").read_text() == "old"


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Could not write .*file/a.txt"):
        files.write_text(tmp_path / "file" / "a.txt", "new")


def test_a_copy_has_the_same_bytes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)))
    assert files.copy_file(tmp_path / "a", tmp_path / "b").read_bytes() == bytes(range(256))


def test_lines_are_added_at_the_end_one_break_each(tmp_path):
    for line in ("one", "two\n", "drei: größe"):
        files.append_line(tmp_path / "new" / "log", line)
    assert (tmp_path / "new" / "log").read_text(encoding="utf-8") == "one\ntwo\ndrei: größe\n"


def test_a_torn_last_line_does_not_swallow_the_next(tmp_path):
    log = tmp_path / "log"
    log.write_text('{"a": 1}\n{"a": 2, "b')
    files.append_line(log, '{"a": 3}')
    assert log.read_text() == '{"a": 1}\n{"a": 2, "b\n{"a": 3}\n'
    found, (sentence,) = files.read_lines(log)
    assert found == [{"a": 1}, {"a": 3}]
    assert sentence == f"Line 2 of {log} is not whole and is passed over."


def test_a_last_line_that_lacks_only_its_break_is_kept(tmp_path):
    (tmp_path / "log").write_text('{"a": 1}')
    files.append_line(tmp_path / "log", '{"a": 2}')
    assert files.read_lines(tmp_path / "log") == ([{"a": 1}, {"a": 2}], ())


@pytest.mark.parametrize(
    "torn", [b'{"a": "gr\xc3', b"\0\0\0", b'{"a"', b'"a"', b"12", b"{}}"], ids=repr
)
def test_a_line_that_is_no_object_is_passed_over_aloud(tmp_path, torn):
    (tmp_path / "log").write_bytes(b'{"a": 1}\n' + torn + b'\n\n{"a": 2}\n')
    found, (sentence,) = files.read_lines(tmp_path / "log")
    assert found == [{"a": 1}, {"a": 2}]
    assert "Line 2 of" in sentence


def test_a_log_that_is_not_there_has_no_lines(tmp_path):
    assert files.read_lines(tmp_path / "log") == ([], ())
    with pytest.raises(StoreError, match="Could not read"):
        files.read_lines(tmp_path)


def test_what_is_missing_or_cannot_be_read_is_named(tmp_path):
    for read in (files.read_json, files.sha256):
        for missing in (tmp_path / "a.json", tmp_path / "file" / "a.json"):
            with pytest.raises(MissingFile, match=r"a\.json is missing"):
                read(missing)
            (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=r"Could not read .*: Is a directory") as said:
            read(tmp_path)
        assert not isinstance(said.value, CorruptFile)
    with pytest.raises(MissingFile, match=r"a\.json is missing, so it cannot be copied"):
        files.copy_file(tmp_path / "a.json", tmp_path / "b.json")


def test_chunks_are_one_file_whose_hash_is_that_of_what_was_handed_over(tmp_path):
    chunks = (b"a", memoryview(b"bc"), b"")
    digest = files.write_chunks(tmp_path / "a", iter(chunks), needed_bytes=3)
    assert digest.startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")  # FIPS 180-4, of abc
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_a_file_is_removed_once_and_for_all(tmp_path):
    path = files.write_text(tmp_path / "a", "text")
    for _ in range(2):
        files.remove_file(path)
        assert not path.exists()
    with pytest.raises(StoreError, match="Is a directory"):
        files.remove_file(tmp_path)


def test_json_comes_back_as_it_was(tmp_path):
    value = {"text": "größe \u2028 \0", "numbers": [1, 0.1, 1e-300, None, True]}
    assert files.read_json(files.write_json(tmp_path / "a.json", value)) == value


@pytest.mark.parametrize("content", [b'{"a": 1', b"\xff\xfe", b""])
def test_what_is_not_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(CorruptFile, match=r"a\.json is not readable"):
        files.read_json(tmp_path / "a.json")


def test_the_hash_is_the_published_one_of_abc(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-4, the first example
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_one_flipped_bit_is_found_and_a_missing_file_too(tmp_path):
    path = files.write_bytes(tmp_path / "a", bytes(1000))
    expected = files.sha256(path)
    assert files.require_hash(path, expected) == path

    altered = bytearray(1000)
    altered[999] ^= 1
    path.write_bytes(altered)
    with pytest.raises(CorruptFile, match="not the file that was written"):
        files.require_hash(path, expected)
    path.unlink()
    with pytest.raises(CorruptFile, match="is missing"):
        files.require_hash(path, expected)


def test_of_a_log_only_the_whole_lines_that_are_wanted_stay(tmp_path):
    log = tmp_path / "log"
    files.keep_lines(log, lambda line: False)
    assert not log.exists()
    log.write_text('{"a": 1.10}\n{"a": 2}\n{"a": 3}\n')
    before = log.stat().st_ino
    files.keep_lines(log, lambda line: True)
    assert log.stat().st_ino == before, "written again for nothing"
    files.keep_lines(log, lambda line: line["a"] != 2)
    assert log.read_text() == '{"a": 1.10}\n{"a": 3}\n'
    log.write_text('{"a": 1}\n{"a":')
    files.keep_lines(log, lambda line: True)
    assert log.read_text() == '{"a": 1}\n'
