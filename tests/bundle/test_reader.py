"""Damaged bundles, files that are none, and reading while others write."""

from __future__ import annotations

import io
import os
import re
import threading
import warnings
import zipfile

import numpy as np
import pytest
from hostile_zip import GRAPH, named, pack, reseal, unpack

from edgevision.bundle import open_bundle, write_bundle
from edgevision.bundle.manifest import SCHEMA_VERSION
from edgevision.errors import BundleError


def test_every_byte_counts(bundle_bytes):
    """Each byte of the file, inverted: opening and verifying refuses the result."""
    data = bytearray(bundle_bytes)
    accepted = []
    for i in range(len(data)):
        data[i] ^= 0xFF
        try:
            with open_bundle(bytes(data)) as bundle:
                bundle.verify()
            accepted.append(i)
        except BundleError:
            pass
        data[i] ^= 0xFF
    assert accepted == []


def test_every_bit_of_the_headers_counts(bundle_bytes):
    with zipfile.ZipFile(io.BytesIO(bundle_bytes)) as z:
        headers = [(i.header_offset, i.header_offset + 30 + len(i.filename)) for i in z.infolist()]
        headers.append((z.start_dir, len(bundle_bytes)))
    data = bytearray(bundle_bytes)
    for i in (i for start, end in headers for i in range(start, end)):
        for bit in range(8):
            data[i] ^= 1 << bit
            with pytest.raises(BundleError):
                open_bundle(bytes(data))
            data[i] ^= 1 << bit


def test_every_length_counts(bundle_bytes):
    for length in range(len(bundle_bytes)):
        with pytest.raises(BundleError):
            open_bundle(bundle_bytes[:length])


def test_every_entry_altered(bundle_bytes):
    """Content changed, and the zip around it made right again: the hashes still tell."""
    names = [r.name.decode() for r in unpack(bundle_bytes)]
    assert len(names) == 11
    for name in names:
        for change in (
            lambda d: d[:-1] + bytes([d[-1] ^ 1]) if d else b"x",
            lambda d: d + b" ",
            lambda d: d[1:] or b"xy",
        ):
            records = unpack(bundle_bytes)
            record = named(records, name)
            record.data = change(record.data)
            with pytest.raises(BundleError, match=re.escape(name)), open_bundle(pack(records)) as bundle:
                bundle.verify()


def test_an_altered_entry_hurts_only_who_reads_it(bundle_bytes):
    records = unpack(bundle_bytes)
    named(records, "report/report.json").data = b"[]"
    with open_bundle(pack(records)) as bundle:
        bundle.graph("int8")
        bundle.golden_frames()
        for read in (lambda: bundle.read("report/report.json"), bundle.verify):
            with pytest.raises(BundleError, match=r"report/report\.json was altered.*[Cc]opy it again"):
                read()


def test_entries_swapped(bundle_bytes):
    records = unpack(bundle_bytes)
    a, b = named(records, "graphs/int8.onnx"), named(records, "graphs/float.onnx")
    a.data, b.data = b.data, a.data
    with pytest.raises(BundleError, match="has not the size"):
        open_bundle(pack(records))


@pytest.mark.parametrize(
    "digest", [b"", b"0" * 64, b"0" * 63, b"0" * 65, lambda d: d.upper(), lambda d: d[:-1] + b"\n", lambda d: d + b"\n"]
)
def test_the_digest_is_exact(bundle_bytes, digest):
    records = unpack(bundle_bytes)
    record = named(records, "manifest.sha256")
    record.data = digest(record.data) if callable(digest) else digest
    with pytest.raises(BundleError, match=r"manifest\.sha256"):
        open_bundle(pack(records))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (SCHEMA_VERSION + 1, r"version 3 \(made by edgevision '0.1.0'\).*pip install --upgrade edgevision.*compile"),
        (0, "compile the model again"),
        (None, "compile the model again"),
        ("1", "compile the model again"),
        (True, "compile the model again"),
    ],
)
def test_unknown_schema(bundle_bytes, schema, message):
    """Said before anything else is looked at: a later schema may have other keys."""
    records = reseal(unpack(bundle_bytes), lambda m: m.update(schema=schema, tensors=[]))
    with pytest.raises(BundleError, match=message):
        open_bundle(pack(records))


def test_an_entry_listed_under_a_name_of_the_writers(bundle_bytes):
    records = reseal(unpack(bundle_bytes), lambda m: m["entries"].update({"manifest.json": m["entries"][GRAPH]}))
    with pytest.raises(BundleError, match=r"no entry may have the name 'manifest\.json'"):
        open_bundle(pack(records))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"P", "does not begin"),
        (b"PK\3\4", "cut off"),
        (b"PK\5\6" + bytes(18), "does not begin"),
        (b"\x08\x08\x12\x07pytorch" * 9, "does not begin"),
        (bytes(1000), "does not begin"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "git lfs pull"),
    ],
)
def test_not_a_bundle(tmp_path, content, message):
    path = tmp_path / "x.edge"
    path.write_bytes(content)
    with pytest.raises(
        BundleError, match=f"{re.escape(str(path))} is not a sound EdgeVision bundle.*{message}.*compile"
    ):
        open_bundle(path)


def test_another_zip(tmp_path):
    path = tmp_path / "x.edge"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("archive/data.pkl", b"payload")
    with pytest.raises(BundleError, match=r"archive/data\.pkl is not a plain file"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file.*edgevision compile"),
        (lambda p: p.mkdir(), "got a folder"),
        (os.mkfifo, "got a device or a pipe"),
        (lambda p: p.symlink_to("/dev/zero"), "got a device or a pipe"),
        (lambda p: p.symlink_to(p), "cannot be opened"),
    ],
)
def test_not_a_file(tmp_path, make, message):
    path = tmp_path / "x.edge"
    make(path)
    with pytest.raises(BundleError, match=message):
        open_bundle(path)


@pytest.mark.parametrize("path", ["a\0b.edge", "/dev/null/x.edge", ""])
def test_not_a_path(path):
    with pytest.raises(BundleError):
        open_bundle(path)


def test_refusing_leaves_no_file_open(bundle_path):
    bundle_path.write_bytes(bundle_path.read_bytes()[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(BundleError):
            open_bundle(bundle_path)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()  # noqa: PTH112, PTH208
    with pytest.raises(BundleError):
        open_bundle(bundle_path)
    assert not before or set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_reading_by_name(bundle_path):
    with open_bundle(bundle_path) as bundle:
        with pytest.raises(BundleError, match=r"no entry 'graphs/x\.onnx'; it has golden/0\.png"):
            bundle.read("graphs/x.onnx")
        with pytest.raises(BundleError, match="no graph 'x'; it has float, int8"):
            bundle.graph("x")
        with pytest.raises(BundleError, match=r"no entry 'manifest\.json'"):
            bundle.read("manifest.json")


def test_closed(bundle_path):
    bundle = open_bundle(bundle_path)
    bundle.close()
    bundle.close()
    assert bundle.manifest.name == "shelf"
    with pytest.raises(BundleError, match="was closed"):
        bundle.read(GRAPH)


def test_a_replaced_bundle_is_read_to_its_end(bundle_path, manifest, entries):
    with open_bundle(bundle_path) as bundle:
        write_bundle(bundle_path, manifest, {**entries, GRAPH: b"another"})
        assert bundle.graph("int8") == entries[GRAPH]
    with open_bundle(bundle_path) as bundle:
        assert bundle.graph("int8") == b"another"


def test_a_file_that_shrinks_while_open(bundle_path):
    with open_bundle(bundle_path) as bundle:
        os.truncate(bundle_path, 100)
        with pytest.raises(BundleError, match=r"became shorter|altered"):
            bundle.verify()


def test_many_threads(bundle_path, entries):
    wrong = []

    def read(bundle, names):
        wrong.extend(name for name in names for _ in range(30) if bundle.read(name) != entries[name])

    with open_bundle(bundle_path) as bundle:
        orders = [sorted(entries), sorted(entries, reverse=True)] * 2
        threads = [threading.Thread(target=read, args=(bundle, order)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_golden_frames_are_the_pictures(bundle_path):
    with open_bundle(bundle_path) as bundle:
        frames = bundle.golden_frames()
        reference = bundle.golden_outputs(bundle.manifest.golden_reference)
        with pytest.raises(BundleError, match=r"golden/0\.png is not an \.npy array"):
            bundle.golden_outputs({"scores": "golden/0.png"})
    for seed, (frame, (height, width)) in enumerate(zip(frames, [(3, 4), (5, 3)], strict=True)):
        rgb = np.random.default_rng(seed).integers(0, 256, (height, width * 3), np.uint8).reshape(height, width, 3)
        np.testing.assert_array_equal(frame, rgb[..., ::-1])
    assert list(reference) == ["scores"]
    np.testing.assert_array_equal(reference["scores"], np.array([[2, -1], [0, 1]], np.float32))
