from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from edgevision.bundle import archive, open_bundle, write_bundle
from edgevision.bundle.manifest import Label, VariantEntry
from edgevision.errors import BundleError, InputError
from edgevision.files import is_temporary


def test_round_trip(tmp_path, manifest, entries):
    path = tmp_path / "m.edge"
    id = write_bundle(path, manifest, entries)
    with open_bundle(path) as bundle:
        assert bundle.id == id
        assert bundle.size == path.stat().st_size
        assert replace(bundle.manifest, entries={}) == manifest
        assert {name: bundle.read(name) for name in bundle.manifest.entries} == entries
        assert bundle.graph("int8") == entries["graphs/int8.onnx"]
        bundle.verify()
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_content_gives_the_same_bytes(tmp_path, manifest, entries):
    backwards = replace(
        manifest,
        graphs=dict(reversed(manifest.graphs.items())),
        source=dict(reversed(manifest.source.items())),
    )
    first = write_bundle(tmp_path / "a.edge", manifest, entries)
    second = write_bundle(tmp_path / "b.edge", backwards, dict(reversed(entries.items())))
    assert first == second
    assert (tmp_path / "a.edge").read_bytes() == (tmp_path / "b.edge").read_bytes()


def test_another_zip_reader_agrees(bundle_path, entries):
    """The archive is an ordinary zip, as Python's zipfile understands it."""
    with zipfile.ZipFile(bundle_path) as z:
        assert z.testzip() is None
        names = z.namelist()
        assert names == sorted([*entries, "manifest.json", "manifest.sha256"])
        assert all(i.compress_type == zipfile.ZIP_STORED and i.date_time[0] == 1980 for i in z.infolist())
        assert all(i.external_attr >> 16 == 0o100644 for i in z.infolist())
        assert {name: z.read(name) for name in entries} == entries
        text = z.read("manifest.json")
        assert z.read("manifest.sha256").decode() == hashlib.sha256(text).hexdigest()
        data = json.loads(text)
    assert data["proven"] is True
    assert data["task"]["labels"][0] == {"id": 7, "name": "Äpfel"}
    assert data["entries"]["golden/0.png"]["sha256"] == hashlib.sha256(entries["golden/0.png"]).hexdigest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, e: (replace(m, chosen="slow"), e), "chosen: expected one of fast, base, got 'slow'"),
        (lambda m, e: (m, {k: v for k, v in e.items() if k != "golden/0.png"}), r"golden_frames\[0\].*golden/0.png"),
        (lambda m, e: (m, {**e, "../evil": b""}), "'../evil'"),
        (lambda m, e: (m, {**e, "manifest.json": b""}), "made by the writer"),
        (lambda m, e: (m, {**e, "manifest.sha256": b""}), "made by the writer"),
        (lambda m, e: (m, {**e, "golden/1.png": b"GIF89a"}), "golden/1.png is not a PNG"),
        (lambda m, e: (m, {**e, "golden/base.npy": b""}), "golden/base.npy is not an .npy"),
        (
            lambda m, e: (replace(m, task=replace(m.task, labels=(*m.labels, Label(9, "x")))), e),
            r"'fast' are none of its task.*shape \(2, 2\), expected \(n, 3\)",
        ),
        (lambda m, e: (replace(m, source={"bytes": np.float32(1)}), e), "JSON does not have"),
        (lambda m, e: (replace(m, source={"x": float("nan")}), e), "JSON does not have"),
        (lambda m, e: (replace(m, name="\ud800"), e), "JSON does not have"),
        (lambda m, e: (replace(m, variants=(*m.variants, m.variants[0])), e), "'fast' twice"),
        (lambda m, e: (replace(m, data={"x": "y" * (8 << 20)}), e), "manifest.json has"),
    ],
)
def test_what_would_not_read_back_is_not_written(bundle_path, manifest, entries, change, message):
    before = bundle_path.read_bytes()
    with pytest.raises(BundleError, match=message) as raised:
        write_bundle(bundle_path, *change(manifest, entries))
    assert not is_temporary(str(raised.value).split(" ", maxsplit=1)[0])
    assert bundle_path.read_bytes() == before
    assert list(bundle_path.parent.iterdir()) == [bundle_path]


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("MAX_ENTRY_BYTES", 100, "100 bytes at most"),
        ("MAX_TOTAL_BYTES", 500, "in all"),
        ("MAX_ENTRIES", 10, "at most 10"),
    ],
)
def test_sizes_are_bounded(tmp_path, manifest, entries, monkeypatch, bound, value, message):
    monkeypatch.setattr(archive, bound, value)
    with pytest.raises(BundleError, match=message):
        write_bundle(tmp_path / "m.edge", manifest, entries)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_gives_back_something_else_is_noticed(bundle_path, manifest, entries, monkeypatch):
    """Reading back happens before the rename, so the old bundle stays."""
    before = bundle_path.read_bytes()
    chunks = archive.archive_chunks
    monkeypatch.setattr(
        "edgevision.bundle.writer.archive_chunks",
        lambda e: (chunk.replace(b"an int8 graph", b"an int9 graph") for chunk in chunks(e)),
    )
    with pytest.raises(BundleError, match=r"graphs/int8.onnx was altered"):
        write_bundle(bundle_path, replace(manifest, name="new"), entries)
    assert bundle_path.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("gone/m.edge", InputError, "folder does not exist"),
        (".", InputError, "it is a folder"),
        ("file/m.edge", InputError, "parent is a file"),
    ],
)
def test_targets_that_cannot_be(tmp_path, manifest, entries, target, kind, message):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(kind, match=message):
        write_bundle(tmp_path / target, manifest, entries)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_long_life_of_variants(tmp_path, manifest, entries):
    """Many variants and labels still make a readable manifest."""
    variants = tuple(
        VariantEntry(f"v{i}", "float", "onnxruntime", "float32", {"threshold": 0.5}, {"scores": "golden/base.npy"})
        for i in range(300)
    )
    write_bundle(tmp_path / "m.edge", replace(manifest, variants=variants, chosen="v299"), entries)
    with open_bundle(tmp_path / "m.edge") as bundle:
        assert bundle.manifest.variants == variants
