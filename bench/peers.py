"""Peers: the libraries that fettle is compared with, each in an environment of its own.

    python bench/peers.py [NAME ...]

makes those environments (or all) and says where each is. A peer is bench/peers/NAME.txt: plain
requirement lines. Its environment is made with uv in .peers/NAME, which git ignores, and used
again while nothing that it was made from has changed. A package that fettle's own environment
holds too is taken in the same version: what differs is then the software that is compared, not
what both stand on. Nothing of a peer is ever in fettle's lock.
"""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["Peer", "environment_of", "known", "pinned", "requirements"]

ROOT = Path(__file__).resolve().parents[1]
LISTS = ROOT / "bench" / "peers"
ENVIRONMENTS = ROOT / ".peers"
TOOLS = ROOT / ".tools"
MARK = "made-from.txt"
"""Written last, so that an environment that was left half made is made again."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Install = Callable[[Path, str], str]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's environment, or why there is none."""

    name: str
    python: Path | None
    reason: str = ""


def known() -> list[str]:
    """The peers that have a list of requirements."""
    return sorted(path.stem for path in LISTS.glob("*.txt"))


def environment_of(
    name: str, *, lists: Path = LISTS, environments: Path = ENVIRONMENTS,
    install: Install | None = None,
) -> Peer:
    """The peer's environment: the one that is there, or one made now (minutes, some gigabytes).

    Args:
        name: of a file in `lists`, without its .txt.
        install: (folder, requirements) to an empty sentence, or to why it failed; uv's, where
            not given.
    """
    path = lists / f"{name}.txt"
    if not path.is_file():
        return Peer(name, None, f"{path} is missing")
    wanted = pinned(requirements(path.read_text(encoding="utf-8")), installed_version)
    folder = environments / name
    python = folder / "bin" / "python"
    if _made_from(folder) == wanted and python.exists():
        return Peer(name, python)
    print(f"Making the environment of {name} in {folder}: this takes minutes.", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    failed = (install or _install)(folder, wanted)
    if failed:
        return Peer(name, None, failed)
    (folder / MARK).write_text(wanted, encoding="utf-8")
    return Peer(name, python)


def requirements(text: str) -> list[str]:
    """The requirement lines of a list, without comments.

    Raises:
        ValueError: a line is an option or an address; a list names packages and nothing else.
    """
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    for line in lines:
        if line and (NAME.match(line) is None or "/" in line):
            raise ValueError(f"{line!r} is no plain requirement; name a package and its versions.")
    return [line for line in lines if line]


def pinned(lines: list[str], version_of: Callable[[str], str | None]) -> str:
    """The whole list, in the versions that fettle's environment has where it has the package.

    A line that says what a version must stay below keeps to that.

    Args:
        lines: plain requirements.
        version_of: a package's version in fettle's environment, or None.
    """
    found = [f"# python {platform.python_version()}"]
    for line in lines:
        name = NAME.match(line)
        assert name is not None, "requirements() lets no other line through"
        version = version_of(name[0])
        found.append(line)
        if version is not None and "<" not in line:
            found.append(f"{name[0]}=={version.partition('+')[0]}")
    return "\n".join(found) + "\n"


def installed_version(name: str) -> str | None:
    """The package's version in the environment that runs this."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _made_from(folder: Path) -> str | None:
    mark = folder / MARK
    return mark.read_text(encoding="utf-8") if mark.is_file() else None


def _install(folder: Path, wanted: str) -> str:
    """Make the environment with uv; an empty sentence, or why it failed."""
    uv = _uv()
    if uv is None:
        return "uv is not on PATH and pip could not install it into .tools"
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = _quiet([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    if made:
        return f"uv could not make {folder}: {made}"
    listed = folder / "requirements.txt"
    listed.write_text(wanted, encoding="utf-8")
    python = str(folder / "bin" / "python")
    failed = _quiet([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python,
                     "--requirement", str(listed)])
    return f"uv could not install its packages: {failed}" if failed else ""


def _uv() -> str | None:
    """uv from PATH, from .tools, or installed there now, as the Makefile does it."""
    own = TOOLS / "bin" / "uv"
    for place in (shutil.which("uv"), str(own)):
        if place and not _quiet([place, "--version"]):
            return place
    print("uv is not on PATH; installing it into .tools", flush=True)
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet",
           "--disable-pip-version-check", "uv"]
    if _quiet([sys.executable, "-m", "venv", str(TOOLS)]) or _quiet(pip):
        return None
    return str(own)


def _quiet(command: list[str]) -> str:
    """Run it; an empty text, or the end of what it complained of."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return " ".join(line.strip() for line in said[-4:]) or f"exit code {done.returncode}"


if __name__ == "__main__":
    for peer in map(environment_of, sys.argv[1:] or known()):
        print(f"{peer.name}: {peer.python or 'not there: ' + peer.reason}")
