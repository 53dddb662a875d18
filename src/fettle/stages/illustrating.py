"""Illustrating: the rows that a report names, as small pictures, with where the network looked.

Nothing is measured here that anything follows from; texts need no pictures.
"""

import time
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np

from fettle.core.dataset import Dataset
from fettle.core.evaluation import Evaluation
from fettle.core.pictures import Illustration
from fettle.core.plan import Plan
from fettle.core.progress import Progress
from fettle.core.run import Run
from fettle.engine.predict import outputs_of
from fettle.modalities.image import ImageEncoder
from fettle.models.network import open_saved
from fettle.store import decoding, pictures

__all__ = ["illustrate"]

MOST = 24
"""Rows that are shown."""
SECONDS = 20.0
"""At most this long for all maps of where the network looked; later rows have none."""
CELLS = 7
"""Squares a side that are covered in turn."""


def illustrate(
    dataset: Dataset, plan: Plan, run: Run, evaluation: Evaluation, *, shown: bool
) -> Generator[Progress, None, Mapping[str, Illustration]]:
    """A thumbnail of each row to look at, by its id, and a map of what its answer hangs on.

    The map shows by how much the output of the answer falls where a square is covered with grey;
    where the answer is a number, by how much it changes.

    Args:
        dataset, plan, run, evaluation: of one story.
        shown: whether rows may stand in a report at all: it travels with the version.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
    section 4.2 (occlusion sensitivity).
    """
    if plan.modality != "image" or not shown:
        return {}
    row_of = {id_: row for row, id_ in enumerate(dataset.ids)}
    wanted = list(dict.fromkeys(one.id for one in evaluation.look_at if one.id in row_of))[:MOST]
    folder = Path(run.folder) / run.rung(run.kept).folder
    paths = {path.name: path for path in folder.iterdir()}
    network, encoder = open_saved(paths), ImageEncoder.load(paths)
    begun = time.perf_counter()
    found: dict[str, Illustration] = {}
    for number, id_ in enumerate(wanted):
        fields = dataset.fields([row_of[id_]])
        small = decoding.thumbnail(pictures.content_of(fields[0][0]))
        looked = ""
        if time.perf_counter() - begun < SECONDS:
            seen, *covered = encoder.covered(encoder.encode(fields)[0], CELLS)
            said = yield from outputs_of(network, encoder, [seen, *covered],
                                         precision=plan.precision)
            looked = decoding.overlaid(seen, _hung(said).reshape(CELLS, CELLS))
        found[id_] = Illustration(small, looked)
        yield Progress("illustrations", number + 1, len(wanted), "pictures")
    return found


def _hung(said: np.ndarray) -> np.ndarray:
    """How much of the answer hangs on each square, (squares,), from 0 on.

    Args:
        said: outputs (1 + squares, outputs): of the whole picture, then with each square covered.
            One output alone is a number, which may rise or fall.
    """
    answer = said[0].argmax()
    fall = said[0, answer] - said[1:, answer]
    return np.abs(fall) if said.shape[1] == 1 else np.maximum(fall, 0)
