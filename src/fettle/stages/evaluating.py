"""Evaluating: before and after on the test rows, paired, with how sure one can be of each number.

The only place that opens the vault. Nothing that is measured here flows back into training.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fettle.checks import baselines, parting
from fettle.core.dataset import Dataset
from fettle.core.evaluation import (
    Contender,
    Evaluation,
    Fitting,
    Forgetting,
    Latency,
    LearningCurve,
    Slice,
)
from fettle.core.parts import Card, Encoder
from fettle.core.plan import Plan, Setting
from fettle.core.progress import Note, Progress
from fettle.core.run import Run
from fettle.core.score import Comparison  # fmt: skip
from fettle.core.split import Opening, Split
from fettle.core.task import Judge, Task
from fettle.engine import asking, curve, examining, remembering
from fettle.engine.predict import outputs_of
from fettle.engine.replay import features, prefix
from fettle.measures import fitting, judging, learning_curve, slices
from fettle.measures.groups import few_groups, together
from fettle.measures.judging import Answers
from fettle.measures.similarity import unit
from fettle.modalities import ENCODERS
from fettle.models.network import BlockNetwork, open_network, open_saved, preprocessing
from fettle.store import folders
from fettle.store.answers import keep_answers, note_features, validated
from fettle.strategies import STRATEGIES
from fettle.tasks.making import task_of

__all__ = ["evaluate"]

Before = Callable[[Sequence[tuple[str, ...]]], tuple[str, Sequence[str]]]
"""The version before: its id, and its answer to each of these rows."""
SAMPLE = 500
"""Rows looked at where a share or a likeness is wanted, not each row."""
ONE_NAME = ("classification",)
"""Tasks whose answer is one name, so that the nearest one answers without training."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What was made of the test rows, and of the learning rows, by whom."""

    dataset: Dataset
    split: Split
    plan: Plan
    run: Run
    task: Task
    fields: Sequence[tuple[str, ...]]
    """Of the test rows."""
    truth: np.ndarray
    learned: np.ndarray
    """Targets of the learning rows."""
    vectors: Mapping[str, np.ndarray]
    """The base model's features: learn and test, (rows, width) each, as the kept head pools."""
    network: BlockNetwork
    encoder: Encoder
    outputs: np.ndarray
    """The kept network's, on the test rows, before the temperature."""
    validation: tuple[np.ndarray, np.ndarray]
    """What the kept rung said of rows that it had not learned from, and their targets."""
    places: np.ndarray | None
    """Which of the learning rows those are."""

    def rng(self) -> np.random.Generator:
        """The same for every part, so that no part's numbers depend on another part."""
        return np.random.default_rng(self.plan.seed)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Of the kept rung."""
        return next(one.settings for one in self.plan.rungs if one.strategy == self.run.kept)

    @property
    def judge(self) -> Judge:
        """Of the task, which knows how sure it may be."""
        return self.task.judge

    @property
    def values(self) -> np.ndarray:
        """How well the kept network does, row by row: (rows,), by `by_row`."""
        return self.judge.values(self.judge.said(self.outputs), self.truth)

    def groups(self, rows: Sequence[int]) -> np.ndarray | None:
        """Numbers of these rows' groups, (rows,); None where each row is alone."""
        return together(self.split.groups(rows)) if len(rows) else None

    @property
    def tested(self) -> np.ndarray | None:
        """Groups of the test rows."""
        return self.groups(self.split.vault.sealed)

    @property
    def among(self) -> np.ndarray | None:
        """Groups of the validated rows; None, too, where an older run did not say which."""
        return self.groups(self.split.validation if self.places is None else
                           [self.split.learners[at] for at in self.places.tolist()])


def evaluate(
    dataset: Dataset,
    split: Split,
    plan: Plan,
    run: Run,
    *,
    card: Card,
    count: Callable[[Opening], int],
    guards: Sequence[Dataset] = (),
    before: Before | None = None,
) -> Generator[Progress | Note, None, Evaluation]:
    """Score what was there before, what is cheap, and every rung, on the same test rows.

    Args:
        dataset, split, plan, run: of one story.
        card: of the plan's model, for what it does without training.
        count: writes an opening of the vault down and returns how many there have been.
        guards: labelled rows of other tasks, on which nothing should be forgotten.
        before: answers of the version before, for rows that it has not learned from.
    """
    held, known, places = validated(Path(run.folder), run.rung(run.kept).folder)
    task = task_of(plan).fitted(held, known)
    rows, openings = split.vault.open(f"evaluate run {run.plan}", count)
    fields = dataset.fields(rows)
    truth = task.judge.truth(dataset.targets(rows))
    learned = task.judge.truth(dataset.targets(split.learners))
    answers, vectors = yield from _before(dataset, split, plan, run, card, fields)
    answers.update((yield from _baselines(dataset, split, plan, run, fields)))
    latency: tuple[Latency, ...] = ()
    seen: _Seen | None = None
    for rung in run.rungs:
        network, encoder = _rung(run, rung.name, plan)
        outputs = yield from outputs_of(
            network, encoder, encoder.encode(fields), precision=plan.precision
        )
        answers[rung.name] = ("rung", task.judge.said(outputs), "")
        if rung.name == run.kept:
            yield Progress("latency", 0, 1, "passes")
            latency = asking.latency(network, encoder, fields, precision=plan.precision)
            yield Progress("latency", 1, 1, "passes")
            seen = _Seen(dataset, split, plan, run, task, fields, truth, learned, vectors,
                         network, encoder, outputs, (held, known), places)
    assert seen is not None, "the kept rung is one of the rungs"
    keep_answers(Path(run.folder), seen.outputs, truth)
    contenders = task.judge.contenders(
        answers, truth, kept=run.kept, seed=plan.seed, groups=seen.tested)
    whole = _scored(seen, contenders, answers, openings, latency)
    return (yield from _examined(whole, seen, answers, card, guards, before))


def _scored(
    seen: _Seen, contenders: tuple[Contender, ...], answers: Answers, openings: int,
    latency: tuple[Latency, ...],
) -> Evaluation:
    """Scores and comparisons: the part of an Evaluation that every one has."""
    before = judging.better_before(contenders)
    change = next(one for one in contenders if one.name == before).versus_kept
    values = seen.judge.values(answers[before][1], seen.truth), seen.values, seen.tested
    by_row = seen.judge.by_row
    several = None if seen.tested is None else int(seen.tested.max()) + 1
    score = next(one for one in contenders if one.name == seen.run.kept).score(seen.plan.metric)
    return Evaluation(
        test=seen.split.vault.fingerprint,
        rows=len(seen.truth),
        openings=openings,
        metric=seen.plan.metric,
        kept=seen.run.kept,
        before=before,
        contenders=contenders,
        groups=several,
        latency=latency,
        smallest_gain=by_row.smallest_gain(*values),
        rows_to_tell=None if change is None or change.verdict != "cannot tell" else
        by_row.rows_to_tell(*values),
        notes=judging.looks(openings, score) + few_groups(several) +
        seen.judge.remarks(seen.truth),
    )


def _examined(
    whole: Evaluation, seen: _Seen, answers: Answers, card: Card, guards: Sequence[Dataset],
    before: Before | None,
) -> Generator[Progress | Note, None, Evaluation]:
    """What else there is to know of the kept model, beyond its scores."""
    details = seen.judge.details(
        seen.outputs, seen.truth, validation=seen.validation, seed=seen.plan.seed,
        source="validation" if seen.split.validation else "out of fold",
        groups=seen.tested, among=seen.among,
    )
    parts = _slices(seen, seen.judge.values(answers[whole.before or whole.kept][1], seen.truth))
    bent = yield from _curve(seen, card)
    learned = yield from _fitting(seen, whole)
    forgetting = yield from _forgetting(seen, card, guards, before)
    look_at = seen.judge.look_at(
        "wrong and sure", [seen.dataset.ids[row] for row in seen.split.vault.sealed],
        seen.outputs, seen.truth,
    )
    if len(seen.validation[1]) == len(seen.split.validation):
        look_at += seen.judge.look_at(
            "suspected label", [seen.dataset.ids[row] for row in seen.split.validation],
            *seen.validation,
        )
    return replace(
        whole, slices=parts, curve=bent, fitting=learned, forgetting=forgetting, look_at=look_at,
        blocks=examining.block_uses(
            seen.network, open_network(card), STRATEGIES[seen.run.kept](seen.settings),
            epochs=len(seen.run.rung(seen.run.kept).history),
        ),
        **details,
    )


def _slices(seen: _Seen, before: np.ndarray) -> tuple[Slice, ...]:
    """Given columns, lengths and clusters, the worst first."""
    dataset, split = seen.dataset, seen.split
    learners = dataset.fields(split.learners)
    labels = [str(label) for label in dataset.targets(split.learners)]
    parts = [
        *parting.by_column(dataset, split.learners, split.vault.sealed,
                           told=seen.plan.reading.slices),
        *parting.by_nature(dataset, learners, seen.fields),
        *parting.by_cluster(seen.vectors["learn"], labels, seen.vectors["test"],
                            seed=seen.plan.seed),
    ]
    return slices.judged(parts, seen.values, before, by_row=seen.judge.by_row,
                         groups=seen.tested)


def _curve(seen: _Seen, card: Card) -> Generator[Progress, None, LearningCurve | None]:
    """Would more data help? Heads on parts of the learning rows, judged on the test rows."""
    sizes = curve.sizes_of(len(seen.learned), seen.task.outputs)
    if len(sizes) < 2:
        return None
    learned, tested = (
        unit(seen.vectors[part]) if card.embeds_sentences else seen.vectors[part]
        for part in ("learn", "test")
    )
    l2 = float(next((one.chosen["l2"] for one in seen.run.rungs if "l2" in one.chosen), 1e-2))
    values = yield from curve.values_by_size(
        seen.task, learned, seen.learned, tested, seen.truth,
        l2=(10 * l2, 3 * l2, l2), sizes=sizes, rng=seen.rng(),
        groups=seen.groups(seen.split.learners),
    )
    return learning_curve.curve(values, sizes, rows=len(seen.learned), rng=seen.rng(),
                                by_row=seen.judge.by_row, groups=seen.tested)


def _fitting(seen: _Seen, whole: Evaluation) -> Generator[Progress, None, Fitting]:
    """Too little, or too much by heart: rows it learned from, against test rows and baselines."""
    train = np.asarray(seen.split.train)
    some = np.sort(seen.rng().permutation(len(train))[:SAMPLE])
    fields = seen.dataset.fields(train[some].tolist())
    outputs = yield from outputs_of(
        seen.network, seen.encoder, seen.encoder.encode(fields), precision=seen.plan.precision
    )
    rung = seen.run.rung(seen.run.kept)
    cheap = [one for one in whole.contenders if one.kind == "baseline"]
    best = next(one for one in cheap if one.name == judging.hardest(cheap))
    label = {row: str(cell) for row, cell in
             zip(seen.split.learners, seen.dataset.targets(seen.split.learners), strict=True)}
    clusters = [[label[row] for row in rows if row in label] for rows in seen.split.tied]
    epoch = rung.chosen.get("epoch")
    return seen.judge.fitting(
        rung.history,
        train=seen.judge.values(seen.judge.said(outputs), seen.learned[some]),
        test=seen.values,
        baseline=best.versus_kept,
        twins=() if seen.dataset.schema.group else [one for one in clusters if len(one) > 1],
        stopped=fitting.stopped_by(
            rung.history, planned=int(seen.settings.get("epochs", 0)),
            patience=int(seen.settings.get("patience", 0)),
            chosen=int(epoch) if epoch is not None else None,
        ),
    )


def _forgetting(
    seen: _Seen, card: Card, guards: Sequence[Dataset], before: Before | None
) -> Generator[Progress | Note, None, Forgetting]:
    """What the model as it came, and the version before, could do that this one cannot."""
    flips, told = _flips(seen, before)
    rung = seen.run.rung(seen.run.kept)
    if not rung.history:
        why = ("The backbone was not changed, so its features are what they were: nothing that "
               "could be read from them is forgotten.")
        return Forgetting((), 1.0, flips, (why, *told))
    some = seen.fields[:SAMPLE]
    similarity, retentions = yield from remembering.retained(
        open_network(card), seen.network, seen.encoder,
        (some, seen.vectors["test"][: len(some)]),
        [(one.name, one.fields(), [str(label) for label in one.targets()]) for one in guards],
        pooling=str(rung.chosen.get("pooling", card.pooling)),
        precision=seen.plan.precision, seed=seen.plan.seed,
    )
    if not guards:
        told += ("No rows of another task were at hand to see what was forgotten: give a labelled "
                 "file with --guard.",)
    return Forgetting(retentions, similarity, flips, told)


def _flips(seen: _Seen, before: Before | None) -> tuple[Comparison | None, tuple[str, ...]]:
    """The version before against this one, on the same rows."""
    if before is None:
        return None, ()
    name, cells = before(seen.fields)
    values = seen.judge.values(seen.judge.truth(cells), seen.truth)
    flips = seen.judge.by_row.compare(name, seen.run.kept, values, seen.values, seen.tested)
    lost, won = "are further from the truth now", "are nearer to it"
    if seen.judge.by_row.name == judging.RIGHT.name:
        lost, won = "flipped from right to wrong", "from wrong to right"
    return flips, (
        f"Against {name}, {flips.losses:,} of {flips.rows:,} test rows {lost} and {flips.wins:,} "
        f"{won}.",
    )


def _before(
    dataset: Dataset, split: Split, plan: Plan, run: Run, card: Card,
    fields: Sequence[tuple[str, ...]],
) -> Generator[Progress | Note, None, tuple[Answers, dict[str, np.ndarray]]]:
    """What the model as it came makes of the test rows, without learning anything.

    With it the features of the learning and the test rows, as the kept head pools them.
    """
    network = open_network(card)
    encoder = ENCODERS[plan.modality].fit(
        card, preprocessing(card), fields=dataset.schema.inputs, max_tokens=plan.max_tokens,
        pictures=plan.pictures,
    )
    network.run_on(plan.pictures)
    folder = folders.cache() / "replay"
    pooling = card.pooling
    names = run.poolings if pooling in run.poolings else (pooling,)
    found: dict[str, np.ndarray] = {}
    kept: dict[str, np.ndarray] = {}
    wanted = str(run.rung(run.kept).chosen.get("pooling", pooling))
    keys: dict[str, str] = {}
    for part, rows in (("learn", dataset.fields(split.learners)), ("test", fields)):
        made = yield from prefix(network, encoder, encoder.encode(rows), poolings=names, blocks=(),
                                 precision=plan.precision, folder=folder, limit=0)
        found[part], keys[part] = made.vectors[pooling], made.key
        kept[part] = made.vectors[wanted if wanted in names else pooling]
    note_features(Path(run.folder), pooling, keys)
    task = task_of(plan)
    targets = task.judge.truth(dataset.targets(split.learners))
    name, nearest, note = asking.NEAREST[task.solver]
    answers: Answers = {
        name: ("before", nearest(found["learn"], targets, found["test"], task.outputs), note)
    }
    named = plan.task in ONE_NAME and asking.have_words(plan.classes)
    if card.embeds_sentences and named:
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
    return answers, kept


def _baselines(
    dataset: Dataset, split: Split, plan: Plan, run: Run, fields: Sequence[tuple[str, ...]]
) -> Generator[Progress, None, Answers]:
    """What needs no pre-trained model, fitted on the same learning rows."""
    encoder = _rung(run, run.kept, plan)[1]
    truth = task_of(plan).judge.truth(dataset.targets(split.learners))
    known = baselines.BASELINES[plan.task]
    yield Progress("baselines", 0, 2, "models")
    name, constant, note = known.constant
    answers: Answers = {name: ("baseline", constant(truth, len(fields)), note)}
    yield Progress("baselines", 1, 2, "models")
    name, fit, note = known.cheap[plan.modality]
    said = fit(encoder.plain(dataset.fields(split.learners)), truth, encoder.plain(fields))
    answers[name] = ("baseline", said, note)
    yield Progress("baselines", 2, 2, "models")
    return answers


def _rung(run: Run, name: str, plan: Plan) -> tuple[BlockNetwork, Encoder]:
    folder = Path(run.folder) / run.rung(name).folder
    paths = {path.name: path for path in folder.iterdir()}
    return open_saved(paths), ENCODERS[plan.modality].load(paths)
