"""Small Datasets for the tests of checks and stages."""

from collections.abc import Sequence

import pyarrow as pa

from fettle.checks.evidence import Evidence, look
from fettle.core.dataset import Dataset, Refused, Schema


def dataset(
    labels: Sequence[str | None],
    texts: Sequence[str | None] | None = None,
    parts: Sequence[str] | None = None,
    *,
    refused: tuple[Refused, ...] = (),
    **more: Sequence[str | None],
) -> Dataset:
    """Rows t.csv:2, t.csv:3 ... with a text each of its own unless given."""
    rows = len(labels)
    columns = {"text": texts or [f"text number {row}" for row in range(rows)], **more}
    table = pa.table(
        {name: pa.array(cells, pa.string()) for name, cells in {**columns, "label": labels}.items()}
    )
    return Dataset(
        name="t.csv",
        table=table,
        schema=Schema("label", tuple(columns)),
        ids=tuple(f"t.csv:{row + 2}" for row in range(rows)),
        parts=tuple(parts or [""] * rows),
        refused=refused,
    )


def evidence(
    labels: Sequence[str | None],
    texts: Sequence[str | None] | None = None,
    parts: Sequence[str] | None = None,
    **more: Sequence[str | None],
) -> Evidence:
    """The same, as the checks see it."""
    return look(dataset(labels, texts, parts, **more))
