"""Every command that the README shows runs, in its order, and prints what the README shows.

A `console` block holds commands after "$ " and, below each, lines that it prints. Digits in
those lines stand for any number, and "..." for any text. Python blocks run after the commands.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "getting-started.md", ROOT / "docs" / "data.md",
         ROOT / "docs" / "serving.md", ROOT / "docs" / "export.md"]
CHANGES_SHELL = ("cd ", ". ", "source ", "export ")


@dataclass(frozen=True)
class Command:
    """One line after "$ ", and the lines shown below it."""

    line: str
    shown: tuple[str, ...]


def blocks(page: str, *kinds: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind in kinds]


def commands(page: str) -> list[Command]:
    found: list[Command] = []
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
            elif line.strip():
                assert found, f"the README prints {line!r} before any command"
                found[-1] = Command(found[-1].line, (*found[-1].shown, line))
    return found


def is_shown(shown: str, printed: str) -> bool:
    """True where one printed line reads like the shown one, numbers and blanks aside."""
    pattern = re.escape(" ".join(shown.split()))
    pattern = re.sub(r"\d+", r"\\d+", pattern).replace(re.escape("..."), ".*")
    return any(re.search(pattern, " ".join(line.split())) for line in printed.splitlines())


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = commands(README)
MAKE = [one for one in COMMANDS if one.line.startswith("make ")]
SHELL = [one for one in COMMANDS if not one.line.startswith("make ")]
FIRST_TUNE = next(n for n, one in enumerate(SHELL) if one.line.startswith("fettle tune"))


def run(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {"PATH": path, "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, **told, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all commands: each goes on with what those before it left."""
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def said(folder: Path, machine: Path) -> Callable[[int], subprocess.CompletedProcess[str]]:
    """said(n) is what the n-th command came to, after all before it, whichever test asks first."""
    done: list[subprocess.CompletedProcess[str]] = []

    def of(number: int) -> subprocess.CompletedProcess[str]:
        for one in SHELL[len(done) : number + 1]:
            done.append(run(one.line, folder, XDG_CACHE_HOME=str(machine)))
        return done[number]

    return of


def test_the_readme_has_commands_and_a_line_to_compare_is_found_in_what_is_printed():
    page = "```console\n$ one --two\nprinted 1 of 2\n\n$ three\n```\n```sh\nfour\n```\n"
    assert commands(page) == [Command("one --two", ("printed 1 of 2",)), Command("three", ())]
    assert is_shown("accuracy 0.9 [...] on 10 rows", "x\naccuracy 0.87  [0.8, 0.9] on 412 rows\n")
    assert not is_shown("accuracy 0.9", "macro f1 0.9\n")
    assert MAKE
    assert SHELL


@pytest.mark.parametrize("command", MAKE, ids=lambda one: one.line)
def test_a_make_command_names_a_target(command):
    done = run(f"make --dry-run --directory {shlex.quote(str(ROOT))} {command.line[5:]}", ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("number", "command"),
    [
        pytest.param(
            number, command, id=command.line,
            marks=[pytest.mark.slow] if number >= FIRST_TUNE else [],
        )
        for number, command in enumerate(SHELL)
    ],
)
def test_a_command_runs_and_prints_what_is_shown(number, command, said):
    assert not command.line.startswith(CHANGES_SHELL), "each command gets a shell of its own"
    done = said(number)
    assert done.returncode == 0, f"{command.line}\n{done.stdout}\n{done.stderr}"
    for line in command.shown:
        assert is_shown(line, done.stdout + done.stderr), f"not printed: {line}\n{done.stdout}"


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks(README, "python"))
def test_a_python_block_runs(block, folder, machine):
    run("fettle demo --copy .", folder)
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(block)}"
    done = run(line, folder, XDG_CACHE_HOME=str(machine))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@cache
def help_of(verb: str) -> str:
    done = run(f"fettle {verb} --help", ROOT)
    assert done.returncode == 0, f"fettle {verb} --help: {done.stderr}"
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def mentioned(page: Path) -> list[tuple[str, str]]:
    """(verb, option or nothing) of every fettle command in a page's code."""
    text = page.read_text(encoding="utf-8")
    code = [*blocks(text, "console", "sh"), *re.findall(r"`(fettle [^`]+)`", text)]
    found = set()
    for line in "\n".join(code).splitlines():
        line = line.removeprefix("$ ").split(" > ")[0].split("#")[0]
        if line.startswith("fettle "):
            verb, *rest = line.split()[1:]
            found |= {(verb, ""), *((verb, one) for one in rest if one.startswith("--"))}
    return sorted(found)


@pytest.mark.parametrize(
    ("verb", "option"), sorted({pair for page in PAGES for pair in mentioned(page)})
)
def test_what_the_pages_mention_exists(verb, option):
    assert re.search(rf"\b{verb}\b", help_of("")), f"no command {verb}"
    assert not option or re.search(rf"{option}\b", help_of(verb)), f"fettle {verb} has no {option}"


def test_every_option_that_the_pages_speak_of_exists():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    spoken = set(re.findall(r"`(?:fettle [^`]*)?(--[a-z][a-z-]*)", text))
    known = "".join(help_of(verb) for verb in (
        "demo", "tune", "audit", "predict", "promote", "gc", "serve", "feedback",
        "export",
    ))
    assert spoken
    assert {one for one in spoken if not re.search(rf"{one}\b", known)} == set()


def test_the_pages_link_to_files_that_exist():
    for page in [*PAGES, *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
