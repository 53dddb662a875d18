"""Runs: where a command's run lies, and whether the same command began or finished one before."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from fettle.core.audit import Audit
from fettle.core.errors import CorruptFile, SettingError
from fettle.core.plan import Plan
from fettle.core.settings import Settings
from fettle.core.split import Split
from fettle.core.version import Report, Version
from fettle.store import files, folders, records
from fettle.store.places import runs_folder

if TYPE_CHECKING:
    from fettle.core.parts import Card

__all__ = [
    "begin", "begun", "folder_of", "is_finished", "judged_by", "note_judged", "note_told",
    "remember", "request", "require_elsewhere", "require_ours", "seeds_of", "too_late",
]

LIBRARIES = ("fettle", "torch", "transformers", "tokenizers", "numpy", "scipy", "pillow", "timm",
             "keras")
JUDGED = "judged.json"
"""By what beside the test rows a finished run was judged: columns, and files of other tasks."""


def folder_of(settings: Settings, made: Plan) -> Path:
    """Where the run of this plan lies: where it was asked for, else beside the others."""
    return Path(settings.out or runs_folder(settings.registry) / f"{made.name}-{made.id}")


def request(
    settings: Settings, given: Plan | None, name: str, split: Split, card: "Card"
) -> str:
    """Twelve hex digits over what was asked for, by which name, of which rows and which model.

    The same command finds by it the run that it began, and goes on with the plan that lies there:
    a new plan might differ, since it depends on the machine, on how busy it is, and on what this
    fettle takes where nothing is asked for. Only what was asked for counts: a setting that a later
    fettle has too is not among it.
    """
    usual = records.to_plain(Settings())
    asked = {
        key: value for key, value in records.to_plain(settings).items()
        if key not in ("reading", "registry", "blobs", "save_seconds", "keep_rows", "guard",
                       "seeds")
        and value != usual[key]
    }
    whole = [asked, given.name if given else name, split.learning,
             (card.sha256, card.definition), given and given.id]
    text = json.dumps(whole, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def remember(settings: Settings, asked: str, folder: Path, made: Plan) -> None:
    """Note where the run of this request lies."""
    pointer = _pointer(settings, asked)
    held = files.read_json(pointer) if pointer.is_file() else {}
    if (held.get("folder"), held.get("plan")) != (str(folder), made.id):
        files.write_json(pointer, {"folder": str(folder), "plan": made.id, "by": _libraries()})


def note_told(settings: Settings, asked: str) -> None:
    """Note that somebody was told by which other versions than today's the run was planned."""
    pointer = _pointer(settings, asked)
    files.write_json(pointer, {**files.read_json(pointer), "told": _libraries()})


def require_elsewhere(settings: Settings, others: str, why: SettingError) -> None:
    """Stop where a run that cannot go on lies in the folder that was asked for: a new one has no
    place there.

    Raises:
        SettingError: `--out` was given.
    """
    if settings.out:
        raise SettingError(
            f"{settings.out} holds the run that {others} began, and it cannot go on: {why} To "
            "begin anew, name another folder with --out."
        ) from why


def begun(settings: Settings, asked: str) -> tuple[Plan, Path, str, bool] | None:
    """The plan and the folder of the run that an earlier command with the same request began,
    which other versions than today's planned it, "" where none did, and whether somebody was told
    (`note_told`) since the last of them changed; None where there is none.

    Raises:
        CorruptFile: the plan cannot be read, such as that of a later fettle.
    """
    pointer = _pointer(settings, asked)
    if not pointer.is_file():
        return None
    held = files.read_json(pointer)
    folder = Path(held["folder"])
    if not (folder / "plan.json").is_file():
        return None
    before, now = held.get("by", {}), _libraries()
    others = [f"{name} {before[name]} (now {now[name]})" for name in now
              if name in before and before[name] != now[name]]
    try:
        plan = records.load(folder / "plan.json", Plan)
        return plan, folder, ", ".join(others), held.get("told") == now
    except CorruptFile as error:
        raise CorruptFile(
            f"{error} It was written with {', '.join(others) or 'these versions'}. Name another "
            "folder with --out to begin anew."
        ) from error


def _libraries() -> dict[str, str]:
    """Of which another version may plan otherwise, or train to other bits."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # of an extra that is not installed
            found[name] = version(name)
    return found


def _pointer(settings: Settings, asked: str) -> Path:
    return runs_folder(settings.registry).parent / "requests" / f"{asked}.json"


def require_ours(folder: Path) -> None:
    """Stop before anything is written where something else lies."""
    if (folder / "plan.json").is_file() or not folder.is_dir():
        return
    foreign = sorted(one.name for one in folder.iterdir()
                     if one.name != folders.LOCK and not folders.is_temporary(one))
    if foreign:
        raise SettingError(
            f"{folder} is not empty ({foreign[0]} lies there) and holds no run. Name another "
            "folder with --out."
        )


def is_finished(folder: Path) -> bool:
    """Whether a command has brought the run to its end."""
    return (folder / "version.json").is_file()


def note_judged(
    folder: Path, slices: Sequence[str], guards: Sequence[str], seeds: int = 1
) -> None:
    """Write down by what the run was judged, so that what is asked for later is not passed over."""
    known = {guard: _sha256(guard) for guard in guards}
    files.write_json(folder / JUDGED, {"slices": list(slices), "guards": known, "seeds": seeds})


def judged_by(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The columns, and the files with their hashes, that a run was judged by."""
    path = folder / JUDGED
    if not path.is_file():
        return (), {}
    held = files.read_json(path)
    return tuple(held["slices"]), dict(held["guards"])


def seeds_of(folder: Path) -> int:
    """With how many seeds the kept rung of a finished run was to be climbed."""
    path = folder / JUDGED
    return int(files.read_json(path).get("seeds", 1)) if path.is_file() else 1


def _covers(folder: Path, made: Plan, guards: Sequence[str]) -> bool:
    """Whether the run was judged by all of these, and with as many seeds."""
    columns, known = judged_by(folder)
    return set(made.reading.slices) <= set(columns) and made.seeds <= seeds_of(folder) and all(
        known.get(guard) == _sha256(guard) for guard in guards
    )


def _sha256(place: str) -> str:
    """Of a file; nothing of a folder, which is known by its name."""
    return files.sha256(Path(place)) if Path(place).is_file() else ""


def _judged_on(folder: Path, split: Split) -> Version | None:
    """The version that a finished run made, where these test rows judged it.

    What stands in split.json says nothing of that: it is written before the rows are judged.
    """
    if not is_finished(folder):
        return None
    made = records.load(folder / "version.json", Version)
    return made if made.lineage.get("test_rows") == split.vault.fingerprint else None


def too_late(settings: Settings, folder: Path) -> tuple[str, ...]:
    """What this command asks for that a finished run cannot give any more."""
    if settings.keep_rows or not (folder / "version" / "rows.arrow").is_file():
        return ()
    return ("--no-keep-rows comes too late: the version of this run was published with its rows. "
            "Name another folder with --out to publish one without.",)


def begin(
    folder: Path, made: Plan, found: Audit, split: Split, *, guards: Sequence[str] = ()
) -> Version | None:
    """Lay the run's folder out; the Version where an earlier command finished it.

    A finished run is judged once more where it is asked for slices, guards or seeds that it was
    not judged by.

    Args:
        folder: the run's.
        made, found, split: of the story.
        guards: files of other tasks, on which nothing should be forgotten.

    Raises:
        SettingError: the folder holds another plan's run.
    """
    path = folder / "plan.json"
    if path.is_file():
        held = records.load(path, Plan)
        if held.id != made.id:
            raise SettingError(
                f"{folder} holds the run of plan {held.id}, this command's plan is {made.id}. "
                "Name another folder with --out, or leave --out away."
            )
        made_before = _judged_on(folder, split)
        if made_before is not None and _covers(folder, made, guards):
            report = Report(str(folder / "report.html"), str(folder / "model-card.md"))
            return replace(made_before, folder=str(folder / "version"), report=report)
    records.save(path, made)
    records.save(folder / "audit.json", found)
    records.save(folder / "split.json", split)
    files.write_text(folder / "plan.yaml", records.to_yaml(made))
    return None
