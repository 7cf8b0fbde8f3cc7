"""Hostile and damaged bundles. The attacks are built here from PKWARE's APPNOTE, or by Python's zipfile."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import threading
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edgevision.bundle import archive, open_bundle, reader, write_bundle
from edgevision.bundle.manifest import SCHEMA_VERSION
from edgevision.errors import BundleError


@dataclass
class Record:
    """One entry with every header field open to abuse; ``local`` overrides fields in the local header only."""

    name: bytes
    data: bytes
    made: int = 3 << 8 | 20
    need: int = 20
    flags: int = 0
    method: int = 0
    time: int = 0
    date: int = 1 << 5 | 1
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    extra: bytes = b""
    comment: bytes = b""
    disk: int = 0
    internal: int = 0
    external: int = 0o100644 << 16
    offset: int | None = None
    after: bytes = b""  # bytes between this entry and the next
    local: dict[str, Any] | None = None


def pack(records: list[Record], *, prefix: bytes = b"", gap: bytes = b"", end: dict[str, int] | None = None,
         comment: bytes = b"") -> bytes:  # fmt: skip
    """A zip of these records, as they say."""
    out, directory = bytearray(prefix), bytearray()
    for r in records:
        crc = zlib.crc32(r.data) if r.crc is None else r.crc
        packed = len(r.data) if r.packed is None else r.packed
        size = len(r.data) if r.size is None else r.size
        offset = len(out) if r.offset is None else r.offset
        directory += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", r.made, r.need, r.flags, r.method, r.time, r.date, crc, packed, size, len(r.name),
            len(r.extra), len(r.comment), r.disk, r.internal, r.external, offset,
        ) + r.name + r.extra + r.comment  # fmt: skip
        f: dict[str, Any] = {
            "need": r.need, "flags": r.flags, "method": r.method, "time": r.time, "date": r.date, "crc": crc,
            "packed": packed, "size": size, "name": r.name, "extra": r.extra, **(r.local or {}),
        }  # fmt: skip
        out += struct.pack(
            "<4s5H3I2H", b"PK\3\4", f["need"], f["flags"], f["method"], f["time"], f["date"], f["crc"], f["packed"],
            f["size"], len(f["name"]), len(f["extra"]),
        ) + f["name"] + f["extra"] + r.data + r.after  # fmt: skip
    out += gap
    e = {"disk": 0, "start": 0, "here": len(records), "total": len(records), "bytes": len(directory), "at": len(out)}
    e |= end or {}
    out += directory
    return bytes(out) + struct.pack("<4s4H2IH", b"PK\5\6", *e.values(), len(comment)) + comment


def unpack(data: bytes) -> list[Record]:
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return [Record(i.filename.encode(), z.read(i)) for i in z.infolist()]


def reseal(records: list[Record], change=lambda manifest: None) -> list[Record]:
    """Let the manifest follow from the records, as an attacker would, then change it."""
    by_name = {r.name.decode(): r for r in records}
    manifest = json.loads(by_name["manifest.json"].data)
    manifest["entries"] = {
        name: {"sha256": hashlib.sha256(r.data).hexdigest(), "size": len(r.data)}
        for name, r in by_name.items() if not name.startswith("manifest.")
    }  # fmt: skip
    change(manifest)
    by_name["manifest.json"].data = text = json.dumps(manifest).encode()
    by_name["manifest.sha256"].data = hashlib.sha256(text).hexdigest().encode()
    return records


def named(records: list[Record], name: str) -> Record:
    return next(r for r in records if r.name == name.encode())


def test_the_attacks_are_built_on_what_the_writer_writes(bundle_bytes):
    assert pack(unpack(bundle_bytes)) == bundle_bytes
    with open_bundle(pack(reseal(unpack(bundle_bytes)))) as bundle:
        bundle.verify()


# ---- structure ----

GRAPH = "graphs/int8.onnx"


def altered(**fields):
    """The graph's record with other header fields."""

    def change(records):
        for key, value in fields.items():
            setattr(named(records, GRAPH), key, value)
        return pack(records)

    return change


def renamed(name):
    """The graph under another name, listed so in the manifest, everything consistent."""

    def change(records):
        named(records, GRAPH).name = name
        records.sort(key=lambda r: r.name)
        listed = name.decode("utf-8", "replace")
        manifest, digest = named(records, "manifest.json"), named(records, "manifest.sha256")
        data = json.loads(manifest.data)
        data["entries"][listed] = data["entries"].pop(GRAPH)
        data["graphs"]["int8"]["entry"] = listed
        manifest.data = json.dumps(data).encode()
        digest.data = hashlib.sha256(manifest.data).hexdigest().encode()
        return pack(records)

    return change


def twice(records):
    records.insert(1 + records.index(named(records, GRAPH)), Record(GRAPH.encode(), b"another graph"))
    return pack(records)


def out_of_order(records):
    return pack(records[::-1])


def unlisted(records):
    records.append(Record(b"zzz/extra.bin", b"payload"))
    return pack(records)


def missing(name):
    return lambda records: pack([r for r in records if r.name != name.encode()])


def overlapping(records):
    """Two names for one place: zip bombs of this kind are made so (Fifield 2019)."""
    first, second = records[0], records[1]
    second.data, second.crc, second.offset = first.data, None, 0
    return pack(records)


def nested_local(records):
    """An entry that holds the next entry's header and content."""
    records[0].size = records[0].packed = len(records[0].data) + 60
    return pack(records)


def zip64(records):
    record = named(records, GRAPH)
    record.extra = struct.pack("<2H2Q", 1, 16, len(record.data), len(record.data))
    record.packed = record.size = 0xFFFFFFFF
    return pack(records)


def zip64_end(records):
    """A zip64 end record and locator before the usual one, whose fields then say 'look there'."""
    data = pack(records)
    count, size, at = len(records), *struct.unpack_from("<2I", data, len(data) - 10)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(data) - 22, 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:-22] + end64 + locator + end


def compressed(records):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for r in records:
            z.writestr(r.name.decode(), r.data)
    return out.getvalue()


def bomb(records):
    """10 MB of zeros in a few kB."""
    record = named(records, GRAPH)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    record.size, record.crc = 10_000_000, zlib.crc32(bytes(10_000_000))
    record.data = deflate.compress(bytes(10_000_000)) + deflate.flush()
    record.method = 8
    return pack(records)


def with_descriptor(records):
    record = named(records, GRAPH)
    record.flags, record.after = 8, struct.pack("<4s3I", b"PK\7\10", zlib.crc32(record.data), 65, 65)
    record.local = {"crc": 0, "packed": 0, "size": 0}
    return pack(records)


def ends(**fields):
    return lambda records: pack(records, end=fields)


STRUCTURE = {
    # name: (attack on the records, what the message says)
    "twice": (twice, "graphs/int8.onnx is there twice"),
    "out of order": (out_of_order, "is out of order"),
    "unlisted": (unlisted, "zzz/extra.bin is not in its manifest"),
    "missing graph": (missing(GRAPH), "graphs/int8.onnx is missing"),
    "missing report": (missing("report/report.html"), "report/report.html is missing"),
    "missing manifest": (missing("manifest.json"), "it has no manifest.json"),
    "missing digest": (missing("manifest.sha256"), "it has no manifest.sha256"),
    "overlapping": (overlapping, "does not begin where"),
    "nested": (nested_local, "does not begin where|differ"),
    "zip64 extra": (zip64, "a header that EdgeVision does not write"),
    "zip64 end": (zip64_end, "claims 65535 entries"),
    "compressed": (compressed, "is compressed"),
    "bomb": (bomb, "is compressed"),
    "encrypted": (altered(flags=1), "is encrypted"),
    "strong encryption": (altered(flags=0x41), "is encrypted"),
    "data descriptor": (with_descriptor, "a header that EdgeVision does not write"),
    "utf-8 flag": (altered(flags=0x800), "a header that EdgeVision does not write"),
    "symlink": (altered(external=0o120777 << 16), "is not a plain file"),
    "device": (altered(external=0o060644 << 16), "is not a plain file"),
    "folder attribute": (altered(external=0o100644 << 16 | 0x10), "is not a plain file"),
    "setuid": (altered(external=0o104755 << 16), "is not a plain file"),
    "other system": (altered(made=20), "a header that EdgeVision does not write"),
    "newer version": (altered(need=63), "a header that EdgeVision does not write"),
    "extra field": (altered(extra=b"xx\4\0data"), "a header that EdgeVision does not write"),
    "entry comment": (altered(comment=b"hello"), "a header that EdgeVision does not write|directory"),
    "another time": (altered(time=5), "a header that EdgeVision does not write"),
    "another disk": (altered(disk=1), "a header that EdgeVision does not write"),
    "text attribute": (altered(internal=1), "a header that EdgeVision does not write"),
    "sizes differ": (altered(size=64), "a header that EdgeVision does not write"),
    "too long": (altered(size=1 << 30, packed=1 << 30), "past the end"),
    "4 GiB": (altered(size=0xFFFFFFFE, packed=0xFFFFFFFE), "past the end"),
    "another offset": (altered(offset=3), "does not begin where"),
    "offset past the end": (altered(offset=0xFFFFFFF0), "does not begin where"),
    "crc": (altered(crc=1), "altered"),
    "local name": (altered(local={"name": b"graphs/int9.onnx"}), "differ"),
    "local flags": (altered(local={"flags": 1}), "differ"),
    "local method": (altered(local={"method": 8}), "differ"),
    "local crc": (altered(local={"crc": 0}), "differ"),
    "local size": (altered(local={"size": 64}), "differ"),
    "local packed size": (altered(local={"packed": 64}), "differ"),
    "local extra": (altered(local={"extra": b"xx\0\0"}), "differ|does not begin"),
    "gap between entries": (altered(after=b"hidden"), "does not begin where"),
    "gap before the directory": (lambda r: pack(r, gap=b"hidden"), "between its last entry and its directory"),
    "prepended": (lambda r: b"#!/bin/sh\n" + pack(r), "does not begin as a bundle does"),
    "prepended, offsets right": (lambda r: pack(r, prefix=b"MZ\x90"), "does not begin as a bundle does"),
    "prepended entry": (lambda r: pack(r[:1])[:-22] + pack(r), "between or after"),
    "appended": (lambda r: pack(r) + b"\0", "appended"),
    "appended archive": (lambda r: pack(r) * 2, "between or after"),
    "comment": (lambda r: pack(r, comment=b"hello"), "appended"),
    "claimed comment": (lambda r: pack(r)[:-2] + b"\5\0", "end record"),
    "no entries": (lambda r: b"PK\3\4" + pack([]), "claims 0 entries"),
    "empty zip": (lambda r: pack([]), "does not begin as a bundle does"),
    "fewer entries than said": (ends(here=20, total=20), "ends before entry"),
    "more entries than said": (ends(here=3, total=3), "directory"),
    "many entries": (ends(here=5000, total=5000), "claims 5000 entries"),
    "entries on another disk": (ends(here=2), "several disks"),
    "disk number": (ends(disk=1), "several disks"),
    "directory's disk": (ends(start=1), "several disks"),
    "directory elsewhere": (ends(at=7), "between or after"),
    "directory too large": (ends(bytes=1 << 30), "larger than its entries allow"),
}
NAMES = [
    b"/etc/passwd", b"../int8.onnx", b"graphs/../../x", b"graphs/./x", b"graphs//x", b"graphs/", b"graphs/..", b"..",
    b".", b"", b"graphs\\int8.onnx", b"..\\x", b"C:/x", b"C:x", b"\\\\host\\x", b"graphs/a\0b", b"graphs/a\nb",
    b"graphs/\xc3\xa4", b"graphs/\xff", b"graphs/a b", b"~/x", b"graphs/.hidden", b"-rf", b"g/" + b"x" * 254, b"x\n",
]  # fmt: skip


@pytest.mark.parametrize("attack", STRUCTURE)
def test_structure(bundle_bytes, attack):
    change, message = STRUCTURE[attack]
    data = change(unpack(bundle_bytes))
    with pytest.raises(BundleError, match=message), open_bundle(data) as bundle:
        bundle.verify()


@pytest.mark.parametrize("name", NAMES)
def test_names(bundle_bytes, name):
    with pytest.raises(BundleError, match="has the name"):
        open_bundle(renamed(name)(unpack(bundle_bytes)))


def test_names_of_other_lengths_pass(bundle_bytes):
    """The refusals above are the names' fault, not the renaming's."""
    with open_bundle(renamed(b"graphs/another_name-2.onnx")(unpack(bundle_bytes))) as bundle:
        bundle.verify()


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("archive.MAX_ENTRIES", 10, "claims 11 entries"),
        ("archive.MAX_ENTRY_BYTES", 300, "300 bytes at most"),
        ("archive.MAX_TOTAL_BYTES", 1000, "more than a bundle may have|in all"),
        ("reader.MAX_MANIFEST_BYTES", 1000, "manifest.json has"),
    ],
)
def test_sizes_are_bounded(bundle_bytes, monkeypatch, bound, value, message):
    module, name = bound.split(".")
    monkeypatch.setattr({"archive": archive, "reader": reader}[module], name, value)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle_bytes)


def test_a_huge_sparse_file_is_refused_unread(tmp_path, bundle_bytes):
    path = tmp_path / "huge.edge"
    with path.open("wb") as file:
        file.write(bundle_bytes)
        file.truncate(5 << 40)
    with pytest.raises(BundleError, match="more than a bundle may have"):
        open_bundle(path)


# ---- content ----


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
        (SCHEMA_VERSION + 1, r"version 2 \(made by edgevision '0.1.0'\).*pip install --upgrade edgevision.*compile"),
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


# ---- files ----


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"P", "does not begin"),
        (b"PK\3\4", "cut off"),
        (b"PK\5\6" + bytes(18), "does not begin"),
        (b"\x08\x08\x12\x07pytorch" * 9, "does not begin"),
        (bytes(1000), "does not begin"),
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


# ---- use ----


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
        with pytest.raises(BundleError, match=r"golden/0\.png is not a float32"):
            bundle.golden_outputs("golden/0.png")
    for seed, (frame, (height, width)) in enumerate(zip(frames, [(3, 4), (5, 3)], strict=True)):
        rgb = np.random.default_rng(seed).integers(0, 256, (height, width * 3), np.uint8).reshape(height, width, 3)
        np.testing.assert_array_equal(frame, rgb[..., ::-1])
    np.testing.assert_array_equal(reference, np.array([[2, -1], [0, 1]], np.float32))
