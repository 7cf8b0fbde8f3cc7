"""The gallery's part of the API's description: ``openapi`` puts it together with the others."""

from __future__ import annotations

from edgevision.kiosk.service.openapi_parts import (
    AMOUNT,
    COUNT,
    CURRENCY,
    FLAG,
    NUMBER,
    TEXT,
    TIME,
    Json,
    answers_of,
    content_of,
    deadline,
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
from edgevision.kiosk.service.route import Scope


def gallery_paths() -> Json:
    """Its paths."""
    tag = "gallery"
    product = in_path("id", "the product's id", TEXT)
    top = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    where = in_query("where", "only products that this filter means, such as price < 3 and kind = apple", TEXT)
    anyway = in_query(
        "anyway", "learn a blurred photo too, and one that looks like another product", {**FLAG, "default": False}
    )
    note = in_query("note", "what people call the photo", {"type": "string", "maxLength": 200})
    return {
        "/v1/gallery": {
            "get": operation_of(
                "gallery", "The gallery's products, by name", tag, Scope.READ, answers_of({"200": ok_answer(ref("Gallery"))}, ()),
                parameters=(
                    in_query("q", "only products whose names hold these words", TEXT), where,
                    in_query("offset", "how many to pass over", {**COUNT, "default": 0}),
                    in_query("limit", "how many to list at most", {**COUNT, "maximum": 1000, "default": 100}),
                ),
            ),
            "post": operation_of(
                "addProduct", "A new product, without photos yet", tag, Scope.ADMIN,
                answers_of({"201": ok_answer(ref("NamedProduct"))}, (409, 507)), body=content_of(ref("NewProduct")),
            ),
        },
        "/v1/gallery/{id}": {
            "get": operation_of(
                "galleryProduct", "One product with its examples", tag, Scope.READ,
                answers_of({"200": ok_answer(ref("ShownProduct"))}, (404,)), parameters=(product,),
            ),
            "put": operation_of(
                "replaceProduct", "Another name and other fields, in place of all that it had; fields that are null are left out", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("NamedProduct"))}, (404, 507)), parameters=(product,), body=content_of(ref("WholeProduct")),
            ),
            "patch": operation_of(
                "changeProduct", "Another name, or some other fields; the rest stays, and a field that is null goes (RFC 7396)", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("NamedProduct"))}, (404, 507)), parameters=(product,),
                body={**content_of(ref("ProductChange"), "application/merge-patch+json"), **content_of(ref("ProductChange"))},
            ),
            "delete": operation_of(
                "removeProduct", "Forget a product and its examples", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("RemovedProduct"))}, (404, 507)), parameters=(product,),
            ),
        },
        "/v1/gallery/{id}/examples": {
            "post": operation_of(
                "addExample", "Learn a photo of a product", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("Learnt"), "It was learnt before"), "201": ok_answer(ref("Learnt"), "It is learnt")}, (404, 409, 422, 507)),
                parameters=(product, note, anyway, deadline()), body=picture_body(),
            )
        },
        "/v1/gallery/{id}/examples/{source}": {
            "delete": operation_of(
                "removeExample", "Forget one photo of a product", tag, Scope.ADMIN,
                answers_of({"200": ok_answer(ref("RemovedExample"))}, (404, 507)),
                parameters=(product, in_path("source", "the SHA-256 of the photo, as the product's examples have it", TEXT)),
            )
        },
        "/v1/gallery/merge": {
            "post": operation_of(
                "mergeProducts", "Two products are one", tag, Scope.ADMIN, answers_of({"200": ok_answer(ref("Merged"))}, (404, 507)),
                body=content_of(ref("Merge")),
            )
        },
        "/v1/gallery/audit": {
            "get": operation_of(
                "auditGallery", "What to put right: products that look alike, photos that may be mislabelled", tag, Scope.READ,
                answers_of({"200": ok_answer(ref("Audit"))}, ()),
            )
        },
        "/v1/search": {
            "post": operation_of(
                "search", "Products that are like a picture, or that words or a filter mean", tag, Scope.INFER,
                answers_of({"200": ok_answer(ref("Found"))}, (422,)),
                parameters=(in_query("top", "of a picture: how many to find", top), where, deadline()),
                body={**picture_body(), **content_of(ref("Search"))},
            )
        },
    }  # fmt: skip


def gallery_schemas() -> Json:
    """What its bodies and answers hold."""
    fields: Json = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}
    name: Json = {"type": "string", "minLength": 1, "maxLength": 500}
    id: Json = {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1}
    product = {"id": id, "name": name, "fields": fields}
    listed = {
        **product, "examples": COUNT, "price": or_null(AMOUNT), "currency": or_null(CURRENCY), "picture": or_null(TEXT),
    }  # fmt: skip
    example = {"product": id, "source": TEXT, "added": TIME, "note": TEXT}
    like = {
        "known": FLAG,
        "product": ref("NamedProduct"),
        "similarity": NUMBER,
        "score": NUMBER,
        "example": ref("Example"),
    }
    found = {
        "product": ref("ListedProduct"), "score": NUMBER, "similarity": or_null(NUMBER), "example": or_null(ref("Example")),
        "why": list_of({"type": "object"}),
    }  # fmt: skip
    return {
        "NamedProduct": object_of(product),
        "ListedProduct": object_of(listed),
        "ShownProduct": object_of({**listed, "shown": list_of(ref("Example"))}),
        "Example": object_of(example),
        "Gallery": object_of(
            {
                "products": list_of(ref("ListedProduct")), "found": COUNT, "offset": COUNT, "counts": ref("GalleryUse"), "bundle": TEXT,
                "currency": or_null(CURRENCY),
            }
        ),
        "GalleryUse": object_of({"products": COUNT, "examples": COUNT}),
        "NewProduct": object_of(product, optional=("id", "fields")),
        "WholeProduct": object_of({"name": name, "fields": fields}, optional=("fields",)),
        "ProductChange": {**object_of({"name": name, "fields": fields}, optional=("name", "fields")), "minProperties": 1},
        "RemovedProduct": object_of({"removed": ref("NamedProduct"), "examples": COUNT}),
        "RemovedExample": object_of({"id": id, "removed": TEXT}),
        "Audit": object_of({"findings": list_of({"type": "object"})}),
        "Merge": object_of({"product": id, "into": id}),
        "Merged": object_of({"removed": ref("NamedProduct"), "into": ref("NamedProduct")}),
        "Learnt": object_of(
            {"id": id, "source": TEXT, "again": FLAG, "examples": COUNT, "before": or_null(object_of(like)), "ms": NUMBER}
        ),
        "Search": {
            **object_of(
                {
                    "text": {"type": "string", "minLength": 1, "maxLength": 1000}, "where": TEXT,
                    "top": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                },
                optional=("text", "where", "top"),
            ),
            "anyOf": [{"required": ["text"]}, {"required": ["where"]}],
        },
        "Found": object_of({"known": or_null(FLAG), "top": list_of(object_of(found)), "ms": NUMBER}),
    }  # fmt: skip
