"""``GET /openapi.json``: the service's HTTP API as data (OpenAPI 3.1), for clients and for the tools that make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.kiosk.service.gallery.api_description import gallery_paths, gallery_schemas
from edgevision.kiosk.service.openapi_parts import (
    AMOUNT,
    BINARY,
    COUNT,
    CURRENCY,
    FLAG,
    JSON,
    NUMBER,
    PICTURES,
    TEXT,
    TIME,
    WHOLE,
    Json,
    answers_of,
    content_of,
    deadline,
    in_header,
    in_path,
    in_query,
    list_of,
    object_of,
    ok_answer,
    operation_of,
    or_null,
    picture_body,
    ref,
)
from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/openapi.json"
_MOST_INT = 10**18 - 1


def openapi_routes(*, tokens: bool = False) -> list[BaseRoute]:
    """The route that describes the others. ``tokens``: whether callers need them."""

    async def document(request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse(openapi_document(tokens=tokens))

    return [route(PATH, document, scope=Scope.READ, max_body_bytes=0)]


def openapi_document(*, tokens: bool = False) -> Json:
    """The whole description, as plain JSON values. ``tokens``: whether callers need them; each operation's ``x-scope`` says which."""
    from edgevision import __version__

    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "EdgeVision",
            "version": __version__,
            "summary": "Product recognition on this machine",
            "description": "WebSockets (/v1/events, /v1/station, /v1/gallery/teach) are not part of OpenAPI; docs/reference/http-events.md describes them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "inference", "description": "Open Inference Protocol v2"},
            {"name": "kiosk"},
            {"name": "gallery", "description": "Products by example, where the service has a gallery"},
            {"name": "operation"},
        ],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "responses": {
                "Error": {"description": "Refused, or failed: why", "content": {JSON: {"schema": ref("Error")}}}
            },
        },
    }
    if tokens:
        document["security"] = [{"token": []}]
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


# ---- paths ----


def _paths() -> Json:
    return {**_inference_paths(), **_kiosk_paths(), **gallery_paths(), **_operation_paths()}


def _inference_paths() -> Json:
    model = in_path("name", "the model's name")
    version = in_path("version", "the model's version")
    tag, infer = "inference", Scope.INFER
    paths: Json = {
        "/v2": {
            "get": operation_of(
                "serverMetadata",
                "Server and its extensions",
                tag,
                infer,
                answers_of({"200": ok_answer(ref("Server"))}, ()),
            )
        },
        "/v2/health/live": {
            "get": operation_of(
                "serverLive", "Whether it runs", tag, Scope.OPEN, answers_of({"200": ok_answer(ref("Live"))}, ())
            )
        },
        "/v2/health/ready": {
            "get": operation_of(
                "serverReady",
                "Whether every model answers",
                tag,
                Scope.OPEN,
                answers_of(
                    {"200": ok_answer(ref("Ready")), "503": ok_answer(ref("Ready"), "Not yet, or not any more")}, ()
                ),
            )
        },
    }
    for path, parameters, suffix in (
        ("/v2/models/{name}", (model,), ""),
        ("/v2/models/{name}/versions/{version}", (model, version), "Version"),
    ):
        paths[path] = {
            "get": operation_of(
                f"model{suffix}Metadata",
                "Inputs and outputs",
                tag,
                infer,
                answers_of({"200": ok_answer(ref("ModelMetadata"))}, (404,)),
                parameters=parameters,
            )
        }
        paths[f"{path}/ready"] = {
            "get": operation_of(
                f"model{suffix}Ready",
                "Whether the model answers",
                tag,
                infer,
                answers_of(
                    {
                        "200": ok_answer(ref("ModelReady")),
                        "503": ok_answer(ref("ModelReady"), "Not yet, or not any more"),
                    },
                    (404,),
                ),
                parameters=parameters,
            )
        }
        length = in_header(
            "Inference-Header-Content-Length", "bytes of JSON, where tensors follow it", {**COUNT, "maximum": 1 << 20}
        )
        answer = {
            "description": "The outputs, as JSON, or as JSON with the tensors behind it",
            "content": {
                **content_of(ref("InferenceAnswer")),
                **content_of({"type": "string", "format": "binary"}, BINARY),
            },
        }
        paths[f"{path}/infer"] = {
            "post": operation_of(
                f"model{suffix}Infer",
                "Run the network",
                tag,
                infer,
                answers_of({"200": answer}, (404,)),
                parameters=(*parameters, length, deadline()),
                body={
                    **content_of(ref("InferenceRequest")),
                    **content_of({"type": "string", "format": "binary"}, BINARY),
                },
            )
        }
    return paths


def _kiosk_paths() -> Json:
    tag = "kiosk"
    stream = {
        "description": "Server-sent events, until the service ends",
        "content": {"text/event-stream": {"schema": TEXT}},
    }
    camera = {
        "description": "Motion JPEG until the service ends, or one JPEG",
        "content": {
            "multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}},
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
        },
    }
    picture = {
        "description": "The picture",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES},
    }
    whole = {"type": "integer", "minimum": -_MOST_INT, "maximum": _MOST_INT}
    placement = {"type": "integer", "minimum": 0, "maximum": _MOST_INT}
    station = {"type": "string", "minLength": 1, "maxLength": 80, "pattern": r"^[^\x00-\x1f\x7f]+$"}
    pictures = {"type": "string", "enum": ["yes", "no"], "default": "yes"}
    event_id = {"type": "string", "pattern": "^[0-9a-f]{1,32}-[0-9]{1,18}$"}
    return {
        "/v1/recognise": {
            "post": operation_of(
                "recognise", "What a picture shows", tag, Scope.INFER,
                answers_of({"200": ok_answer({"type": "object"}, "What the model's task gives, as in --json")}, (404, 422)),
                parameters=(
                    in_query("model", "which model; the first where it is left out", TEXT),
                    in_query("version", "which version of it; the newest where it is left out", TEXT), deadline(),
                ), body=picture_body(),
            )
        },
        "/v1/events": {
            "get": operation_of(
                "events", "What Stations tell, as it happens", tag, Scope.READ, answers_of({"200": stream}, ()),
                parameters=(
                    in_header("Last-Event-ID", "the id of the last event that came; those since then are told first", event_id),
                    in_query("after", "the same, where a header cannot be set", event_id),
                    in_query("pictures", "whether answers carry their picture", pictures),
                ),
            )
        },
        "/v1/camera": {
            "get": operation_of(
                "camera", "What the service's camera shows", tag, Scope.READ, answers_of({"200": camera}, (404,)),
                parameters=(
                    in_query("as", "motion JPEG, or the newest picture", {"type": "string", "enum": ["stream", "picture"], "default": "stream"}),
                    in_query("station", "which, where there are several", TEXT),
                ),
            )
        },
        "/v1/products": {
            "get": operation_of("products", "What can be recognised, with prices", tag, Scope.READ, answers_of({"200": ok_answer(ref("Products"))}, ()))
        },
        "/v1/products/{id}/picture": {
            "get": operation_of(
                "productPicture", "A product's picture", tag, Scope.READ,
                answers_of({"200": picture, "304": {"description": "It is as it was (If-None-Match)"}}, (404,)),
                parameters=(in_path("id", "the product's id", TEXT),),
            )
        },
        "/v1/feedback": {
            "post": operation_of(
                "feedback", "Keep a picture with what the shopper says it is", tag, Scope.INFER,
                answers_of({"200": ok_answer(ref("Kept"), "It was there already"), "201": ok_answer(ref("Kept"), "It is kept")}, (404, 422, 507)),
                parameters=(
                    in_query("label", "the product's id", whole, required=True),
                    in_query("placement", "the placement's number, of its events", placement),
                    in_query("station", "the Station's name, of its events", station),
                ),
                body=picture_body(),
            )
        },
        "/v1/receipts": {
            "post": operation_of(
                "receipts", "Post what was bought to the shop's server", tag, Scope.INFER,
                answers_of(
                    {"200": ok_answer(ref("ReceiptTaken"), "It was taken before"), "202": ok_answer(ref("ReceiptTaken"), "It is safe, and on its way")},
                    (404, 409, 422, 507),
                ),
                parameters=(
                    in_header("Idempotency-Key", "what comes again with it is posted once", {"type": "string", "pattern": "^[!-~]{1,255}$"}),
                ),
                body=content_of(ref("Receipt")),
            )
        },
    }  # fmt: skip


def _operation_paths() -> Json:
    tag = "operation"
    metrics = {
        "description": "Prometheus' text format",
        "content": {"text/plain": {"schema": TEXT}, "application/openmetrics-text": {"schema": TEXT}},
    }
    return {
        "/v1/status": {"get": operation_of("status", "How the service is", tag, Scope.READ, answers_of({"200": ok_answer(ref("Status"))}, ()))},
        "/v1/models/{name}/reload": {
            "post": operation_of(
                "reload", "Take up a bundle whose file was replaced", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("Reloaded"))}, (404, 409)), parameters=(in_path("name", "the model's name"),),
            )
        },
        "/metrics": {"get": operation_of("metrics", "Figures for Prometheus", tag, Scope.READ, answers_of({"200": metrics}, ()))},
        PATH: {"get": operation_of("openapi", "This description", tag, Scope.READ, answers_of({"200": ok_answer({"type": "object"})}, ()))},
    }  # fmt: skip


# ---- schemas ----


def _schemas() -> Json:
    return {
        "Error": object_of({"error": TEXT, "id": TEXT}, optional=("id",)),
        **_inference_schemas(),
        **_kiosk_schemas(),
        **gallery_schemas(),
        **_operation_schemas(),
    }


def _inference_schemas() -> Json:
    parameters = {"type": "object"}
    datatype = {
        "type": "string",
        "enum": [
            "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES",
        ],
    }  # fmt: skip
    shape = list_of(WHOLE)
    tensor = object_of({"name": TEXT, "datatype": datatype, "shape": shape})
    given = object_of(
        {
            "name": TEXT,
            "shape": list_of(COUNT),
            "datatype": datatype,
            "parameters": parameters,
            "data": {"type": "array"},
        },
        optional=("parameters", "data"),
    )
    return {
        "Server": object_of({"name": TEXT, "version": TEXT, "extensions": list_of(TEXT)}),
        "Live": object_of({"live": FLAG}),
        "Ready": object_of({"ready": FLAG}),
        "ModelReady": object_of({"name": TEXT, "ready": FLAG}),
        "ModelMetadata": object_of(
            {
                "name": TEXT, "versions": list_of(TEXT), "platform": TEXT, "inputs": list_of(tensor), "outputs": list_of(tensor),
                "parameters": parameters,
            },
            optional=("versions", "parameters"), more=True,
        ),
        "InferenceRequest": object_of(
            {
                "id": TEXT, "parameters": parameters, "inputs": list_of(given, minItems=1, maxItems=1),
                "outputs": list_of(object_of({"name": TEXT, "parameters": parameters}, optional=("parameters",))),
            },
            optional=("id", "parameters", "outputs"),
        ),
        "InferenceAnswer": object_of(
            {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "parameters": parameters, "outputs": list_of(given)},
            optional=("model_version", "id", "parameters"),
        ),
    }  # fmt: skip


def _kiosk_schemas() -> Json:
    line = object_of(
        {
            "id": WHOLE, "name": TEXT, "quantity": {"type": "integer", "minimum": 1, "maximum": 9999},
            "price": or_null(AMOUNT),
        },
        optional=("name", "price"),
    )  # fmt: skip
    return {
        "Product": object_of(
            {
                "id": WHOLE, "name": TEXT, "price": or_null(AMOUNT), "currency": or_null(CURRENCY), "picture": or_null(TEXT),
            }
        ),
        "Products": object_of(
            {
                "products": list_of(ref("Product")), "model": object_of({"name": TEXT, "id": TEXT}),
                "features": object_of({"camera": FLAG, "feedback": FLAG, "receipts": FLAG, "gallery": FLAG}),
            }
        ),
        "Kept": object_of({"kept": TEXT, "again": FLAG}),
        "Receipt": object_of(
            {
                "items": list_of(line, minItems=1, maxItems=1000), "total": or_null(AMOUNT), "currency": or_null(CURRENCY),
                "at": or_null(TIME),
            },
            optional=("currency", "at"),
        ),
        "ReceiptTaken": object_of({"id": {"type": "string", "format": "uuid"}, "again": FLAG, "total": or_null(AMOUNT), "currency": or_null(CURRENCY)}),
    }  # fmt: skip


def _operation_schemas() -> Json:
    model = object_of(
        {
            "name": TEXT, "id": TEXT, "kind": TEXT, "variant": TEXT, "threads": COUNT, "proven": FLAG, "verdict": or_null(TEXT),
            "labels": COUNT,
        }
    )  # fmt: skip
    camera = object_of(
        {
            "name": TEXT, "camera": TEXT, "since_s": NUMBER, "words": TEXT, "fps": or_null(NUMBER), "age_ms": or_null(NUMBER),
            "place": or_null(TEXT),
        }
    )  # fmt: skip
    events = object_of({"told": COUNT, "lost": COUNT, "subscribers": COUNT})
    folder = object_of({"files": COUNT, "bytes": COUNT, "most_files": COUNT, "most_bytes": COUNT})
    post = object_of({"up": FLAG, "fault": TEXT, "spool": or_null({"type": "object"})})
    error = object_of({"at": TIME, "words": TEXT, "request": or_null(TEXT)})
    return {
        "Status": object_of(
            {
                "edgevision": TEXT, "began": TIME, "uptime_s": NUMBER, "models": list_of(model), "cameras": list_of(camera), "pages": COUNT,
                "requests": object_of({"answered": COUNT, "failed": COUNT, "in_flight": COUNT}), "events": or_null(events),
                "feedback": or_null(folder), "receipts": or_null(post), "gallery": or_null(ref("GalleryUse")), "counts": {"type": "object"}, "errors": list_of(error),
            }
        ),
        "Reloaded": object_of(
            {"name": TEXT, "versions": list_of(TEXT), "before": list_of(TEXT), "changed": FLAG, "words": TEXT}, more=True
        ),
    }  # fmt: skip
