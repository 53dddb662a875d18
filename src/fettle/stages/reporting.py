"""Reporting: everything that a run made in, one self-contained page and a model card out.

It opens no row: labels, names, numbers and ids come out of the nouns that other stages made.
"""

import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from fettle.core.audit import Audit
from fettle.core.dataset import Dataset
from fettle.core.evaluation import Evaluation
from fettle.core.pictures import Illustration
from fettle.core.plan import Machine, Plan
from fettle.core.run import Run
from fettle.core.split import Split
from fettle.core.version import Report
from fettle.measures.spending import spending
from fettle.pages.blocks import Story
from fettle.pages.card import card
from fettle.pages.document import page
from fettle.store.files import write_text

__all__ = ["write"]

MOST_BYTES = 1_000_000
"""Of a report: it is sent by mail."""
LIBRARIES = (
    "fettle", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy",
    "scikit-learn", "pyarrow",
)
"""Whose versions the report names: those that can change a number in it."""
OF_PICTURES = ("pillow", "torchvision", "timm", "keras")


def write(
    dataset: Dataset,
    audit: Audit,
    split: Split,
    plan: Plan,
    run: Run,
    evaluation: Evaluation,
    *,
    folder: Path,
    machine: Machine | None = None,
    illustrations: Mapping[str, Illustration] | None = None,
) -> Report:
    """Write `report.html` and `model-card.md` into the run's folder; each is whole or not there.

    Args:
        folder: the run's.
        machine: where the rungs were climbed; without it no speed is held against a peak.
        illustrations: of rows that are pictures, by their ids.

    Raises:
        StoreError: the folder cannot be written to; what stood there before still stands.
    """
    story = Story(
        dataset, audit, split, plan, run, evaluation, _versions(plan), spending(plan, run, machine),
        illustrations or {}, _size(run),
    )
    html = write_text(folder / "report.html", _small(story))
    markdown = write_text(folder / "model-card.md", card(story))
    return Report(html=str(html), card=str(markdown))


def _small(story: Story) -> str:
    """The page, with so many of its pictures that it stays within a megabyte."""
    html = page(story)
    while len(html.encode()) > MOST_BYTES and story.illustrations:
        fewer = list(story.illustrations.items())[: len(story.illustrations) // 2]
        story = replace(story, illustrations=dict(fewer))
        html = page(story)
    return html


def _size(run: Run) -> int:
    """Bytes of the kept rung's network and preprocessing."""
    folder = Path(run.folder) / run.rung(run.kept).folder
    return sum(path.stat().st_size for path in folder.glob("*")
               if path.name not in ("rung.json", "outputs.safetensors"))


def _versions(plan: Plan) -> Mapping[str, str]:
    """Of Python and of each library that is installed."""
    found = {"python": platform.python_version()}
    for name in (*LIBRARIES, *(OF_PICTURES if plan.modality == "image" else ())):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
