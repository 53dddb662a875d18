"""Unpacking: plain files come out of a zip; one that leads out, lies or explodes leaves none."""

import stat
import struct
import zipfile

import pytest

from fettle.core.errors import InputError
from fettle.store.unpacking import unpacked
from pictures import own_cache

__all__ = ["own_cache"]


def packed(path, members, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(path, own_cache):
    with pytest.raises(InputError) as raised:
        unpacked(path)
    kept = own_cache / "fettle" / "unpacked"
    assert not kept.exists() or not any(kept.iterdir()), "something was left behind"
    return str(raised.value)


def test_plain_files_come_out_and_are_found_again(tmp_path):
    path = packed(tmp_path / "a.zip", [("cat/1.txt", b"one"), ("dog/", b""), ("dog/2.txt", b"two")])
    folder = unpacked(path)
    assert (folder / "cat" / "1.txt").read_bytes() == b"one"
    assert (folder / "dog" / "2.txt").read_bytes() == b"two"
    assert unpacked(path) == folder


@pytest.mark.parametrize("name", [
    "../out.txt", "a/../../out.txt", "/etc/out.txt", "C:/out.txt", "C:out.txt", "a\\..\\out.txt",
    "./a.txt", "a//b.txt", "/".join("abcdefghijklmnop") + "/deep.txt", "x" * 300,
])  # fmt: skip
def test_a_name_that_leads_out_is_refused(tmp_path, own_cache, name):
    path = packed(tmp_path / "a.zip", [("good.txt", b"good"), (name, b"bad")])
    assert "Nothing of it was unpacked" in refused(path, own_cache)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, own_cache, kind):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (kind | 0o777) << 16
    path = packed(tmp_path / "a.zip", [("good.txt", b"good"), (entry, b"/etc/passwd")])
    assert "link or a device" in refused(path, own_cache)


def test_a_name_twice_is_refused_in_any_case_of_letters(tmp_path, own_cache):
    path = packed(tmp_path / "a.zip", [("A.txt", b"1"), ("a.txt", b"2")])
    assert "twice" in refused(path, own_cache)


def test_a_member_that_explodes_is_refused(tmp_path, own_cache):
    path = packed(tmp_path / "a.zip", [("bomb.txt", bytes(50_000_000))])
    assert "times its size" in refused(path, own_cache)


def test_a_member_larger_than_it_says_is_refused(tmp_path, own_cache):
    path = packed(tmp_path / "a.zip", [("a.txt", b"x" * 5_000)])
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)  # the size that the directory tells
    path.write_bytes(bytes(content))
    refused(path, own_cache)


def test_what_is_no_zip_or_is_damaged_is_refused(tmp_path, own_cache):
    path = tmp_path / "a.zip"
    path.write_bytes(b"no zip at all")
    assert "cannot be unpacked" in refused(path, own_cache)
    content = bytearray(packed(path, [("a.txt", bytes(range(256)) * 40)]).read_bytes())
    for at in range(40, 70):  # within what is packed: each makes another error of the library
        content[at] ^= 0xFF
        path.write_bytes(bytes(content))
        refused(path, own_cache)
        content[at] ^= 0xFF
