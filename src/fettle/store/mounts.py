"""Which file systems other machines share: SQLite's fast journal is safe on one machine alone."""

import subprocess
import sys
from pathlib import Path

__all__ = ["shared_kind"]

SHARED = {
    "9p", "afp", "afpfs", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs",
    "gfs2", "glusterfs", "gpfs", "lustre", "macfuse", "ncpfs", "nfs", "nfs4", "ocfs2", "smb2",
    "smb3", "smbfs", "webdav",
}  # fmt: skip


def shared_kind(folder: Path, mounts: str | None = None) -> str | None:
    """The kind of network file system that this folder lies on, or None.

    Args:
        folder: it need not exist yet.
        mounts: lines of /proc/mounts, or of macOS's `mount`; by default this machine's.

    Returns:
        None too where the machine does not tell what is mounted.
    """
    listed = _parsed(mounts if mounts is not None else _mounts())
    found = folder.resolve()
    for place in (found, *found.parents):
        kinds = [kind for at, kind in listed if at == str(place)]
        if kinds:  # a later mount hides an earlier one
            return kinds[-1] if kinds[-1] in SHARED else None
    return None


def _mounts() -> str:
    if sys.platform == "darwin":
        done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False)
        return done.stdout
    path = Path("/proc/self/mounts")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _parsed(mounts: str) -> list[tuple[str, str]]:
    """(place, kind) of each line, in either form."""
    found = []
    for line in mounts.splitlines():
        if " on " in line and " (" in line:  # host:/share on /Volumes/share (nfs, nodev)
            place, _, rest = line.partition(" on ")[2].rpartition(" (")
            found.append((place, rest.split(",")[0].strip(") ")))
        elif len(words := line.split()) > 2:  # host:/share /mnt/a\040b nfs4 rw 0 0
            place = words[1].encode().decode("unicode_escape")
            found.append((place, words[2]))
    return found
