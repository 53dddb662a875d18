"""Evaluating: before and after on the test rows, paired, with how sure one can be of each number.

The only place that opens the vault. Nothing that is measured here flows back into training.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fettle.checks import baselines
from fettle.core.dataset import Dataset
from fettle.core.errors import InputError
from fettle.core.evaluation import Contender, Evaluation, Latency
from fettle.core.parts import Card
from fettle.core.plan import Plan
from fettle.core.progress import Note, Progress
from fettle.core.run import Run
from fettle.core.split import Opening, Split
from fettle.engine import asking
from fettle.engine.predict import outputs_of
from fettle.engine.replay import features
from fettle.measures import judging, paired
from fettle.modalities import ENCODERS
from fettle.modalities.text import TextEncoder
from fettle.models.network import TextNetwork, open_network, open_saved, tokenizer_json
from fettle.store import folders

__all__ = ["evaluate", "evaluate_version"]

UNSEEN = "(a class unseen in training)"
Answers = dict[str, tuple[str, np.ndarray, str]]
"""Predicted class numbers (rows,) by contender, with its kind before them and a note after."""


def evaluate(
    dataset: Dataset,
    split: Split,
    plan: Plan,
    run: Run,
    *,
    card: Card,
    count: Callable[[Opening], int],
) -> Generator[Progress | Note, None, Evaluation]:
    """Score what was there before, what is cheap, and every rung, on the same test rows.

    Args:
        dataset, split, plan, run: of one story.
        card: of the plan's model, for what it does without training.
        count: writes an opening of the vault down and returns how many there have been.
    """
    rows, openings = split.vault.open(f"evaluate run {run.plan}", count)
    fields = dataset.fields(rows)
    targets, labels = _targets(dataset.targets(rows), plan.classes)
    answers = yield from _before(dataset, split, plan, run, card, fields)
    answers.update((yield from _baselines(dataset, split, plan, fields)))
    latency: tuple[Latency, ...] = ()
    for rung in run.rungs:
        network, encoder = _rung(run, rung.name, plan)
        outputs = yield from outputs_of(
            network, encoder, encoder.encode(fields), precision=plan.precision
        )
        answers[rung.name] = ("rung", outputs.argmax(axis=1), "")
        if rung.name == run.kept:
            yield Progress("latency", 0, 1, "passes")
            latency = asking.latency(network, encoder, fields, precision=plan.precision)
            yield Progress("latency", 1, 1, "passes")
    contenders = _contenders(answers, targets, labels, run.kept, plan.seed)
    kept = answers[run.kept][1]
    return Evaluation(
        test=split.vault.fingerprint,
        rows=len(rows),
        openings=openings,
        metric=plan.metric,
        kept=run.kept,
        before=_better_before(contenders),
        contenders=contenders,
        classes=judging.class_scores(targets, kept, labels, rng=np.random.default_rng(plan.seed)),
        labels=labels,
        confusion=judging.confusion_table(targets, kept, labels),
        latency=latency,
        smallest_gain=paired.smallest_gain(len(rows)),
        notes=_notes(labels, plan.classes, openings),
    )


def evaluate_version(
    name: str, outputs: np.ndarray, dataset: Dataset, classes: Sequence[str], *, metric: str,
    count: Callable[[Opening], int],
) -> Evaluation:
    """A version's answers on new rows, scored; there is no before and nothing is compared.

    Args:
        name: of the version.
        outputs: its raw outputs (rows, classes) for every row of the dataset.
        dataset: rows with answers; rows without one are left out and counted.
        classes: what the outputs stand for.
        metric: the headline's.
        count: writes the look at these rows down and returns how many there have been.
    """
    cells = dataset.targets()
    answered = [row for row, cell in enumerate(cells) if (cell or "").strip()]
    if not answered:
        raise InputError(f"{dataset.name} has no row with an answer to compare with.")
    test = dataset.fingerprint(answered)
    openings = count(Opening(test, f"evaluate {name}"))
    targets, labels = _targets([cells[row] for row in answered], classes)
    predicted = outputs[answered].argmax(axis=1)
    rng = np.random.default_rng(0)
    left = len(cells) - len(answered)
    notes = (f"{left:,} rows without an answer are not scored.",) if left else ()
    return Evaluation(
        test=test,
        rows=len(answered),
        openings=openings,
        metric=metric,
        kept=name,
        before=None,
        contenders=(
            Contender(name, "version", judging.scores(targets, predicted, len(labels), rng=rng),
                      None),
        ),
        classes=judging.class_scores(targets, predicted, labels, rng=rng),
        labels=labels,
        confusion=judging.confusion_table(targets, predicted, labels),
        smallest_gain=paired.smallest_gain(len(answered)),
        notes=notes + _notes(labels, classes, openings),
    )


def _targets(
    cells: Sequence[str | None], classes: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (rows,), and the labels; unseen ones share one number after the last class."""
    number = {label: at for at, label in enumerate(classes)}
    targets = np.array([number.get(cell or "", len(classes)) for cell in cells], dtype=np.int64)
    unseen = (UNSEEN,) if (targets == len(classes)).any() else ()
    return targets, (*classes, *unseen)


def _numbers(labels: np.ndarray, plan: Plan) -> np.ndarray:
    number = {label: at for at, label in enumerate(plan.classes)}
    return np.array([number[label] for label in labels], dtype=np.int64)


def _before(
    dataset: Dataset, split: Split, plan: Plan, run: Run, card: Card,
    fields: Sequence[tuple[str, ...]],
) -> Generator[Progress | Note, None, Answers]:
    """What the model as it came makes of the test rows, without learning anything."""
    network = open_network(card)
    encoder = ENCODERS[plan.modality].fit(
        card, tokenizer_json(card), fields=dataset.schema.inputs, max_tokens=plan.max_tokens
    )
    folder = folders.cache() / "replay"
    pooling = card.pooling
    names = run.poolings if pooling in run.poolings else (pooling,)
    found: dict[str, np.ndarray] = {}
    for part, rows in (("learn", dataset.fields(split.learners)), ("test", fields)):
        vectors = yield from features(
            network, encoder, encoder.encode(rows), names=names,
            precision=plan.precision, folder=folder,
        )
        found[part] = vectors[pooling]
    number = {label: at for at, label in enumerate(plan.classes)}
    targets = np.array([number[label or ""] for label in dataset.targets(split.learners)])
    answers: Answers = {
        "nearest_mean": (
            "before",
            asking.nearest_mean(found["learn"], targets, found["test"], len(plan.classes)),
            "the frozen model's vectors, nearest class mean: uses training labels",
        )
    }
    if card.embeds_sentences and asking.have_words(plan.classes):
        called = [(asking.as_words(label),) for label in plan.classes]
        taps = yield from features(
            network, encoder, encoder.encode(called), names=names,
            precision=plan.precision, folder=folder,
        )
        answers["zero_shot"] = (
            "before",
            asking.zero_shot(taps[pooling], found["test"]),
            "the frozen model's vectors, nearest label name: no training label used",
        )
    return answers


def _baselines(
    dataset: Dataset, split: Split, plan: Plan, fields: Sequence[tuple[str, ...]]
) -> Generator[Progress, None, Answers]:
    """What needs no pre-trained model, fitted on the same learning rows."""
    labels = [label or "" for label in dataset.targets(split.learners)]
    learned = [" ".join(field) for field in dataset.fields(split.learners)]
    yield Progress("baselines", 0, 2, "models")
    common = baselines.majority(labels, len(fields))
    yield Progress("baselines", 1, 2, "models")
    words = baselines.tfidf(learned, labels, [" ".join(field) for field in fields])
    yield Progress("baselines", 2, 2, "models")
    note = "TF-IDF of words and word pairs, logistic regression, on the same learning rows"
    return {
        "majority": ("baseline", _numbers(common, plan), "always the commonest class"),
        "tfidf": ("baseline", _numbers(words, plan), note),
    }


def _rung(run: Run, name: str, plan: Plan) -> tuple[TextNetwork, TextEncoder]:
    folder = Path(run.folder) / run.rung(name).folder
    paths = {path.name: path for path in folder.iterdir()}
    return open_saved(paths), ENCODERS[plan.modality].load(paths)


def _contenders(
    answers: Mapping[str, tuple[str, np.ndarray, str]], targets: np.ndarray,
    labels: Sequence[str], kept: str, seed: int,
) -> tuple[Contender, ...]:
    """Each one's scores, and the kept model compared with it on the same rows."""
    return tuple(
        Contender(
            name=name,
            kind=kind,
            scores=judging.scores(
                targets, predicted, len(labels), rng=np.random.default_rng(seed)
            ),
            versus_kept=None if name == kept else judging.compare(
                name, kept, predicted == targets, answers[kept][1] == targets
            ),
            note=note,
        )
        for name, (kind, predicted, note) in answers.items()
    )


def _better_before(contenders: Sequence[Contender]) -> str:
    """The headline compares with the better of what the model could do as it came."""
    before = [one for one in contenders if one.kind == "before"]
    return max(before, key=lambda one: one.score("accuracy").value).name


def _notes(labels: Sequence[str], classes: Sequence[str], openings: int) -> tuple[str, ...]:
    looks = (
        f"These test rows have been looked at {openings} times: choosing among versions by them "
        "makes their scores too good.",
    )
    unseen = ("Some test rows carry a label that no training row has; they count as wrong.",)
    return (looks if openings > 1 else ()) + (unseen if len(labels) > len(classes) else ())
