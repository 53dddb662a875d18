from pathlib import Path

import pytest

from fettle.store import mounts

LINUX = r"""/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/fast xfs rw 0 0
//box/share /mnt/a\040b cifs rw 0 0
overlay /over overlay rw 0 0
server:/x /over nfs rw 0 0
"""
MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//ann@box/share (1) on /Volumes/share (1) (smbfs, nodev, nosuid, mounted by ann)
server:/x on /Volumes/x (nfs, nodev)
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [("/srv/r", None), ("/home/ann/r", "nfs4"), ("/home/fast/r", None), ("/homes", None),
     ("/mnt/a b/r", "cifs"), ("/over/r", "nfs")],
)  # fmt: skip
def test_the_innermost_mount_on_linux_decides(place, kind):
    assert mounts.shared_kind(Path(place), LINUX) == kind


@pytest.mark.parametrize(("place", "kind"), [("/Volumes/share (1)/r", "smbfs"),
                                            ("/Volumes/x", "nfs"), ("/Users/ann", None)])
def test_and_on_macos(place, kind):
    assert mounts.shared_kind(Path(place), MACOS) == kind


def test_a_machine_that_tells_nothing_is_taken_to_share_nothing():
    assert mounts.shared_kind(Path("/a"), "") is None


def test_this_machine_tells():
    assert mounts._parsed(mounts._mounts())
