"""Upkeep: the story of a version once it is published: compared, promoted, taken back, kept.

Whoever moves a pointer says what it was compared with; nothing moves before the version has shown
that it loads and answers.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle.core.errors import FettleError, SettingError
from fettle.core.export import Certificate
from fettle.core.progress import Note
from fettle.core.upkeep import Collection, Event, Inspection
from fettle.core.version import Verdict
from fettle.store import records

if TYPE_CHECKING:
    import numpy as np

    from fettle.stages.promoting import Candidate
    from fettle.stages.serving import Opened
    from fettle.store.registry import Registry

__all__ = [
    "collect", "differences", "export", "history", "inspect", "promote", "rollback", "show",
    "versions",
]

BESIDE = frozenset((
    "rows.arrow", "split.json", "evaluation.json", "audit.json", "report.html", "model-card.md",
    "certificate.arrow", "certificate.safetensors", "reference.arrow", "tokens.arrow",
))
"""Files of a version that it does not need to answer."""


def promote(
    reference: str, *, registry: str = ".fettle", force: bool = False, dry: bool = False,
    reason: str = "", actor: str | None = None,
) -> Generator[Any, None, Verdict]:
    """Make a version champion, where every gate lets it through.

    Args:
        reference: NAME@N, or NAME@challenger.
        registry: a folder or a URL.
        force: move the pointer whatever the gates say; needs a reason.
        dry: ask the gates and write down what they said, and move nothing.
        reason: for the log.
        actor: for the log; by default user@host.

    Yields:
        Progress and Notes; last the Verdict, which is returned too.

    Raises:
        SettingError: nothing to promote, no reason to force, or no rows to compare on.
        PointerMoved: somebody moved the champion meanwhile; nothing was changed.
        CorruptFile: the version does not answer as it did where it was made.
    """
    from fettle.stages import promoting

    if force and dry:
        raise SettingError("--dry-run moves nothing, so there is nothing to --force.")
    if force and not reason.strip():
        raise SettingError('--force needs a reason, for the log: --reason "...".')
    held, name, number, opened = _asked(reference, registry, actor)
    seen = held.pointers(name)["champion"]
    if seen.number == number:
        raise SettingError(f"{name}@{number} is the champion already.")
    difference = _proved(opened)
    yield Note(f"{name}@{number} loads and answers: outputs differ by at most {difference:.2g}.")
    try:
        champion = _candidate(_opened(held, f"{name}@{seen.number}"))
        challenger = _candidate(opened)
        verdict = yield from promoting.promote(champion, challenger, generation=seen.generation)
        verdict = replace(verdict, notes=verdict.notes + _looks(held, champion, challenger))
    except FettleError as error:
        if not force:
            raise
        verdict = Verdict(
            f"{name}@{number}", f"{name}@{seen.number}", seen.generation, "cannot tell", (), 0,
            None, notes=(f"The gates were not asked: {error}",),
        )
    forced = force and verdict.decision != "promote"
    verdict = replace(
        verdict, reason=reason.strip(), forced=forced,
        promoted=not dry and (forced or verdict.decision == "promote"),
    )
    detail = {"verdict": records.to_plain(verdict)}
    if verdict.promoted:
        held.move(name, number, seen=seen, event="promote", reason=reason, detail=detail)
    else:
        held.log(name, "gate", reason=reason, detail=detail)
    yield verdict
    return verdict


def rollback(
    name: str, *, to: int | None = None, registry: str = ".fettle", reason: str = "",
    actor: str | None = None,
) -> dict[str, Any]:
    """Make the champion before champion again, once it has shown that it loads and answers.

    Args:
        name: of the model.
        to: a version's number, instead of the champion before.
        registry: a folder or a URL.
        reason: for the log.
        actor: for the log; by default user@host.

    Returns:
        champion, previous, generation, and the largest difference of an output from what was
        written down where the version was made.

    Raises:
        SettingError: there is nothing to go back to.
        PointerMoved: somebody moved the champion meanwhile; nothing was changed.
        CorruptFile: the version does not answer as it did; the champion stays.
    """
    held = _registry(registry, actor)
    if "@" in name:
        raise SettingError(f"rollback takes the name alone; give the version with --to: {name!r}.")
    held.find(name)
    pointers = held.pointers(name)
    seen = pointers["champion"]
    target = to if to is not None else getattr(pointers.get("previous"), "number", None)
    if target is None:
        raise SettingError(
            f"{name} has had one champion, {name}@{seen.number}: there is none to go back to. "
            "Give a version with --to."
        )
    if target == seen.number:
        raise SettingError(f"{name}@{target} is the champion already.")
    difference = _proved(_opened(held, f"{name}@{target}"))
    now = held.move(
        name, target, seen=seen, event="rollback", reason=reason,
        detail={"largest_difference": difference},
    )
    return {
        "champion": f"{name}@{now.number}", "previous": f"{name}@{seen.number}",
        "generation": now.generation, "largest_difference": difference,
    }


def versions(name: str | None = None, *, registry: str = ".fettle") -> list[dict[str, Any]]:
    """Every version, oldest first: id, pointers, when, rung, and its test scores with intervals."""
    return [
        {
            "version": f"{one['name']}@{one['number']}",
            "champion": one["champion"],
            "pointers": one["pointers"],
            "at": one["at"],
            "given_up": one["collected"],
            "rung": one["manifest"].get("rung", ""),
            "scores": one["manifest"].get("scores", []),
        }
        for one in _registry(registry).versions(name)
    ]


def show(reference: str, *, registry: str = ".fettle") -> dict[str, Any]:
    """All that the registry holds of one version, its events included."""
    held = _registry(registry)
    name, number, manifest = held.find(reference)
    pointers = held.pointers(name)
    return {
        "version": f"{name}@{number}",
        "pointers": sorted(key for key, one in pointers.items() if one.number == number),
        **manifest,
        "events": [
            records.to_plain(event) for event in held.history(name)
            if number in (event.detail.get("number"), event.detail.get("from"))
        ],
    }


def differences(first: str, second: str, *, registry: str = ".fettle") -> dict[str, Any]:
    """What two versions differ in: {plan, lineage, scores, files}, each (first, second) by key."""
    held = _registry(registry)
    found = []
    for reference in (first, second):
        name, number, manifest = held.find(reference)
        plan = _flat(_content_of(held, manifest, "plan.json"))
        scores = {one["name"]: one for one in manifest.get("scores", ())}
        found.append((f"{name}@{number}", plan, manifest, scores))
    (a, plan_a, one, scores_a), (b, plan_b, two, scores_b) = found
    return {
        "versions": [a, b],
        "plan": _unlike(plan_a, plan_b),
        "lineage": _unlike(one.get("lineage", {}), two.get("lineage", {})),
        "scores": _unlike(scores_a, scores_b),
        "files": _unlike(one["files"], two["files"]),
    }


def history(name: str | None = None, *, registry: str = ".fettle") -> list[Event]:
    """What happened to a name, or to all, oldest first."""
    return _registry(registry).history(name)


def inspect(*, registry: str = ".fettle") -> Inspection:
    """Everything in the registry, read once more and compared with what was written."""
    from fettle.store import inspecting

    return inspecting.inspect(_registry(registry))


def collect(
    *, registry: str = ".fettle", keep: int | None = None, grace_days: float = 1.0,
    dry: bool = False, reason: str = "", actor: str | None = None,
) -> Collection:
    """Remove files that no version needs; with `keep`, give up all but the newest versions first.

    Champion, challenger and previous are never given up.

    Args:
        registry: a folder or a URL.
        keep: how many of the newest versions of each name stay; all where not given.
        grace_days: what is younger stays.
        dry: only say what would go.
        reason: for the log.
        actor: for the log; by default user@host.
    """
    from fettle.store import collecting

    if keep is not None and keep < 0:
        raise SettingError(f"--keep is {keep}; a number from 0 on is what it takes.")
    if not grace_days >= 0:
        raise SettingError(f"--grace is {grace_days}; a number of days from 0 on is what it takes.")
    held = _registry(registry, actor)
    return collecting.collect(held, keep=keep, grace_days=grace_days, dry=dry, reason=reason)


def export(
    reference: str, form: str, folder: str | Path, *, registry: str = ".fettle"
) -> Generator[Any, None, Certificate]:
    """A version in another tool's form, in a folder, once it has shown that it answers alike.

    Args:
        reference: NAME (its champion), NAME@N, NAME@challenger, or a version's folder.
        form: onnx, transformers, peft, timm or torch.
        folder: for its files; empty or not there yet.
        registry: a folder or a URL.

    Yields:
        Progress; returns the Certificate.

    Raises:
        Blocked: what was written answers otherwise; nothing is left of it.
        SettingError: the form cannot hold this version, or the folder is not free.
    """
    from fettle.core.evaluation import Evaluation
    from fettle.modalities.image import ImageEncoder
    from fettle.modalities.text import TextEncoder
    from fettle.stages import exporting, serving
    from fettle.tasks.making import thresholds_of

    opened = serving.open_version(reference, registry)
    if not isinstance(opened.encoder, TextEncoder | ImageEncoder):
        raise SettingError(
            f"{opened.id} reads neither texts nor pictures, and only those are exported today. Its "
            "weights lie in model.safetensors of the version's folder."
        )
    return (yield from exporting.export(
        exporting.Leaving(
            id=opened.id, network=opened.network, encoder=opened.encoder,
            classes=opened.task.classes or (opened.plan["reading"]["target"],),
            temperature=opened.temperature, unit=opened.task.unit,
            precision=opened.precision, plan=opened.plan, paths=opened.paths,
            rung=records.load(opened.paths["evaluation.json"], Evaluation).kept,
            thresholds=thresholds_of(opened.task),
        ),
        form, Path(folder),
    ))


def _registry(place: str, actor: str | None = None) -> "Registry":
    from fettle.store.registry import Registry

    return Registry(place, create=False, actor=actor)


def _asked(
    reference: str, registry: str, actor: str | None
) -> "tuple[Registry, str, int, Opened]":
    """The version that is to be promoted, opened."""
    held = _registry(registry, actor)
    name, number, _ = held.find(reference)
    if "@" not in reference:
        raise SettingError(
            f"Which version of {name} is to be promoted? Give NAME@N, such as {name}@challenger; "
            "`fettle versions` lists them."
        )
    return held, name, number, _opened(held, f"{name}@{number}")


def _opened(held: "Registry", reference: str) -> "Opened":
    from fettle.stages import serving

    name, number, manifest = held.find(reference)
    return serving.open_files(f"{name}@{number}", held.paths(manifest))


def _proved(opened: "Opened") -> float:
    from fettle.stages import serving

    return serving.prove(opened)


def _candidate(opened: "Opened") -> "Candidate":
    """What the gates want to know of an opened version."""
    from fettle.core.audit import Audit
    from fettle.core.split import Split
    from fettle.stages.promoting import Candidate
    from fettle.store import arrow
    from fettle.tasks.multi_label import MultiLabel

    paths = opened.paths
    audit = records.load(paths["audit.json"], Audit) if "audit.json" in paths else None
    split = records.load(paths["split.json"], Split)
    return Candidate(
        id=opened.id,
        answers=_probabilities(opened),
        fields=opened.encoder.fields,
        target=opened.plan["reading"]["target"],
        classes=opened.task.classes,
        metric=opened.plan["metric"],
        rows=arrow.read(paths["rows.arrow"]) if "rows.arrow" in paths else None,
        test=split.vault.fingerprint,
        tied=split.tied,
        bytes=sum(path.stat().st_size for name, path in paths.items() if name not in BESIDE),
        blockers=None if audit is None else tuple(one.check for one in audit.blockers()),
        several=opened.task if isinstance(opened.task, MultiLabel) else None,
    )


def _probabilities(opened: "Opened") -> "Callable[[Sequence[tuple[str, ...]]], np.ndarray]":
    def answers(fields: Sequence[tuple[str, ...]]) -> "np.ndarray":
        return opened.task.calibrated(opened.outputs(fields))

    return answers


def _looks(held: "Registry", *candidates: "Candidate") -> tuple[str, ...]:
    """Write down that these test rows were looked at; a note where that is not the first time."""
    why = "gate " + " against ".join(one.id for one in reversed(candidates))
    looks = max(held.count_opening(test, why) for test in {one.test for one in candidates})
    if looks < 3:  # one for each version's own evaluation
        return ()
    return (
        f"These test rows have been looked at {looks} times: the more versions are chosen by them, "
        "the less they prove. New labelled rows prove more.",
    )


def _content_of(held: "Registry", manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a JSON file of a version holds; nothing where it has none."""
    from fettle.store import files

    if name not in manifest["files"]:
        return {}
    return files.read_json(held.blobs.path(manifest["files"][name]))


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, its keys joined by dots; what was only predicted is left out."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in ("asked", "predicted", "reasons") and not above:
            continue
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{above}{key}."))
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            numbered = {str(at): one for at, one in enumerate(value)}
            found.update(_flat(numbered, f"{above}{key}."))
        else:
            found[f"{above}{key}"] = value
    return found


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {
        key: [first.get(key), second.get(key)]
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    }
