"""`/openapi.json`: bodies, answers and problems of each route, with examples."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from frugalseg.serve.problems import MEDIA_TYPE, title
from frugalseg.serve.schemas import ProblemDocument
from frugalseg.serve.tensors import HEADER_LENGTH
from frugalseg.serve.wishes import MEDIA_TYPES, query_parameters

Part = dict[str, Any]

_BINARY: Part = {"schema": {"type": "string", "format": "binary"}}
_PROBLEM: Part = {"$ref": "#/components/schemas/ProblemDocument"}
_BEFORE_ALL = (401, 415, 422, 429)
_OF_BODIES = (400, 408, 413, 422, 503, 504)

DESCRIPTION = """Pictures in, classes out. Refusals are problem documents (RFC 9457).
Where keys are asked for, send `Authorization: Bearer KEY` or `X-API-Key`."""


def answers(
    good: type[BaseModel] | str, *problems: int, also: Mapping[str, Part] | None = None
) -> dict[int | str, Part]:
    """Describe what a route answers: a model in JSON or a media type, and its problems."""
    listed: dict[int | str, Part] = {
        status: {"description": title(status), "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status in sorted({*_BEFORE_ALL, *problems})
    }
    if isinstance(good, str):
        shape: Part = {"schema": {"type": "object"}} if good == "application/json" else _BINARY
        listed[200] = {"description": "It worked.", "content": {good: shape}}
    else:
        listed[200] = {"description": "It worked.", "model": good, "content": dict(also or {})}
    return listed


def segmented(good: type[BaseModel], *others: str) -> Part:
    """Describe a route that segments: its answers."""
    also = dict.fromkeys(others, _BINARY)
    return {"responses": answers(good, *_OF_BODIES, 404, 406, also=also)}


ONE_FORMATS = tuple(dict.fromkeys(kind for kind in MEDIA_TYPES.values() if "json" not in kind))

_IMAGE_PART: Part = {"type": "string", "format": "binary", "description": "JPEG, PNG, BMP, WebP"}

ONE_PICTURE: Part = {
    "parameters": query_parameters(),
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object", "required": ["image"], "properties": {"image": _IMAGE_PART},
                },
            },
        },
    },
}  # fmt: skip

PICTURES: Part = {
    "parameters": query_parameters(),
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "array", "minItems": 1, "items": _IMAGE_PART}},
                },
            },
        },
    },
}

_TENSOR: Part = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string", "const": "image"},
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 4,
            "maxItems": 4,
        },
        "datatype": {"type": "string", "const": "UINT8"},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}  # fmt: skip
_OUTPUT: Part = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "enum": ["scores", "ids"]},
        "parameters": {"type": "object"},
    },
}

TENSORS: Part = {
    "parameters": [
        {
            "name": HEADER_LENGTH,
            "in": "header",
            "required": False,
            "description": "Bytes of the JSON, where binary data follows it.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string", "maxLength": 200},
                        "parameters": {"type": "object"},
                        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
                        "outputs": {"type": "array", "items": _OUTPUT, "maxItems": 16},
                    },
                },
                "example": {
                    "id": "7",
                    "inputs": [
                        {"name": "image", "shape": [1, 360, 480, 3], "datatype": "UINT8",
                         "data": [0, 127, 255]}
                    ],
                    "outputs": [{"name": "ids"}],
                },
            },
            "application/octet-stream": _BINARY,
        },
    },
}  # fmt: skip


def tensors(good: type[BaseModel]) -> Part:
    """Describe a route that infers: its answers."""
    also = {"application/octet-stream": _BINARY}
    return {"responses": answers(good, *_OF_BODIES, 404, also=also)}


def install(app: FastAPI) -> None:
    """Let the application describe itself, with our problems in place of FastAPI's."""

    def described() -> Part:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
            )
            known = schema["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                known.pop(name, None)
            known["ProblemDocument"] = ProblemDocument.model_json_schema()
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
