"""Hostile bundles. The attacks are built from PKWARE's APPNOTE, or by Python's zipfile."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib

import pytest
from hostile_zip import GRAPH, Record, named, pack, reseal, unpack

from edgevision.bundle import archive, open_bundle, reader
from edgevision.errors import BundleError


def test_the_attacks_are_built_on_what_the_writer_writes(bundle_bytes):
    assert pack(unpack(bundle_bytes)) == bundle_bytes
    with open_bundle(pack(reseal(unpack(bundle_bytes)))) as bundle:
        bundle.verify()


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
