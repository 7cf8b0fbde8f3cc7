"""The record on disk: written whenever something is whole, so that a power cut costs little; and somewhere else where that fails."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from edgevision.bench.record import Record
from edgevision.bench.record_file import write_record
from edgevision.errors import EdgeVisionError, UnwrittenRecordError


class Keeper:
    """``path``: where the record goes, None for nowhere. ``write``: how."""

    def __init__(self, path: Path | None, write: Callable[[str | Path, Record], None] = write_record) -> None:
        self._path = path
        self._write = write

    def keep(self, record: Record) -> bool:
        """Write what there is so far. A failure is no reason to stop measuring: all of it is in memory, and written at the end."""
        if self._path is None:
            return False
        try:
            self._write(self._path, record)
        except EdgeVisionError:
            return False
        return True

    def finish(self, record: Record) -> None:
        """Write the whole record. Where that fails, it is written to the folder for temporary files; either way the error says where
        the record is. Raises UnwrittenRecordError, which holds it."""
        if self._path is None:
            return
        try:
            self._write(self._path, record)
            return
        except EdgeVisionError as error:
            why = str(error)
        elsewhere = Path(tempfile.gettempdir(), f"edgevision-bench-{record.id}.json")
        try:
            self._write(elsewhere, record)
        except EdgeVisionError as error:
            raise UnwrittenRecordError(
                f"{why}. Nor can it be written to the temporary folder: {error}", record, None
            ) from None
        raise UnwrittenRecordError(f"{why}. The record was written to {elsewhere} instead: move it", record, elsewhere)
