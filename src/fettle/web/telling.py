"""Telling: what the network said of rows in; the answer's JSON, and the journal's entries, out."""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fettle.core.journal import Answered, is_audited
from fettle.stages.serving import Opened
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
    found = []
    for row, said in enumerate(asked.probabilities):
        id = uuid.uuid4().hex
        found.append(Answered(
            id=id, at=now, version=asked.model.id,
            value=classes[int(said.argmax())] if classes else repr(float(said[0])),
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
    the interval in place of confidence and classes."""
    classes = model.task.classes
    if not classes:
        return [
            {"id": one.id, "value": float(one.value), "interval": _interval(model, one),
             "stream": one.stream}
            for one in answers
        ]
    return [
        {
            "id": one.id,
            "value": one.value,
            "confidence": round(float(one.probabilities.max()), DIGITS),
            "probabilities": {
                classes[number]: round(float(one.probabilities[number]), DIGITS)
                for number in np.argsort(-one.probabilities, kind="stable")[:SHOWN]
            },
            "stream": one.stream,
        }
        for one in answers
    ]


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
        "confidence": ("FP64", [rows], [
            round(float(one.probabilities.max()), DIGITS) for one in answers
        ]),
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
