"""``GET /openapi.json``: the service's HTTP API as data (OpenAPI 3.1), for clients and for the tools that make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgevision.kiosk.service.route import Scope, route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/openapi.json"
Json = dict[str, Any]

_JSON = "application/json"
_BINARY = "application/octet-stream"
_PICTURES = ("image/jpeg", "image/png", "image/webp")
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
                "Error": {"description": "Refused, or failed: why", "content": {_JSON: {"schema": _ref("Error")}}}
            },
        },
    }
    if tokens:
        document["security"] = [{"token": []}]
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


# ---- small parts ----


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Json], *, optional: tuple[str, ...] = (), more: bool = False) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": more}


def _list(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_WHOLE: Json = {"type": "integer"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_AMOUNT: Json = {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$"}
_CURRENCY: Json = {"type": "string", "pattern": "^[A-Z]{3}$"}
_TIME: Json = {"type": "string", "format": "date-time"}


def _content(schema: Json, kind: str = _JSON) -> Json:
    return {kind: {"schema": schema}}


def _answers(ok: Mapping[str, Json], errors: tuple[int, ...]) -> Json:
    """``ok``: status → answer. Every route may also be refused for want of a token, of its Host, or of room."""
    error = {"$ref": "#/components/responses/Error"}
    usual = (400, 401, 403, 405, 413, 415, 421, 429, 431, 500, 503)
    return {**{str(status): error for status in sorted({*usual, *errors})}, **ok}


def _ok(schema: Json, words: str = "Done", kind: str = _JSON) -> Json:
    return {"description": words, "content": _content(schema, kind)}


def _operation(
    id: str, summary: str, tag: str, scope: Scope, answers: Json, *, parameters: tuple[Json, ...] = (), body: Json | None = None
) -> Json:  # fmt: skip
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


def _path(name: str, words: str, schema: Json | None = None) -> Json:
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema or _TEXT}


def _query(name: str, words: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "description": words, "schema": schema}


def _header(name: str, words: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "required": False, "description": words, "schema": schema}


def _picture_body() -> Json:
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (*_PICTURES, _BINARY)}


# ---- paths ----


def _paths() -> Json:
    return {**_inference_paths(), **_kiosk_paths(), **_gallery_paths(), **_operation_paths()}


def _inference_paths() -> Json:
    model = _path("name", "the model's name")
    version = _path("version", "the model's version")
    tag, infer = "inference", Scope.INFER
    paths: Json = {
        "/v2": {
            "get": _operation(
                "serverMetadata", "Server and its extensions", tag, infer, _answers({"200": _ok(_ref("Server"))}, ())
            )
        },
        "/v2/health/live": {
            "get": _operation(
                "serverLive", "Whether it runs", tag, Scope.OPEN, _answers({"200": _ok(_ref("Live"))}, ())
            )
        },
        "/v2/health/ready": {
            "get": _operation(
                "serverReady",
                "Whether every model answers",
                tag,
                Scope.OPEN,
                _answers({"200": _ok(_ref("Ready")), "503": _ok(_ref("Ready"), "Not yet, or not any more")}, ()),
            )
        },
    }
    for path, parameters, suffix in (
        ("/v2/models/{name}", (model,), ""),
        ("/v2/models/{name}/versions/{version}", (model, version), "Version"),
    ):
        paths[path] = {
            "get": _operation(
                f"model{suffix}Metadata",
                "Inputs and outputs",
                tag,
                infer,
                _answers({"200": _ok(_ref("ModelMetadata"))}, (404,)),
                parameters=parameters,
            )
        }
        paths[f"{path}/ready"] = {
            "get": _operation(
                f"model{suffix}Ready",
                "Whether the model answers",
                tag,
                infer,
                _answers(
                    {"200": _ok(_ref("ModelReady")), "503": _ok(_ref("ModelReady"), "Not yet, or not any more")}, (404,)
                ),
                parameters=parameters,
            )
        }
        length = _header(
            "Inference-Header-Content-Length", "bytes of JSON, where tensors follow it", {**_COUNT, "maximum": 1 << 20}
        )
        answer = {
            "description": "The outputs, as JSON, or as JSON with the tensors behind it",
            "content": {
                **_content(_ref("InferenceAnswer")),
                **_content({"type": "string", "format": "binary"}, _BINARY),
            },
        }
        paths[f"{path}/infer"] = {
            "post": _operation(
                f"model{suffix}Infer",
                "Run the network",
                tag,
                infer,
                _answers({"200": answer}, (404,)),
                parameters=(*parameters, length, _deadline()),
                body={
                    **_content(_ref("InferenceRequest")),
                    **_content({"type": "string", "format": "binary"}, _BINARY),
                },
            )
        }
    return paths


def _deadline() -> Json:
    return _header(
        "EdgeVision-Deadline-Ms",
        "answer within so many milliseconds, or refuse before the work",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 3_600_000},
    )


def _kiosk_paths() -> Json:
    tag = "kiosk"
    stream = {
        "description": "Server-sent events, until the service ends",
        "content": {"text/event-stream": {"schema": _TEXT}},
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
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _PICTURES},
    }
    whole = {"type": "integer", "minimum": -_MOST_INT, "maximum": _MOST_INT}
    placement = {"type": "integer", "minimum": 0, "maximum": _MOST_INT}
    station = {"type": "string", "minLength": 1, "maxLength": 80, "pattern": r"^[^\x00-\x1f\x7f]+$"}
    pictures = {"type": "string", "enum": ["yes", "no"], "default": "yes"}
    event_id = {"type": "string", "pattern": "^[0-9a-f]{1,32}-[0-9]{1,18}$"}
    return {
        "/v1/recognise": {
            "post": _operation(
                "recognise", "What a picture shows", tag, Scope.INFER,
                _answers({"200": _ok({"type": "object"}, "What the model's task gives, as in --json")}, (404, 422)),
                parameters=(
                    _query("model", "which model; the first where it is left out", _TEXT),
                    _query("version", "which version of it; the newest where it is left out", _TEXT), _deadline(),
                ), body=_picture_body(),
            )
        },
        "/v1/events": {
            "get": _operation(
                "events", "What Stations tell, as it happens", tag, Scope.READ, _answers({"200": stream}, ()),
                parameters=(
                    _header("Last-Event-ID", "the id of the last event that came; those since then are told first", event_id),
                    _query("after", "the same, where a header cannot be set", event_id),
                    _query("pictures", "whether answers carry their picture", pictures),
                ),
            )
        },
        "/v1/camera": {
            "get": _operation(
                "camera", "What the service's camera shows", tag, Scope.READ, _answers({"200": camera}, (404,)),
                parameters=(
                    _query("as", "motion JPEG, or the newest picture", {"type": "string", "enum": ["stream", "picture"], "default": "stream"}),
                    _query("station", "which, where there are several", _TEXT),
                ),
            )
        },
        "/v1/products": {
            "get": _operation("products", "What can be recognised, with prices", tag, Scope.READ, _answers({"200": _ok(_ref("Products"))}, ()))
        },
        "/v1/products/{id}/picture": {
            "get": _operation(
                "productPicture", "A product's picture", tag, Scope.READ,
                _answers({"200": picture, "304": {"description": "It is as it was (If-None-Match)"}}, (404,)),
                parameters=(_path("id", "the product's id", _TEXT),),
            )
        },
        "/v1/feedback": {
            "post": _operation(
                "feedback", "Keep a picture with what the shopper says it is", tag, Scope.INFER,
                _answers({"200": _ok(_ref("Kept"), "It was there already"), "201": _ok(_ref("Kept"), "It is kept")}, (404, 422, 507)),
                parameters=(
                    _query("label", "the product's id", whole, required=True),
                    _query("placement", "the placement's number, of its events", placement),
                    _query("station", "the Station's name, of its events", station),
                ),
                body=_picture_body(),
            )
        },
        "/v1/receipts": {
            "post": _operation(
                "receipts", "Post what was bought to the shop's server", tag, Scope.INFER,
                _answers(
                    {"200": _ok(_ref("ReceiptTaken"), "It was taken before"), "202": _ok(_ref("ReceiptTaken"), "It is safe, and on its way")},
                    (404, 409, 422, 507),
                ),
                parameters=(
                    _header("Idempotency-Key", "what comes again with it is posted once", {"type": "string", "pattern": "^[!-~]{1,255}$"}),
                ),
                body=_content(_ref("Receipt")),
            )
        },
    }  # fmt: skip


def _gallery_paths() -> Json:
    tag = "gallery"
    product = _path("id", "the product's id", _TEXT)
    top = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    where = _query("where", "only products that this filter means, such as price < 3 and kind = apple", _TEXT)
    note = _query("note", "what people call the photo", {"type": "string", "maxLength": 200})
    return {
        "/v1/gallery": {
            "get": _operation(
                "gallery", "The gallery's products, by name", tag, Scope.READ, _answers({"200": _ok(_ref("Gallery"))}, ()),
                parameters=(
                    _query("q", "only products whose names hold these words", _TEXT), where,
                    _query("offset", "how many to pass over", {**_COUNT, "default": 0}),
                    _query("limit", "how many to list at most", {**_COUNT, "maximum": 1000, "default": 100}),
                ),
            ),
            "post": _operation(
                "addProduct", "A new product, without photos yet", tag, Scope.ADMIN,
                _answers({"201": _ok(_ref("NamedProduct"))}, (409,)), body=_content(_ref("NewProduct")),
            ),
        },
        "/v1/gallery/{id}": {
            "get": _operation(
                "galleryProduct", "One product with its examples", tag, Scope.READ,
                _answers({"200": _ok(_ref("ShownProduct"))}, (404,)), parameters=(product,),
            ),
            "put": _operation(
                "changeProduct", "Another name, or other fields", tag, Scope.ADMIN, _answers({"200": _ok(_ref("NamedProduct"))}, (404,)),
                parameters=(product,), body=_content(_ref("ProductChange")),
            ),
            "delete": _operation(
                "removeProduct", "Forget a product and its examples", tag, Scope.ADMIN,
                _answers({"200": _ok(_ref("RemovedProduct"))}, (404,)), parameters=(product,),
            ),
        },
        "/v1/gallery/{id}/examples": {
            "post": _operation(
                "addExample", "Learn a photo of a product", tag, Scope.ADMIN,
                _answers({"200": _ok(_ref("Learnt"), "It was learnt before"), "201": _ok(_ref("Learnt"), "It is learnt")}, (404, 422)),
                parameters=(product, note, _deadline()), body=_picture_body(),
            )
        },
        "/v1/gallery/{id}/examples/{source}": {
            "delete": _operation(
                "removeExample", "Forget one photo of a product", tag, Scope.ADMIN,
                _answers({"200": _ok(_ref("RemovedExample"))}, (404,)),
                parameters=(product, _path("source", "the SHA-256 of the photo, as the product's examples have it", _TEXT)),
            )
        },
        "/v1/gallery/merge": {
            "post": _operation(
                "mergeProducts", "Two products are one", tag, Scope.ADMIN, _answers({"200": _ok(_ref("Merged"))}, (404,)),
                body=_content(_ref("Merge")),
            )
        },
        "/v1/gallery/audit": {
            "get": _operation(
                "auditGallery", "What to put right: products that look alike, photos that may be mislabelled", tag, Scope.READ,
                _answers({"200": _ok({"type": "object"})}, ()),
            )
        },
        "/v1/search": {
            "post": _operation(
                "search", "Products that are like a picture, or that words mean", tag, Scope.INFER,
                _answers({"200": _ok(_ref("Found"))}, (422,)),
                parameters=(_query("top", "of a picture: how many to find", top), where, _deadline()),
                body={**_picture_body(), **_content(_ref("Search"))},
            )
        },
    }  # fmt: skip


def _operation_paths() -> Json:
    tag = "operation"
    metrics = {
        "description": "Prometheus' text format",
        "content": {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}},
    }
    return {
        "/v1/status": {"get": _operation("status", "How the service is", tag, Scope.READ, _answers({"200": _ok(_ref("Status"))}, ()))},
        "/v1/models/{name}/reload": {
            "post": _operation(
                "reload", "Take up a bundle whose file was replaced", tag, Scope.ADMIN,
                _answers({"200": _ok(_ref("Reloaded"))}, (404, 409)), parameters=(_path("name", "the model's name"),),
            )
        },
        "/metrics": {"get": _operation("metrics", "Figures for Prometheus", tag, Scope.READ, _answers({"200": metrics}, ()))},
        PATH: {"get": _operation("openapi", "This description", tag, Scope.READ, _answers({"200": _ok({"type": "object"})}, ()))},
    }  # fmt: skip


# ---- schemas ----


def _schemas() -> Json:
    return {
        "Error": _object({"error": _TEXT, "id": _TEXT}, optional=("id",)),
        **_inference_schemas(),
        **_kiosk_schemas(),
        **_gallery_schemas(),
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
    shape = _list(_WHOLE)
    tensor = _object({"name": _TEXT, "datatype": datatype, "shape": shape})
    given = _object(
        {
            "name": _TEXT,
            "shape": _list(_COUNT),
            "datatype": datatype,
            "parameters": parameters,
            "data": {"type": "array"},
        },
        optional=("parameters", "data"),
    )
    return {
        "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
        "Live": _object({"live": _FLAG}),
        "Ready": _object({"ready": _FLAG}),
        "ModelReady": _object({"name": _TEXT, "ready": _FLAG}),
        "ModelMetadata": _object(
            {
                "name": _TEXT, "versions": _list(_TEXT), "platform": _TEXT, "inputs": _list(tensor), "outputs": _list(tensor),
                "parameters": parameters,
            },
            optional=("versions", "parameters"), more=True,
        ),
        "InferenceRequest": _object(
            {
                "id": _TEXT, "parameters": parameters, "inputs": _list(given, minItems=1, maxItems=1),
                "outputs": _list(_object({"name": _TEXT, "parameters": parameters}, optional=("parameters",))),
            },
            optional=("id", "parameters", "outputs"),
        ),
        "InferenceAnswer": _object(
            {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "parameters": parameters, "outputs": _list(given)},
            optional=("model_version", "id", "parameters"),
        ),
    }  # fmt: skip


def _kiosk_schemas() -> Json:
    line = _object(
        {
            "id": _WHOLE, "name": _TEXT, "quantity": {"type": "integer", "minimum": 1, "maximum": 9999},
            "price": _or_null(_AMOUNT),
        },
        optional=("name", "price"),
    )  # fmt: skip
    return {
        "Product": _object(
            {
                "id": _WHOLE, "name": _TEXT, "price": _or_null(_AMOUNT), "currency": _or_null(_CURRENCY), "picture": _or_null(_TEXT),
            }
        ),
        "Products": _object(
            {
                "products": _list(_ref("Product")), "model": _object({"name": _TEXT, "id": _TEXT}),
                "features": _object({"camera": _FLAG, "feedback": _FLAG, "receipts": _FLAG, "gallery": _FLAG}),
            }
        ),
        "Kept": _object({"kept": _TEXT, "again": _FLAG}),
        "Receipt": _object(
            {
                "items": _list(line, minItems=1, maxItems=1000), "total": _or_null(_AMOUNT), "currency": _or_null(_CURRENCY),
                "at": _or_null(_TIME),
            },
            optional=("currency", "at"),
        ),
        "ReceiptTaken": _object({"id": {"type": "string", "format": "uuid"}, "again": _FLAG, "total": _or_null(_AMOUNT), "currency": _or_null(_CURRENCY)}),
    }  # fmt: skip


def _gallery_schemas() -> Json:
    fields = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
    name = {"type": "string", "minLength": 1, "maxLength": 500}
    id = {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1}
    product = {"id": id, "name": name, "fields": fields}
    listed = {
        **product, "examples": _COUNT, "price": _or_null(_AMOUNT), "currency": _or_null(_CURRENCY), "picture": _or_null(_TEXT),
    }  # fmt: skip
    example = {"product": id, "source": _TEXT, "added": _TIME, "note": _TEXT}
    like = {
        "known": _FLAG,
        "product": _ref("NamedProduct"),
        "similarity": _NUMBER,
        "score": _NUMBER,
        "example": _ref("Example"),
    }
    found = {
        "product": _ref("ListedProduct"), "score": _NUMBER, "similarity": _or_null(_NUMBER), "example": _or_null(_ref("Example")),
        "why": _list({"type": "object"}),
    }  # fmt: skip
    return {
        "NamedProduct": _object(product),
        "ListedProduct": _object(listed),
        "ShownProduct": _object({**listed, "shown": _list(_ref("Example"))}),
        "Example": _object(example),
        "Gallery": _object(
            {
                "products": _list(_ref("ListedProduct")), "found": _COUNT, "offset": _COUNT, "counts": _ref("GalleryUse"), "bundle": _TEXT,
                "currency": _or_null(_CURRENCY),
            }
        ),
        "GalleryUse": _object({"products": _COUNT, "examples": _COUNT}),
        "NewProduct": _object(product, optional=("id", "fields")),
        "ProductChange": {**_object({"name": name, "fields": fields}, optional=("name", "fields")), "minProperties": 1},
        "RemovedProduct": _object({"removed": _ref("NamedProduct"), "examples": _COUNT}),
        "RemovedExample": _object({"id": id, "removed": _TEXT}),
        "Merge": _object({"product": id, "into": id}),
        "Merged": _object({"removed": _ref("NamedProduct"), "into": _ref("NamedProduct")}),
        "Learnt": _object(
            {"id": id, "source": _TEXT, "again": _FLAG, "examples": _COUNT, "before": _or_null(_object(like)), "ms": _NUMBER}
        ),
        "Search": _object(
            {
                "text": {"type": "string", "minLength": 1, "maxLength": 1000}, "where": _TEXT,
                "top": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
            },
            optional=("where", "top"),
        ),
        "Found": _object({"known": _or_null(_FLAG), "top": _list(_object(found)), "ms": _NUMBER}),
    }  # fmt: skip


def _operation_schemas() -> Json:
    model = _object(
        {
            "name": _TEXT, "id": _TEXT, "kind": _TEXT, "variant": _TEXT, "threads": _COUNT, "proven": _FLAG, "verdict": _or_null(_TEXT),
            "labels": _COUNT,
        }
    )  # fmt: skip
    camera = _object(
        {
            "name": _TEXT, "camera": _TEXT, "since_s": _NUMBER, "words": _TEXT, "fps": _or_null(_NUMBER), "age_ms": _or_null(_NUMBER),
            "place": _or_null(_TEXT),
        }
    )  # fmt: skip
    events = _object({"told": _COUNT, "lost": _COUNT, "subscribers": _COUNT})
    folder = _object({"files": _COUNT, "bytes": _COUNT, "most_files": _COUNT, "most_bytes": _COUNT})
    post = _object({"up": _FLAG, "fault": _TEXT, "spool": _or_null({"type": "object"})})
    error = _object({"at": _TIME, "words": _TEXT, "request": _or_null(_TEXT)})
    return {
        "Status": _object(
            {
                "edgevision": _TEXT, "began": _TIME, "uptime_s": _NUMBER, "models": _list(model), "cameras": _list(camera), "pages": _COUNT,
                "requests": _object({"answered": _COUNT, "failed": _COUNT, "in_flight": _COUNT}), "events": _or_null(events),
                "feedback": _or_null(folder), "receipts": _or_null(post), "gallery": _or_null(_ref("GalleryUse")), "counts": {"type": "object"}, "errors": _list(error),
            }
        ),
        "Reloaded": _object(
            {"name": _TEXT, "versions": _list(_TEXT), "before": _list(_TEXT), "changed": _FLAG, "words": _TEXT}, more=True
        ),
    }  # fmt: skip
