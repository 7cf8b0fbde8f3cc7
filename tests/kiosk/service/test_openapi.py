"""The description of the HTTP API: whole, without loose ends, and true of what the routes answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from live_service import FakeMachine, app_of, ask, jpeg_of
from live_set_up import live_with

from edgevision.kiosk.service.openapi import openapi_document, openapi_routes

pytestmark = pytest.mark.requires("serve")
DOCUMENT = openapi_document()


def every(node: Any):
    yield node
    if isinstance(node, dict):
        for value in node.values():
            yield from every(value)
    elif isinstance(node, list):
        for value in node:
            yield from every(value)


def resolved(schema: Any) -> Any:
    """What a reference leads to."""
    while isinstance(schema, dict) and "$ref" in schema:
        found: Any = DOCUMENT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


OPERATIONS = {
    (method, path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
}  # fmt: skip


def test_it_is_served_as_it_is():
    answer = ask(app_of(openapi_routes()), "GET", "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads(json.dumps(DOCUMENT))


def test_tokens_are_asked_for_where_they_are_needed():
    told = ask(app_of(openapi_routes(tokens=True)), "GET", "/openapi.json").json
    assert told["security"] == [{"token": []}]
    assert told["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    opened = {path for path, item in told["paths"].items() for one in item.values() if one.get("security") == []}
    assert opened == {"/v2/health/live", "/v2/health/ready"}
    assert "security" not in DOCUMENT
    assert "securitySchemes" not in DOCUMENT["components"]


def test_no_reference_leads_nowhere_and_no_schema_is_unused():
    references = {node["$ref"] for node in every(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    for reference in references:
        assert resolved({"$ref": reference})
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert schemas == {one for one in references if "/schemas/" in one}


def test_operations_have_names_of_their_own_and_all_their_path_parameters():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    for (_, path), operation in OPERATIONS.items():
        declared = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path


def test_every_route_is_described_and_of_the_live_ones_no_other(tmp_path):
    from starlette.routing import WebSocketRoute

    live = live_with(tmp_path, gallery=True)
    routes = [one for one in live.routes() if not isinstance(one, WebSocketRoute)]
    served = {(method.lower(), one.path) for one in routes for method in one.methods if method != "HEAD"}
    elsewhere = {"/v1/recognise", "/v1/models/{name}/reload"}  # the service's own
    described = {(method, path) for method, path in OPERATIONS if not path.startswith("/v2") and path not in elsewhere}
    assert served == described


def problems(value: Any, schema: Any, at: str = "$") -> list[str]:
    """How ``value`` breaks ``schema``, as far as the schemas here go."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return [] if any(not problems(value, one, at) for one in schema["anyOf"]) else [f"{at}: none of anyOf"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    found = []
    if "type" in schema and (
        not isinstance(value, kinds[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean")
    ):
        return [f"{at}: {value!r} is no {schema['type']}"]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at} lacks {name}" for name in schema.get("required", ()) if name not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{at} has {name}" for name in value if name not in properties]
        for name, inner in properties.items():
            found += problems(value[name], inner, f"{at}.{name}") if name in value else []
    if isinstance(value, list) and "items" in schema:
        found += [one for place, item in enumerate(value) for one in problems(item, schema["items"], f"{at}[{place}]")]
    if isinstance(value, str) and "pattern" in schema and re.search(schema["pattern"], value) is None:
        found.append(f"{at}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, (int, float)) and value < schema.get("minimum", value):
        found.append(f"{at}: {value} is too small")
    return found


def test_the_checker_finds_what_is_wrong():
    product = {"id": 7, "name": "pear", "price": "1.29", "currency": "EUR", "picture": None}
    schema = {"$ref": "#/components/schemas/Product"}
    assert not problems(product, schema)
    for wrong in ({**product, "id": "7"}, {**product, "price": "1,29"}, {**product, "more": 1}, {"id": 7}, [product]):
        assert problems(wrong, schema)


RECEIPT = json.dumps({"items": [{"id": 7, "quantity": 2}], "total": "2.58"}).encode()


@pytest.mark.parametrize(
    ("method", "target", "template", "body", "status"),
    [
        ("GET", "/v1/products", None, b"", 200),
        ("GET", "/v1/products/99/picture", "/v1/products/{id}/picture", b"", 404),
        ("GET", "/v1/products/7/picture", "/v1/products/{id}/picture", b"", 200),
        ("POST", "/v1/feedback?label=7", "/v1/feedback", jpeg_of(1), 201),
        ("POST", "/v1/feedback?label=8", "/v1/feedback", jpeg_of(1), 404),
        ("POST", "/v1/feedback", "/v1/feedback", jpeg_of(1), 400),
        ("POST", "/v1/receipts", None, RECEIPT, 202),
        ("POST", "/v1/receipts", None, b"{}", 422),
        ("GET", "/v1/status", None, b"", 200),
        ("GET", "/v1/camera?as=picture", "/v1/camera", b"", 200),
        ("GET", "/v1/camera?as=x", "/v1/camera", b"", 400),
        ("GET", "/v1/events?after=x", "/v1/events", b"", 400),
        ("GET", "/v1/gallery", None, b"", 200),
        ("POST", "/v1/gallery", None, b'{"name": "apple", "fields": {"price": 1.29}}', 201),
        ("GET", "/v1/gallery/5", "/v1/gallery/{id}", b"", 404),
        ("DELETE", "/v1/gallery/5", "/v1/gallery/{id}", b"", 404),
        ("PUT", "/v1/gallery/5", "/v1/gallery/{id}", b'{"name": "apple"}', 404),
        ("PATCH", "/v1/gallery/5", "/v1/gallery/{id}", b'{"name": "apple"}', 404),
        ("POST", "/v1/gallery/merge", None, b'{"product": 5, "into": 6}', 404),
        ("POST", "/v1/gallery/5/examples", "/v1/gallery/{id}/examples", jpeg_of(1), 404),
        ("GET", "/metrics", None, b"", 200),
        ("GET", "/openapi.json", None, b"", 200),
    ],
)
def test_answers_are_as_described(tmp_path, monkeypatch, method, target, template, body, status):
    monkeypatch.setenv("EDGEVISION_STATE", str(tmp_path / "state"))
    live = live_with(tmp_path, gallery=True)
    live.start()
    try:
        answer = ask(live.watched(app_of(live.routes())), method, target, body)
    finally:
        live.close(1.0)
    assert answer.status == status
    described = resolved(OPERATIONS[method.lower(), template or target]["responses"][str(status)])
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in described["content"]
    if kind == "application/json":
        assert not problems(answer.json, described["content"][kind]["schema"])


def test_a_machine_is_one(tmp_path):
    assert live_with(tmp_path)._models.make_machine("page-1").name == FakeMachine("page-1").name
