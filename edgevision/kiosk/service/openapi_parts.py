"""What descriptions of the HTTP API are made of: schemas, answers, operations, as OpenAPI 3.1 has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.kiosk.service.route import Scope

Json = dict[str, Any]

JSON = "application/json"
BINARY = "application/octet-stream"
PICTURES = ("image/jpeg", "image/png", "image/webp")

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
WHOLE: Json = {"type": "integer"}
COUNT: Json = {"type": "integer", "minimum": 0}
FLAG: Json = {"type": "boolean"}
AMOUNT: Json = {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$"}
CURRENCY: Json = {"type": "string", "pattern": "^[A-Z]{3}$"}
TIME: Json = {"type": "string", "format": "date-time"}


def ref(name: str) -> Json:
    """A schema that stands under ``components``."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: Mapping[str, Json], *, optional: tuple[str, ...] = (), more: bool = False) -> Json:
    """An object with these properties; ``more``: it may have others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": more}


def list_of(items: Json, **more: Any) -> Json:
    """A list of such values."""
    return {"type": "array", "items": items, **more}


def or_null(schema: Json) -> Json:
    """Such a value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def content_of(schema: Json, kind: str = JSON) -> Json:
    """A body of that media type."""
    return {kind: {"schema": schema}}


def answers_of(ok: Mapping[str, Json], errors: tuple[int, ...]) -> Json:
    """``ok``: status → answer. Every route may also be refused for want of a token, of its Host, or of room."""
    error = {"$ref": "#/components/responses/Error"}
    usual = (400, 401, 403, 405, 413, 415, 421, 429, 431, 500, 503)
    return {**{str(status): error for status in sorted({*usual, *errors})}, **ok}


def ok_answer(schema: Json, words: str = "Done", kind: str = JSON) -> Json:
    """An answer that is no error."""
    return {"description": words, "content": content_of(schema, kind)}


def operation_of(
    id: str, summary: str, tag: str, scope: Scope, answers: Json, *, parameters: tuple[Json, ...] = (), body: Json | None = None
) -> Json:  # fmt: skip
    """One operation; ``x-scope`` says what a token has to allow."""
    operation: Json = {
        "operationId": id, "summary": summary, "tags": [tag], "responses": answers, "x-scope": scope.value,
    }  # fmt: skip
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    if scope is Scope.OPEN:
        operation["security"] = []
    return operation


def in_path(name: str, words: str, schema: Json | None = None) -> Json:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema or TEXT}


def in_query(name: str, words: str, schema: Json, *, required: bool = False) -> Json:
    """A parameter behind ``?``."""
    return {"name": name, "in": "query", "required": required, "description": words, "schema": schema}


def in_header(name: str, words: str, schema: Json) -> Json:
    """A header that may be sent."""
    return {"name": name, "in": "header", "required": False, "description": words, "schema": schema}


def picture_body() -> Json:
    """A body that is a picture."""
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (*PICTURES, BINARY)}


def deadline() -> Json:
    """The header by which a client says how long it waits."""
    return in_header(
        "EdgeVision-Deadline-Ms",
        "answer within so many milliseconds, or refuse before the work",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 3_600_000},
    )
