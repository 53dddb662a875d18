"""OpenAPI: what this server answers, as a document that clients are made from."""

from importlib.metadata import version
from typing import Any

from fettle.stages.serving import Opened
from fettle.tasks.multi_label import MultiLabel
from fettle.web.asking import OUTPUTS, OUTPUTS_OF_NUMBERS

__all__ = ["document"]

TEXT = {"type": "string"}
ERRORS = {
    400: "The body is no JSON object",
    401: "The token is missing or wrong",
    403: "Another host or origin",
    404: "Another model or version",
    408: "The body did not arrive in time",
    413: "The body is too large, or a picture has too many pixels",
    415: "The body is compressed, or of a kind that the model does not read",
    422: "The rows are not such as the model reads",
    503: "As many rows wait as may; Retry-After says for how long",
    504: "No answer before the deadline; what was not begun is not done",
}


def document(model: Opened, most_rows: int) -> dict[str, Any]:
    """OpenAPI 3.1 of the server as it is now.

    Args:
        model: that answers.
        most_rows: of one request.
    """
    name = model.id.rpartition("@")[0]
    columns = model.encoder.fields
    reads_pictures = model.schema.modality == "image"
    cell: dict[str, Any] = {"type": ["string", "null"]}
    if reads_pictures:
        cell = {"type": "string", "contentEncoding": "base64"}
    row: dict[str, Any] = {
        "type": "object",
        "required": list(columns),
        "properties": dict.fromkeys(columns, cell),
    }
    if len(columns) == 1:
        row = {"anyOf": [cell if reads_pictures else TEXT, row]}
    named = f"/v2/models/{name}"
    paths: dict[str, Any] = {
        "/predict": {"post": _operation("Answers, one a row", "Question", "Answer")},
        "/metrics": {"get": {"summary": "Counters, as Prometheus reads them", "responses": {
            "200": {"description": "Text", "content": {"text/plain": {"schema": TEXT}}},
        }}},
        "/openapi.json": {"get": _look("This document", "Object")},
        "/v2": {"get": _look("What this server is", "Object")},
        "/v2/health/live": {"get": _look("The process answers", "Object")},
        "/v2/health/ready": {"get": _look("A version is there that answers", "Object")},
    }
    if reads_pictures:
        paths["/predict"]["post"]["requestBody"]["content"].update(_pictures())
    for path in (named, f"{named}/versions/{{number}}"):
        paths[path] = {"get": _look("Inputs, outputs and classes", "Object")}
        paths[f"{path}/ready"] = {"get": _look("This model answers", "Object")}
        paths[f"{path}/infer"] = {
            "post": _operation("Open Inference Protocol 2", "InferQuestion", "InferAnswer")
        }
    for path, operations in paths.items():
        if "{number}" in path:
            operations["parameters"] = [
                {"name": "number", "in": "path", "required": True, "schema": TEXT}
            ]
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version("fettle"), "description": (
            f"{model.id}, served by fettle. Every answer names the version that gave it."
        )},
        "paths": paths,
        "components": {"schemas": _schemas(model, row, most_rows)},
    }


def _of_a_number(prediction: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer that is a number, from that of a class."""
    kept = {name: prediction["properties"][name] for name in ("id", "stream")}
    ends = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    return {
        "type": "object", "required": ["id", "value", "interval", "stream"],
        "properties": {**kept, "value": {"type": "number"}, "interval": ends},
    }


def _schemas(model: Opened, row: dict[str, Any], most_rows: int) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": TEXT, "datatype": TEXT, "data": {"type": "array"},
            "shape": {"type": "array", "items": {"type": "integer"}},
        },
    }
    share = {"type": "number", "minimum": 0, "maximum": 1}
    prediction = {
        "type": "object",
        "required": ["id", "value", "confidence", "probabilities", "stream"],
        "properties": {
            "id": {**TEXT, "pattern": "^[0-9a-f]{32}$", "description": "For `fettle feedback`"},
            "value": _value(model),
            "confidence": share,
            "probabilities": {"type": "object", "additionalProperties": share},
            "stream": {"enum": ["user", "audit"]},
        },
    }
    if not model.task.classes:
        prediction = _of_a_number(prediction)
    return {
        "Object": {"type": "object"},
        "Error": {"type": "object", "required": ["error"], "properties": {"error": TEXT}},
        "Question": {
            "type": "object", "required": ["rows"], "additionalProperties": False,
            "properties": {
                "rows": {"type": "array", "items": row, "minItems": 1, "maxItems": most_rows},
            },
        },
        "Answer": {
            "type": "object", "required": ["model", "version", "predictions"],
            "properties": {
                "model": TEXT, "version": TEXT,
                "predictions": {"type": "array", "items": prediction},
                "warnings": {"type": "array", "items": TEXT},
            },
        },
        "InferQuestion": {
            "type": "object", "required": ["inputs"],
            "properties": {
                "id": TEXT, "inputs": {"type": "array", "items": tensor},
                "outputs": {"type": "array", "items": {
                    "type": "object", "properties": {"name": {"enum": list(
                        OUTPUTS if model.task.classes else OUTPUTS_OF_NUMBERS)}},
                }},
            },
        },
        "InferAnswer": {
            "type": "object", "required": ["model_name", "model_version", "outputs"],
            "properties": {
                "id": TEXT, "model_name": TEXT, "model_version": TEXT,
                "outputs": {"type": "array", "items": tensor},
            },
        },
    }


def _value(model: Opened) -> dict[str, Any]:
    """A class; where a row may have several labels, a list of them."""
    names: dict[str, Any] = {"enum": list(model.task.classes)}
    if isinstance(model.task, MultiLabel):
        return {"type": "array", "items": names, "uniqueItems": True}
    return names


def _operation(summary: str, asks: str, answers: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(asks)},
        "responses": {
            "200": {"description": "The answer", "content": _json(answers)},
            **{
                str(status): {"description": told, "content": _json("Error")}
                for status, told in ERRORS.items()
            },
        },
    }


def _pictures() -> dict[str, Any]:
    """Bodies that are no JSON: a picture, or a form of them."""
    return {
        "image/*": {}, "application/octet-stream": {},
        "multipart/form-data": {"schema": {
            "type": "object", "additionalProperties": {"type": "string", "format": "binary"},
        }},
    }


def _look(summary: str, answers: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": _json(answers)}},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
