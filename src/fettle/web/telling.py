"""Telling: what the network said of rows in; the answer's JSON, and the journal's entries, out."""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fettle.core.journal import Answered, is_audited
from fettle.core.labels import packed
from fettle.stages.serving import Opened
from fettle.tasks.multi_label import MultiLabel
from fettle.web.asking import OUTPUTS, OUTPUTS_OF_NUMBERS, Question
from fettle.web.batching import Asked

__all__ = ["Keeping", "entries", "given", "inferred", "metadata", "predictions"]

SHOWN = 3
"""Classes of an answer that are told."""
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the journal keeps of an answer, beside what was answered."""

    embeddings: bool = True
    inputs: bool = False
    audit_share: float = 0.01
    """Of all answers, that belong to the random audit stream."""


def entries(asked: Asked, keeping: Keeping) -> list[Answered]:
    """What was answered, row by row, each under an id that nobody can guess."""
    now = datetime.datetime.now(datetime.UTC)
    classes, columns = asked.model.task.classes, asked.model.encoder.fields
    found: list[Answered] = []
    for said, value in zip(
        asked.probabilities, _values(asked.model, asked.probabilities), strict=True
    ):
        row, id = len(found), uuid.uuid4().hex
        found.append(Answered(
            id=id, at=now, version=asked.model.id, value=value,
            probabilities=said if classes else said[:0],
            embedding=asked.embeddings[row] if keeping.embeddings else None,
            inputs=dict(zip(columns, asked.fields[row], strict=True)) if keeping.inputs else None,
            stream="audit" if is_audited(id, keeping.audit_share) else "user",
            traits={name: float(values[row]) for name, values in asked.traits.items()},
        ))
    return found


def given(model: Opened, answers: Sequence[Answered], question: Question) -> dict[str, Any]:
    """The answer in fettle's own form."""
    told: dict[str, Any] = {
        "model": model.id.rpartition("@")[0],
        "version": model.id,
        "predictions": predictions(model, answers),
    }
    if question.warnings:
        told["warnings"] = list(question.warnings)
    return told


def predictions(model: Opened, answers: Sequence[Answered]) -> list[dict[str, Any]]:
    """One object a row: id, value, confidence, the likeliest classes, and the stream; of numbers
    the interval in place of confidence and classes.

    Where a row may have several labels, the value is a list of those that are called, and each of
    them stands with its probability.
    """
    classes, task = model.task.classes, model.task
    if not classes:
        return [
            {"id": one.id, "value": float(one.value), "interval": _interval(model, one),
             "stream": one.stream}
            for one in answers
        ]
    told = []
    for one, confidence in zip(answers, _sure(model, answers), strict=True):
        order = np.argsort(-one.probabilities, kind="stable")
        value: str | list[str] = one.value
        shown = order[:SHOWN].tolist()
        if isinstance(task, MultiLabel):
            value = list(task.labels(one.probabilities[None])[0])
            shown = [number for rank, number in enumerate(order.tolist())
                     if rank < SHOWN or classes[number] in value]
        told.append({
            "id": one.id,
            "value": value,
            "confidence": confidence,
            "probabilities": {
                classes[number]: round(float(one.probabilities[number]), DIGITS)
                for number in shown
            },
            "stream": one.stream,
        })
    return told


def _values(model: Opened, probabilities: np.ndarray) -> list[str]:
    """What is answered to each row: the likeliest class, a JSON list of labels, or a number."""
    if isinstance(model.task, MultiLabel):
        return [packed(labels) for labels in model.task.labels(probabilities)]
    if not model.task.classes:
        return [repr(float(said[0])) for said in probabilities]
    return [model.task.classes[number] for number in probabilities.argmax(axis=1)]


def _sure(model: Opened, answers: Sequence[Answered]) -> list[float]:
    """How sure each answer is: of several labels, that they are these and no others."""
    if answers and isinstance(model.task, MultiLabel):
        found = model.task.sure(np.stack([one.probabilities for one in answers]))
        return [round(float(one), DIGITS) for one in found]
    return [round(float(one.probabilities.max()), DIGITS) for one in answers]


def inferred(model: Opened, answers: Sequence[Answered], question: Question) -> dict[str, Any]:
    """The answer in the form of the Open Inference Protocol."""
    rows, classes = len(answers), list(model.task.classes)
    data: dict[str, tuple[str, list[int], list[Any]]] = {
        "value": ("FP64", [rows], [float(one.value) for one in answers]),
        "interval": ("FP64", [rows, 2], [
            end for one in answers for end in _interval(model, one) or ()
        ]),
    } if not classes else {
        "label": ("BYTES", [rows], [one.value for one in answers]),
        "confidence": ("FP64", [rows], _sure(model, answers)),
        "probabilities": ("FP64", [rows, len(classes)], [
            value for one in answers for value in one.probabilities.round(DIGITS).tolist()
        ]),
    }
    if data.get("interval", ("", [], [""]))[2] == []:
        data["interval"] = ("FP64", [rows, 0], [])
    data["prediction_id"] = ("BYTES", [rows], [one.id for one in answers])
    data["stream"] = ("BYTES", [rows], [one.stream for one in answers])
    name, _, number = model.id.rpartition("@")
    told: dict[str, Any] = {
        "model_name": name, "model_version": number,
        "outputs": [
            {"name": key, "datatype": data[key][0], "shape": data[key][1], "data": data[key][2]}
            for key in question.outputs
        ],
    }
    if question.id is not None:
        told["id"] = question.id
    if question.warnings:
        told["parameters"] = {"warnings": "\n".join(question.warnings)}
    return told


def metadata(model: Opened) -> dict[str, Any]:
    """The model as the Open Inference Protocol describes it."""
    name, _, number = model.id.rpartition("@")
    classes = len(model.task.classes)
    inside = {"parameters": {"content_type": "base64"}} if model.schema.modality == "image" else {}
    kinds = dict.fromkeys(("confidence", "probabilities", "value", "interval"), "FP64")
    widths = {"probabilities": [classes], "interval": [2]}
    return {
        "name": name,
        "versions": [number],
        "platform": "fettle",
        "inputs": [
            {"name": column, "datatype": "BYTES", "shape": [-1], **inside}
            for column in model.encoder.fields
        ],
        "outputs": [
            {
                "name": key, "datatype": kinds.get(key, "BYTES"),
                "shape": [-1, *widths.get(key, [])],
            }
            for key in (OUTPUTS if classes else OUTPUTS_OF_NUMBERS)
        ],
        "parameters": {"classes": json.dumps(model.task.classes, ensure_ascii=False)},
    }


def _interval(model: Opened, answer: Answered) -> list[float] | None:
    """What should hold the truth in 9 of 10 cases; None where that is not known."""
    half = model.task.half_width
    value = float(answer.value)
    return None if half is None else [value - half, value + half]
