"""Opening a bundle: nothing in it is used before its place, size and SHA-256 were checked."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgevision.bundle.archive import Member, Source, read_data, read_members
from edgevision.bundle.golden import decode_frame, decode_outputs
from edgevision.bundle.manifest import Manifest
from edgevision.bundle.schema import DIGEST_ENTRY, MANIFEST_ENTRY, UnknownSchemaError, read_manifest
from edgevision.errors import BundleError, EngineError, InputError
from edgevision.files import is_lfs_pointer
from edgevision.frames import ImageArray
from edgevision.tasks.registry import find_task

MAX_MANIFEST_BYTES = 8 << 20
_REMEDY = "Copy it again, or compile the model again"


def open_bundle(source: str | Path | bytes, *, name: str | None = None) -> Bundle:
    """Open a ``.edge`` file (or its bytes) and check its structure and its manifest.

    Other entries are checked when they are read, or all at once by ``Bundle.verify``. The open file is kept, in children
    of ``fork`` too: a bundle that is replaced by a rename meanwhile is read to its end as it was. ``name`` is what messages call it, by default
    its path.

    Raises BundleError, which says what is wrong and what to do.

    >>> with open_bundle("model.edge") as bundle:  # doctest: +SKIP
    ...     graph = bundle.graph(bundle.manifest.variants[0].graph)
    """
    if isinstance(source, bytes):
        return Bundle(_Memory(source), len(source), name or "bundle", source)
    name = name or str(source)
    file = _open(Path(source), name)
    try:
        return Bundle(file, file.size, name, Path(source).absolute())
    except BaseException:
        file.close()
        raise


class _Memory:
    """A bundle in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_at(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Nothing to close."""


class _File:
    """A bundle in a file. Closed also when nobody has it any more."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        descriptor, parts = self._file.fileno(), []
        while size > 0 and (part := os.pread(descriptor, size, offset)):  # at most 2 GiB come at once
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()


class Bundle:
    """An open bundle. Made by ``open_bundle``; safe to read from several threads; a context manager.

    ``id`` is the SHA-256 of its manifest, which holds that of every entry: equal ids, equal content.
    ``size`` is the file's, in bytes. ``source`` is what it was opened from: the path, absolute, or the bytes.
    """

    def __init__(self, file: _File | _Memory, size: int, name: str, source: Path | bytes) -> None:
        self._file: _File | _Memory | None = file
        self.name = name
        self.size = size
        self.source = source
        try:
            if is_lfs_pointer(file.read_at(0, min(size, 64))):
                raise BundleError("it is the pointer of Git LFS to one, and git lfs pull fetches it")
            self._members = read_members(file, size)
            self.id, manifest = _read_checked_manifest(file, self._members)
        except BundleError as error:
            raise BundleError(f"{name} is not a sound EdgeVision bundle: {error}. {_REMEDY}") from None
        except OSError as error:
            raise BundleError(f"{name}: cannot be read: {error.strerror or error}; check the disk") from error
        try:
            self.manifest: Manifest = read_manifest(manifest)
        except UnknownSchemaError as error:
            raise UnknownSchemaError(f"{name}: {error}") from None
        except BundleError as error:
            raise BundleError(f"{name} is not a sound EdgeVision bundle: {error}. {_REMEDY}") from None
        self._check_listed()

    def read(self, entry: str) -> bytes:
        """An entry's content, its SHA-256 checked. Raises BundleError when it was altered, or is not there."""
        listed = self.manifest.entries.get(entry)
        if listed is None:
            raise BundleError(f"{self.name} has no entry {entry!r}; it has {', '.join(self.manifest.entries)}")
        file = self._file
        if file is None:
            raise BundleError(f"{self.name} was closed; open it again")
        try:
            data = read_data(file, self._members[entry])
        except BundleError as error:
            raise BundleError(f"{self.name}: {error}. {_REMEDY}") from None
        except OSError as error:
            raise BundleError(f"{self.name}: cannot be read: {error.strerror or error}; check the disk") from error
        except ValueError:  # another thread closed it
            raise BundleError(f"{self.name} was closed; open it again") from None
        if hashlib.sha256(data).hexdigest() != listed.sha256:
            raise BundleError(f"{self.name}: entry {entry} was altered: its SHA-256 is not the manifest's. {_REMEDY}")
        return data

    def graph(self, graph_id: str) -> bytes:
        """The ONNX graph of this id, checked."""
        graph = self.manifest.graphs.get(graph_id)
        if graph is None:
            raise BundleError(f"{self.name} has no graph {graph_id!r}; it has {', '.join(self.manifest.graphs)}")
        return self.read(graph.entry)

    def golden_frames(self) -> list[ImageArray]:
        """The golden frames, H×W×3 uint8 BGR each."""
        return [decode_frame(self.read(entry), f"{self.name}: {entry}") for entry in self.manifest.golden_frames]

    def golden_outputs(self, entries: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
        """A digest of the golden frames as it is stored, role → [frames, …]: ``manifest.golden_reference`` (float) or a
        variant's ``golden``."""
        frames = len(self.manifest.golden_frames)
        return {
            role: decode_outputs(self.read(entry), frames, f"{self.name}: {entry}") for role, entry in entries.items()
        }

    def verify(self) -> None:
        """Check every entry, and that golden frames and outputs can be read; by the task too, where it is known here.

        Raises BundleError at the first fault.
        """
        for entry in self.manifest.entries:
            self.read(entry)
        self.golden_frames()
        reference = self.golden_outputs(self.manifest.golden_reference)
        task = find_task(self.manifest.task.kind)
        for variant in self.manifest.variants:
            own = self.golden_outputs(variant.golden)
            if task is None:
                continue
            try:
                task.make(self.manifest.task_of(variant)).compare(reference, own, own, same_device=True)
            except (EngineError, InputError, LookupError) as error:
                raise BundleError(
                    f"{self.name}: the golden outputs of '{variant.id}' are none of its task: {error}. {_REMEDY}"
                ) from None

    def close(self) -> None:
        """Close the file. Reading raises BundleError from now on; closing twice is allowed."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _check_listed(self) -> None:
        """The archive holds the entries of the manifest, all of them, and no other."""
        present = {n: m.size for n, m in self._members.items() if n not in (MANIFEST_ENTRY, DIGEST_ENTRY)}
        listed = {name: entry.size for name, entry in self.manifest.entries.items()}
        if present == listed:
            return
        if unlisted := sorted(set(present) - set(listed)):
            fault = f"entry {unlisted[0]} is not in its manifest"
        elif missing := sorted(set(listed) - set(present)):
            fault = f"entry {missing[0]} is missing"
        else:
            fault = f"entry {next(n for n in listed if present[n] != listed[n])} has not the size its manifest says"
        raise BundleError(f"{self.name} is not a sound EdgeVision bundle: {fault}. {_REMEDY}")


def _open(path: Path, name: str) -> _File:
    try:
        mode = path.stat().st_mode  # before opening: opening a pipe would wait for its other end
        if stat.S_ISDIR(mode):
            raise BundleError(f"{name}: expected an .edge file, got a folder; name the file in it")
        if not stat.S_ISREG(mode):
            raise BundleError(f"{name}: expected an .edge file, got a device or a pipe; copy it to a file first")
        return _File(path)
    except FileNotFoundError:
        raise BundleError(f"{name}: no such file; check the path, or make it with: edgevision compile") from None
    except OSError as error:
        raise BundleError(f"{name}: cannot be opened: {error.strerror or error}; check the path") from error
    except ValueError as error:  # a NUL in the path; BundleError is one too
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{name!r} is not a file name; check the path") from None


def _read_checked_manifest(file: Source, members: dict[str, Member]) -> tuple[str, bytes]:
    """Id and bytes of the manifest, the one being the SHA-256 of the other."""
    for entry, limit in ((MANIFEST_ENTRY, MAX_MANIFEST_BYTES), (DIGEST_ENTRY, 64)):
        if entry not in members:
            raise BundleError(f"it has no {entry}")
        if members[entry].size > limit:
            raise BundleError(f"{entry} has {members[entry].size} bytes, at most {limit} are allowed")
    manifest = read_data(file, members[MANIFEST_ENTRY])
    digest = hashlib.sha256(manifest).hexdigest()
    if read_data(file, members[DIGEST_ENTRY]) != digest.encode():
        raise BundleError(f"{MANIFEST_ENTRY} was altered: its SHA-256 is not the one in {DIGEST_ENTRY}")
    return digest, manifest
