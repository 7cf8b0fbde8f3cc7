"""``edgevision gallery list``, ``show``, ``audit`` and ``export``: what is only looked at."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgevision.cli import output

if TYPE_CHECKING:
    from edgevision.gallery.audit import Finding
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.products import GalleryProduct


def list(arguments: argparse.Namespace) -> int:
    """List the products."""
    from edgevision.gallery.gallery import open_gallery

    gallery = open_gallery(arguments.gallery)
    counts = [len(gallery.examples_of(product.id)) for product in gallery.products]
    if arguments.json:
        products = [
            {**product.to_dict(), "examples": count} for product, count in zip(gallery.products, counts, strict=True)
        ]
        output.show_json({"bundle_id": gallery.bundle_id, "dimension": gallery.dimension, "products": products})
        return 0
    lines = [
        (str(product.id), product.name, _fields(product), str(count))
        for product, count in zip(gallery.products, counts, strict=True)
    ]
    title = f"{_size(gallery)}, for the bundle {gallery.bundle_id[:12]}"
    output.table(title, ("id", "name", "fields", "examples"), lines, left=3)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Show a product and its examples."""
    import numpy as np

    from edgevision.gallery.gallery import open_gallery

    gallery = open_gallery(arguments.gallery)
    product = gallery.find(arguments.id)
    examples = gallery.examples_of(product.id)
    vectors = gallery.vectors[np.array([one.product == product.id for one in gallery.examples], bool)]
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    nearest = alike.max(axis=1).tolist() if len(examples) > 1 else [None] * len(examples)
    if arguments.json:
        listed = [{**one.to_dict(), "nearest_own": near} for one, near in zip(examples, nearest, strict=True)]
        threshold = gallery.rejection.threshold
        output.show_json({**product.to_dict(), "threshold": threshold, "examples": listed})
        return 0
    lines = [
        (one.source[:12], one.note, one.added, "" if near is None else f"{near:.3f}")
        for one, near in zip(examples, nearest, strict=True)
    ]
    title = f"{product.name} ({product.id})" + (f": {_fields(product)}" if product.fields else "")
    output.table(title, ("example", "note", "added", "nearest of its own"), lines, left=3)
    return 0


def audit(arguments: argparse.Namespace) -> int:
    """Look for what may be wrong."""
    from edgevision.gallery.audit import audit as findings_of
    from edgevision.gallery.gallery import open_gallery

    gallery = open_gallery(arguments.gallery)
    findings = findings_of(gallery, str(arguments.gallery))
    if arguments.json:
        output.show_json(
            {
                "products": len(gallery.products),
                "examples": len(gallery.examples),
                "rejection": gallery.rejection.to_dict(),
                "findings": [one.to_dict() for one in findings],
            }
        )
        return 0
    output.say(f"{_size(gallery)}, {output.counted(len(findings), 'finding')}")
    for one in findings:
        _say(one)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write products and examples to a CSV."""
    from edgevision.cli.outputs import check_target
    from edgevision.files import atomic_write
    from edgevision.gallery.gallery import open_gallery
    from edgevision.gallery.table import to_csv

    check_target(arguments.output, [arguments.gallery])
    gallery = open_gallery(arguments.gallery)
    atomic_write(arguments.output, to_csv(gallery))
    told = {"file": str(arguments.output), "products": len(gallery.products), "examples": len(gallery.examples)}
    if arguments.json:
        output.show_json(told)
    else:
        output.say(f"wrote {arguments.output}: {_size(gallery)}")
    return 0


def _size(gallery: Gallery) -> str:
    return f"{output.counted(len(gallery.products), 'product')}, {output.counted(len(gallery.examples), 'example')}"


def _say(finding: Finding) -> None:
    output.say(f"{finding.kind.value}: {finding.says}")
    output.say(f"  {finding.suggestion}", style="dim")


def _fields(product: GalleryProduct) -> str:
    return ", ".join(f"{name} = {value}" for name, value in product.fields.items() if value is not None)
