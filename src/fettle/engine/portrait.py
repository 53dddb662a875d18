"""Portraits: rows in, what is watched of them out: traits, probabilities, what enters the head.

One forward pass gives both; nothing of a row's text is in what comes out.
"""

from collections.abc import Generator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from fettle.core.drift import PREDICTION, Portrait
from fettle.core.parts import Encoder, Network
from fettle.core.pictures import is_picture
from fettle.core.plan import Unit
from fettle.core.progress import Progress
from fettle.engine.predict import taps_by_batch
from fettle.measures import label_calibration
from fettle.measures.calibration import log_probabilities
from fettle.measures.traits import BLANK, column_kind, in_numbers, surprise, text_traits

__all__ = ["kinds_of", "portrait", "token_counts"]

Fields = Sequence[tuple[str, ...]]


def kinds_of(names: Sequence[str], fields: Fields) -> dict[str, str]:
    """What is watched of each column: text, number or category; one column alone is text, or
    picture."""
    if len(names) == 1:
        cell = next((row[0] for row in fields), "")
        return {names[0]: "picture" if is_picture(cell) else "text"}
    return {
        name: column_kind(cells)
        for name, cells in zip(names, zip(*fields, strict=True), strict=True)
    }


def token_counts(encoder: Encoder, fields: Fields, *, vocabulary: int) -> np.ndarray:
    """How often each token stands in these rows, int64 (vocabulary,)."""
    counts = np.zeros(vocabulary, dtype=np.int64)
    for start in range(0, len(fields), 1000):
        for item in encoder.encode(fields[start : start + 1000]):
            counts += np.bincount(np.minimum(item, vocabulary - 1), minlength=vocabulary)
    return counts


def portrait(
    network: Network,
    head: nn.Module,
    encoder: Encoder,
    fields: Fields,
    *,
    classes: tuple[str, ...],
    kinds: Mapping[str, str],
    temperature: float,
    precision: str,
    unit: Unit | None = None,
    counts: np.ndarray | None = None,
    labels: Sequence[str | None] = (),
    thresholds: tuple[float, ...] | None = None,
) -> Generator[Progress, None, Portrait]:
    """What is watched of these rows.

    Args:
        network: whose pooled output the head takes, by the name of the head's own pooling.
        head: from those vectors to raw outputs (rows, classes).
        kinds: of the columns, as `kinds_of` found them in the reference.
        temperature: that raw outputs are divided by.
        unit: of the answers, where they are numbers; then there are no classes.
        counts: of the tokens of the rows that were learned from; without them the vocabulary is
            not watched.
        labels: the right answers, where they are known.
        thresholds: from which probability on each label is called, where a row may have several.

    Yields:
        Progress after every batch.
    """
    items = encoder.encode(fields)
    pooling = str(head.pooling)
    device = next(head.parameters()).device
    vectors = np.empty((len(items), network.card.width), np.float32)
    outputs = np.empty((len(items), len(classes) or 1), np.float32)
    done = 0
    for rows, taps in taps_by_batch(network, encoder, items, names=[pooling], precision=precision):
        with torch.inference_mode():
            found = head(taps[pooling].to(device))
        vectors[rows] = taps[pooling].float().numpy()
        outputs[rows] = found.float().cpu().numpy()
        done += len(rows)
        yield Progress("watched rows", done, len(items))
    traits = _traits(fields, encoder.fields, kinds) if "picture" not in kinds.values() else (
        encoder.traits(fields, items))
    if counts is not None and "text" in kinds.values():
        traits["vocabulary"] = surprise(items, counts)
    probabilities = np.empty((len(items), 0))
    if thresholds is not None:
        probabilities = label_calibration.probabilities(outputs, temperature)
    elif unit is None:
        probabilities = np.exp(log_probabilities(outputs.astype(np.float64) / temperature))
    else:
        traits[PREDICTION] = outputs[:, 0].astype(np.float64) * unit.spread + unit.mean
    return Portrait(
        kinds=dict(kinds), traits=traits, classes=classes, probabilities=probabilities,
        embedding=vectors, labels=tuple(labels), thresholds=thresholds,
    )


def _traits(
    fields: Fields, names: Sequence[str], kinds: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """By name; those of a column are called by it where there is more than one."""
    found: dict[str, np.ndarray] = {}
    columns = list(zip(*fields, strict=True)) or [()] * len(names)
    for name, cells in zip(names, columns, strict=True):
        before = f"{name}: " if len(names) > 1 else ""
        if kinds[name] == "category":
            found[f"{before}value"] = np.array([cell.strip() or BLANK for cell in cells])
            continue
        if kinds[name] == "number":
            values = in_numbers(cells)
            found[f"{before}number"] = values
            found[f"{before}filled"] = np.where(np.isfinite(values), "a number", "none")
            continue
        for trait, values in text_traits(cells).items():
            found[before + trait] = values
        found[f"{before}filled"] = np.array(["text" if cell.strip() else BLANK for cell in cells])
    return found
