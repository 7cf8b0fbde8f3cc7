"""Zip files with every field open to abuse, built from PKWARE's APPNOTE."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any


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


GRAPH = "graphs/int8.onnx"
