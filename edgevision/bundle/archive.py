"""The zip around a bundle, by hand: stored entries only, and exactly one way to write them.

Every header byte follows from an entry's name, size and CRC-32, so reading builds the headers again and compares: what
is not equal (compression, encryption, extra fields, comments, zip64, data descriptors, links, other times) is refused,
and there is nothing that two programs could understand differently. Any zip tool can list and extract the result.
Fields are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central), 4.3.16 (end record).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from edgevision.errors import BundleError

MAX_ENTRIES = 4096
MAX_ENTRY_BYTES = 1 << 30
MAX_TOTAL_BYTES = 2 << 30  # below 4 GiB: zip64 is never needed
MAX_NAME_BYTES = 255

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION = 20  # 2.0: folders in names
_MADE_BY = 3 << 8 | _VERSION  # Unix, so that the permissions below are read
_MIDNIGHT, _YEAR_1980 = 0, 1 << 5 | 1  # the same bytes for the same content
_REGULAR_FILE = 0o100644 << 16  # -rw-r--r--

# Plain ASCII words in folders: no absolute or parent path, backslash, drive, NUL, leading dot, or folder entry.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*", re.ASCII)


class Source(Protocol):
    """The archive's bytes, read from any place, by any thread and process at once: there is no position to share."""

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` on, fewer where the archive ends before. Raises OSError."""


@dataclass(frozen=True)
class Member:
    """An entry: ``offset`` is where its local header begins, in bytes."""

    name: str
    crc: int
    size: int
    offset: int

    @property
    def local_header(self) -> bytes:
        """The header in front of the content."""
        name = self.name.encode("ascii")
        fixed = _LOCAL.pack(
            b"PK\3\4", _VERSION, 0, 0, _MIDNIGHT, _YEAR_1980, self.crc, self.size, self.size, len(name), 0
        )  # fmt: skip
        return fixed + name

    @property
    def central_header(self) -> bytes:
        """The header in the directory at the end."""
        name = self.name.encode("ascii")
        fixed = _CENTRAL.pack(
            b"PK\1\2", _MADE_BY, _VERSION, 0, 0, _MIDNIGHT, _YEAR_1980, self.crc, self.size, self.size, len(name),
            0, 0, 0, 0, _REGULAR_FILE, self.offset,
        )  # fmt: skip
        return fixed + name

    @property
    def data_offset(self) -> int:
        """Where the content begins, in bytes."""
        return self.offset + _LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        """The byte after the content."""
        return self.data_offset + self.size


def is_entry_name(name: str) -> bool:
    """Whether an entry may have this name."""
    return len(name) <= MAX_NAME_BYTES and _NAME.fullmatch(name) is not None


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Raise BundleError where names (→ sizes in bytes) are too many, too large, or not plain."""
    if len(sizes) > MAX_ENTRIES:
        raise BundleError(f"a bundle has at most {MAX_ENTRIES} entries, got {len(sizes)}")
    for name, size in sizes.items():
        if not is_entry_name(name):
            raise BundleError(
                f"entry names are plain ASCII words with '/' between, at most {MAX_NAME_BYTES} bytes, got {name!r}"
            )
        if size > MAX_ENTRY_BYTES:
            raise BundleError(f"entry {name} may have {MAX_ENTRY_BYTES} bytes at most, got {size}")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise BundleError(f"the entries may have {MAX_TOTAL_BYTES} bytes in all, got {sum(sizes.values())}")


def archive_chunks(entries: Mapping[str, bytes]) -> Iterator[bytes]:
    """The bytes of the archive, in pieces to be written one after the other. Sizes were checked (``check_sizes``)."""
    members = []
    offset = 0
    for name, data in sorted(entries.items()):
        member = Member(name, zlib.crc32(data), len(data), offset)
        members.append(member)
        offset = member.end
        yield member.local_header
        yield data
    directory = b"".join(member.central_header for member in members)
    yield directory
    yield _end_record(len(members), len(directory), offset)


def _end_record(count: int, directory_size: int, directory_offset: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, count, count, directory_size, directory_offset, 0)


def read_members(file: Source, file_size: int) -> dict[str, Member]:
    """Every entry of the archive by name, in the file's order, each header checked to the byte; no content is read.

    Raises BundleError for anything but an archive that ``archive_chunks`` could have written.
    """
    if file_size == 0:
        raise BundleError("the file is empty")
    if file_size > MAX_TOTAL_BYTES + MAX_ENTRIES * (_LOCAL.size + _CENTRAL.size + 2 * MAX_NAME_BYTES) + _END.size:
        raise BundleError(f"the file has {file_size} bytes, more than a bundle may have")
    start = _read_at(file, 0, min(4, file_size))
    if start != b"PK\3\4":
        raise BundleError("it does not begin as a bundle does")
    end = _read_at(file, max(0, file_size - _END.size), min(_END.size, file_size))
    if len(end) < _END.size or end[:4] != b"PK\5\6":
        raise BundleError("it is cut off, or bytes were appended to it")
    _, _, _, _, count, directory_size, directory_offset, _ = _END.unpack(end)
    if count == 0 or count > MAX_ENTRIES:
        raise BundleError(f"it claims {count} entries; a bundle has 1…{MAX_ENTRIES}")
    if directory_size > count * (_CENTRAL.size + MAX_NAME_BYTES):
        raise BundleError("its directory is larger than its entries allow")
    if directory_offset + directory_size + _END.size != file_size:
        raise BundleError("bytes are missing, or were added before, between or after its entries")
    if end != _end_record(count, directory_size, directory_offset):
        raise BundleError("its end record is not as EdgeVision writes it (several disks, or a comment)")
    members = _read_directory(_read_at(file, directory_offset, directory_size), count)

    expected_offset = 0
    for member in members.values():
        if member.offset != expected_offset:
            raise BundleError(f"entry {member.name} does not begin where the one before it ends")
        if member.end > directory_offset:
            raise BundleError(f"entry {member.name} runs past the end of the entries")
        expected_offset = member.end
        header = member.local_header
        if _read_at(file, member.offset, len(header)) != header:
            raise BundleError(f"entry {member.name}: its own header and the directory differ")
    if expected_offset != directory_offset:
        raise BundleError("bytes lie between its last entry and its directory")
    check_sizes({member.name: member.size for member in members.values()})
    return members


def _read_directory(directory: bytes, count: int) -> dict[str, Member]:
    members: dict[str, Member] = {}
    position = 0
    last = ""
    for number in range(1, count + 1):
        if position + _CENTRAL.size > len(directory):
            raise BundleError(f"its directory ends before entry {number} of {count}")
        (_, _, _, flags, method, _, _, crc, size, _, name_size, *_, attributes, offset) = _CENTRAL.unpack_from(
            directory, position
        )
        raw_name = directory[position + _CENTRAL.size : position + _CENTRAL.size + name_size]
        name = raw_name.decode("latin-1")  # any bytes, for the message; only ASCII passes
        if not is_entry_name(name):
            raise BundleError(f"entry {number} has the name {name[:80]!r}, which no bundle has")
        member = Member(name, crc, size, offset)
        header = member.central_header
        if directory[position : position + len(header)] != header:
            what = (
                "is encrypted" if flags & 1
                else "is compressed" if method
                else "is not a plain file" if attributes != _REGULAR_FILE
                else "has a header that EdgeVision does not write"
            )  # fmt: skip
            raise BundleError(f"entry {name} {what}")
        if name <= last:
            raise BundleError(f"entry {name} is there twice" if name in members else f"entry {name} is out of order")
        members[name] = member
        last = name
        position += len(header)
    if position != len(directory):
        raise BundleError("its directory has more than its entries")
    return members


def read_data(file: Source, member: Member) -> bytes:
    """An entry's content, its CRC-32 checked. Raises BundleError; the SHA-256 is the caller's to check."""
    data = _read_at(file, member.data_offset, member.size)
    if zlib.crc32(data) != member.crc:
        raise BundleError(f"entry {member.name} was altered: its checksum does not fit")
    return data


def _read_at(file: Source, offset: int, size: int) -> bytes:
    data = file.read_at(offset, size)
    if len(data) != size:
        raise BundleError("it became shorter while it was read")
    return data
