"""Remembering: what can be read from the features of two models, on rows that neither is tuned to.

A linear probe is solved on the frozen features of the model as it came and of the tuned one, and
judged on rows held out in turn. What it can no longer tell apart has been forgotten.
"""

from collections.abc import Generator, Sequence

import numpy as np

from fettle.core.evaluation import Retention
from fettle.core.parts import Encoder, Network
from fettle.core.progress import Progress
from fettle.engine.linear import solve_path
from fettle.engine.predict import taps_of
from fettle.measures.folds import stratified_folds
from fettle.measures.judging import accuracy, compare
from fettle.measures.similarity import linear_cka, unit

__all__ = ["Guard", "probe", "retained", "retention"]

Guard = tuple[str, Sequence[tuple[str, ...]], Sequence[str]]
"""Labelled rows of another task: their name, what is read of each, and the labels."""

FOLDS = 5
PENALTIES = (1e-1, 3e-2, 1e-2, 3e-3)
MOST_ROWS = 600
"""Of a guard; so many show a loss of three or four points."""


def retained(
    base: Network,
    tuned: Network,
    encoder: Encoder,
    own: tuple[Sequence[tuple[str, ...]], np.ndarray],
    guards: Sequence[Guard],
    *,
    pooling: str,
    precision: str,
    seed: int,
) -> Generator[Progress, None, tuple[float, tuple[Retention, ...]]]:
    """How alike the two models' features of these rows are, and what each guard's probe retains.

    Args:
        base, tuned: of one architecture; their heads are not asked.
        encoder: of both.
        own: what is read of rows of the task itself, at least two, and the base's features of
            them, (rows, width).
        guards: of more than 600 rows, 600 are drawn.
        pooling: mean, cls or max.
        precision: bf16 or fp32.
        seed: of draws and folds.
    """
    def features(
        network: Network, rows: Sequence[tuple[str, ...]]
    ) -> Generator[Progress, None, np.ndarray]:
        taps = yield from taps_of(network, encoder, encoder.encode(rows), names=(pooling,),
                                  precision=precision)
        return taps[pooling]

    fields, came = own
    similarity = linear_cka(came, (yield from features(tuned, fields)))
    retentions = []
    for name, rows, labels in guards:
        some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MOST_ROWS])
        read = [rows[row] for row in some]
        before = yield from features(base, read)
        after = yield from features(tuned, read)
        _, targets = np.unique([labels[row] for row in some], return_inverse=True)
        retentions.append(retention(name, before, after, targets, seed=seed))
    return similarity, tuple(retentions)


def retention(
    name: str, base: np.ndarray, tuned: np.ndarray, targets: np.ndarray, *, seed: int
) -> Retention:
    """How well a probe does on the features of the base model and of the tuned one, paired.

    Args:
        name: of the guarded rows.
        base: float (rows, width).
        tuned: float (rows, width), of the same rows.
        targets: int (rows,).
        seed: of the folds, which are the same for both.

    Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes",
    2016, for the probe; Davari et al., "Probing Representation Forgetting in Supervised and
    Unsupervised Continual Learning", CVPR 2022, section 3, for what it tells.
    """
    before, after = (probe(features, targets, seed=seed) for features in (base, tuned))
    change = compare("base", "tuned", before, after)
    return Retention(
        name, len(targets), accuracy(before), accuracy(after), change, linear_cka(base, tuned)
    )


def probe(
    features: np.ndarray, targets: np.ndarray, *, seed: int, penalties: Sequence[float] = PENALTIES
) -> np.ndarray:
    """Whether a head on these features is right on rows that it has not seen: bool (rows,).

    Of the penalties, the one that is right most often over all folds.

    Args:
        features: float (rows, width).
        targets: int (rows,).
        seed: of the folds.
        penalties: to choose from.
    """
    vectors = unit(features).astype(np.float32)
    _, labels = np.unique(targets, return_inverse=True)
    classes = int(labels.max()) + 1
    _, groups = np.unique(vectors, axis=0, return_inverse=True)  # twins stay in one fold
    held = stratified_folds(labels, groups, FOLDS, np.random.default_rng(seed))
    right = {penalty: np.zeros(len(labels), dtype=bool) for penalty in penalties}
    for fold in range(FOLDS):
        judge = held == fold
        if not judge.any() or judge.all():
            continue
        heads = solve_path(vectors[~judge], labels[~judge], classes=classes, l2=penalties)
        for head in heads:
            right[head.l2][judge] = head.outputs(vectors[judge]).argmax(axis=1) == labels[judge]
    return max(right.values(), key=lambda one: int(one.sum()))
