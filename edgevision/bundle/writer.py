"""Writing a bundle: whole or not at all, and the same bytes for the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from edgevision.bundle.archive import archive_chunks, check_sizes
from edgevision.bundle.manifest import Entry, Manifest
from edgevision.bundle.reader import open_bundle
from edgevision.bundle.schema import DIGEST_ENTRY, MANIFEST_ENTRY, manifest_json, read_manifest
from edgevision.errors import BundleError
from edgevision.files import atomic_write


def write_bundle(path: str | Path, manifest: Manifest, entries: Mapping[str, bytes]) -> str:
    """Write ``entries`` (name → content) and the manifest to ``path``; returns the bundle's id.

    ``manifest.entries`` is filled in here. The file is read back and verified before it takes its place, so at every
    instant ``path`` is the old bundle or the new one. On any error the target is untouched and nothing is left behind.

    Raises BundleError for a manifest or entries that would not read back, InputError or EdgeVisionError when the
    target cannot be written (see ``edgevision.files.atomic_write``).
    """
    if reserved := {MANIFEST_ENTRY, DIGEST_ENTRY} & set(entries):
        raise BundleError(f"entries {sorted(reserved)} are made by the writer; leave them out")
    listed = {name: Entry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in sorted(entries.items())}
    text = manifest_json(replace(manifest, entries=listed))
    try:
        read_manifest(text)
    except BundleError as error:
        raise BundleError(f"cannot write {path}: its manifest would not read back: {error}") from None
    id = hashlib.sha256(text).hexdigest()
    archive = {**entries, MANIFEST_ENTRY: text, DIGEST_ENTRY: id.encode()}
    check_sizes({name: len(data) for name, data in archive.items()})

    def write(file: BinaryIO) -> None:
        for chunk in archive_chunks(archive):
            file.write(chunk)

    def check(temporary: Path) -> None:
        with open_bundle(temporary, name=str(path)) as bundle:
            bundle.verify()
            if bundle.id != id:
                raise BundleError(f"reading back gave the id {bundle.id}, written was {id}; check the disk")

    atomic_write(path, write, check=check)
    return id
