"""Every photo of a data set is read before anything long begins: one damaged file among thousands must not end the work
after an hour, and all of them are named together.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from edgevision.decode import read_image
from edgevision.decode.pictures import shortened
from edgevision.errors import BadPhotosError, DataError, ImageError
from edgevision.evaluate.data.attribute_table import AttributeTable
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.data.described import with_table

_WORKERS = 4  # decoding leaves the interpreter lock; more threads would hold more photos in memory
_AHEAD = 2 * _WORKERS
_NAMED = 10  # photos in a message

ReadPhoto = Callable[[Path], object]
CheckProgress = Callable[[int, int], None]  # photos done, photos to do


class OnBadPhoto(Enum):
    """What to do with photos that cannot be read. ``FAIL``: name them all and stop. ``SKIP``: go on without them."""

    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class BadPhoto:
    """A photo that cannot be read, and why."""

    path: Path
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return {"photo": str(self.path), "reason": self.reason}


@dataclass(frozen=True)
class Checked:
    """A data set all of whose photos can be read, and the ``bad`` ones that were left out of it."""

    dataset: Dataset
    bad: tuple[BadPhoto, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the user of the data set: bad photos left out, names that differ only in case."""
        were = "was" if len(self.bad) == 1 else "were"
        said = f"{_cannot(self.dataset.source, self.bad)}, and {were} left out:\n{_listed(self.bad)}"
        left_out = (said,) if self.bad else ()
        return (*left_out, *self.dataset.notes)


def read_checked(
    source: Path | str, labels: Path | str | None = None, on_bad_photo: OnBadPhoto = OnBadPhoto.FAIL,
    progress: CheckProgress | None = None, read: ReadPhoto = read_image, part: str | None = None,
    table: AttributeTable | None = None,
) -> Checked:  # fmt: skip
    """``read_dataset`` (of ``part``, where that is given), and every photo of it read once with ``read`` (which raises ImageError).
    ``table``: what is known of the photos, or of their classes, in place of these (``described.with_table``).

    Raises BadPhotosError for photos that cannot be read, or DataError as ``read_dataset`` does; with
    ``OnBadPhoto.SKIP`` only when none is left.
    """
    dataset = read_dataset(source, labels, keep_broken_links=True, part=part)
    if table is not None:
        dataset = with_table(dataset, table)
    bad = list(_broken(dataset.broken_links))
    kept = []
    for index, error in enumerate(_errors(dataset.paths, read)):
        if error is None:
            kept.append(index)
        else:
            bad.append(BadPhoto(dataset.paths[index], error))
        if progress is not None:
            progress(index + 1, len(dataset))
    if not bad:
        return Checked(dataset)
    if on_bad_photo is OnBadPhoto.FAIL:
        raise BadPhotosError(
            f"{_cannot(dataset.source, bad)}:\n{_listed(bad)}\nMend or remove them, or leave them out with --on-bad-photo skip",
            [(str(photo.path), photo.reason) for photo in bad],
        )
    if not kept:
        raise DataError(f"{_cannot(dataset.source, bad)}, and none is left:\n{_listed(bad)}")
    return Checked(replace(dataset.select(kept), skipped=dataset.skipped), tuple(bad))


def _broken(links: Sequence[Path]) -> Iterator[BadPhoto]:
    for link in links:
        yield BadPhoto(link, f"a link to {os.readlink(link)}, which is not there (dvc pull, git annex get)")  # noqa: PTH115


def _errors(paths: Sequence[Path], read: ReadPhoto) -> Iterator[str | None]:
    """For each photo why it cannot be read, or None; several are read at a time."""

    def error_of(path: Path) -> str | None:
        try:
            read(path)
        except ImageError as error:
            return str(error).removeprefix(f"{shortened(str(path))}: ")
        return None

    workers = max(1, min(_WORKERS, os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, thread_name_prefix="edgevision-check") as pool:
        ahead: deque[Future[str | None]] = deque()
        try:
            for path in paths:
                ahead.append(pool.submit(error_of, path))
                if len(ahead) > _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _cannot(source: str, bad: Sequence[BadPhoto]) -> str:
    return f"{len(bad)} {'photo' if len(bad) == 1 else 'photos'} of {source} cannot be read"


def _listed(bad: Sequence[BadPhoto]) -> str:
    """The first ten with why, one a line."""
    lines = [f"  {photo.path}: {photo.reason}" for photo in bad[:_NAMED]]
    lines += [f"  and {len(bad) - _NAMED} more (--json lists all)"] if len(bad) > _NAMED else []
    return "\n".join(lines)
