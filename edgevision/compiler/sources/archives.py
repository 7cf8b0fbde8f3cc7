"""Model files as bytes and zip members, within bounds. Nothing in them is executed here."""

from __future__ import annotations

import io
import itertools
import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from edgevision.errors import ModelFileError
from edgevision.files import is_lfs_pointer

MAX_BYTES = 4 * 2**30  # of a file, and of all members of an archive together
MAX_RATIO = 200  # members together may be this many times the file: torch stores tensors, only code is deflated
MAX_MEMBERS = 65_536

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle in files of torch.save before torch 1.6
_MAX_SAFETENSORS_HEADER = 100_000_000  # bytes, as the safetensors package has it
_ZIP_MAGIC = b"PK\x03\x04"


class Container(Enum):
    """What the first bytes of a file, and the names of an archive's members, say it is."""

    TORCH_ZIP = "torch archive"
    TORCH_LEGACY = "torch file of the old format"
    TORCHSCRIPT = "TorchScript archive"
    EXPORTED = "torch.export archive"
    SAFETENSORS = "safetensors file"
    OTHER = "something else"  # ONNX has no magic number


def read_model_file(path: Path) -> bytes:
    """The whole file. Raises ModelFileError for what is missing, empty, not a file, or larger than ``MAX_BYTES``."""
    try:
        if path.is_dir():
            raise ModelFileError(f"expected a model file, got the folder {path}; name the file in it")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelFileError(
                f"{path} has {size / 2**30:.1f} GiB; model files of up to {MAX_BYTES >> 30} GiB are read"
            )
        if size and not path.is_file():
            raise ModelFileError(f"{path} is not a regular file; give a model file")
        data = path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        raise ModelFileError(f"there is no model file {path}; check the path") from None
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror or error}") from error
    except ValueError:  # a NUL in the name
        raise ModelFileError(f"{str(path)!r} is not a file name; check the path") from None
    if not data:
        raise ModelFileError(f"the model file {path} is empty; copy or save it again")
    if is_lfs_pointer(data):
        raise ModelFileError(f"{path} is no model, but the pointer of Git LFS to one; fetch it with: git lfs pull")
    return data


def open_container(data: bytes, name: str) -> tuple[Container, dict[str, bytes]]:
    """What a file is, and its members (their names without the archive's root folder) when it is a torch archive.

    Raises ModelFileError for an archive that is damaged, out of bounds, of an unsupported kind, or plays path tricks.
    """
    if not data.startswith(_ZIP_MAGIC):
        if _is_legacy(data):
            return Container.TORCH_LEGACY, {}
        if _is_safetensors(data):
            return Container.SAFETENSORS, {}
        if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            raise ModelFileError(
                f"{name} is a bare pickle, which runs code when it is read; save the model with torch.save, or as ONNX"
            )
        return Container.OTHER, {}
    members = _read_members(data, name)
    if "manifest.json" in members and "manifest.sha256" in members:
        raise ModelFileError(f"{name} is a bundle already; give the model it was compiled from, or load it as it is")
    if "serialized_exported_program.json" in members:
        raise ModelFileError(
            f"{name} is a .pt2 file of torch before 2.8; load it there, and save it again with torch 2.8 or newer, or as ONNX"
        )
    roots = {member.split("/", 1)[0] for member in members}
    if len(roots) != 1 or any("/" not in member for member in members):
        return Container.OTHER, {}
    members = {member.split("/", 1)[1]: content for member, content in members.items()}
    if members.get("archive_format") == b"pt2":
        return Container.EXPORTED, members
    if "data.pkl" in members:
        return (Container.TORCHSCRIPT if "constants.pkl" in members else Container.TORCH_ZIP), members
    return Container.OTHER, {}


def pack_members(members: Mapping[str, bytes]) -> io.BytesIO:
    """A torch archive of exactly these members: what was checked is what torch then reads."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{member}"), content)
    buffer.seek(0)
    return buffer


def _read_members(data: bytes, name: str) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if len(listed) > MAX_MEMBERS:
                raise ModelFileError(f"{name} has {len(listed)} members; archives of up to {MAX_MEMBERS} are read")
            total = sum(info.file_size for info in listed)
            if total > min(MAX_BYTES, MAX_RATIO * len(data)):
                raise ModelFileError(
                    f"{name} would unpack to {total / 2**20:.0f} MiB from {len(data) / 2**20:.1f} MiB: refused as a zip bomb"
                )
            members: dict[str, bytes] = {}
            for info in listed:
                member = info.filename
                if _is_trick(member) or member in members:
                    raise ModelFileError(
                        f"{name} has a member {member!r} twice, or outside the archive: refused as hostile"
                    )
                if not info.is_dir():
                    members[member] = archive.read(info)
            return members
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{name} is a damaged or truncated archive ({error}); copy or save it again") from error


def _is_legacy(data: bytes) -> bool:
    try:
        opcodes = itertools.islice(pickletools.genops(data[:64]), 3)  # PROTO, maybe FRAME, the number
        return any(argument == _LEGACY_MAGIC for _, argument, _ in opcodes)
    except ValueError:
        return False


def _is_safetensors(data: bytes) -> bool:
    """Eight bytes that say how long the JSON object after them is."""
    return data[8:9] == b"{" and 2 <= int.from_bytes(data[:8], "little") <= _MAX_SAFETENSORS_HEADER


def _is_trick(member: str) -> bool:
    return member.startswith("/") or "\\" in member or "\0" in member or ".." in member.split("/")
