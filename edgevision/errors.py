"""Errors a user can act on.

Each message says what was expected, what came, and what to do, in one or two lines. The command line prints it
without a traceback and leaves with ``exit_status``: 1 failed, 2 bad usage or input, 3 budget or self-test not met.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar


class EdgeVisionError(Exception):
    """Base of every error that EdgeVision raises on purpose."""

    exit_status: ClassVar[int] = 1


class InputError(EdgeVisionError, ValueError):
    """The caller's argument, file or photo is not what was expected."""

    exit_status = 2


class ImageError(InputError):
    """A picture that cannot be decoded, or is larger than the bounds allow."""


class GalleryError(InputError):
    """A gallery file that is damaged, of another format, or made for another bundle."""


class BundleError(InputError):
    """A ``.edge`` file that is damaged, altered, hostile, or of another schema."""


class ModelFileError(InputError):
    """A ``.pt``, ``.pt2`` or ``.onnx`` file that cannot be used, or not safely."""


class DataError(InputError):
    """Photos or labels that do not make up a usable data set."""


class BadPhotosError(DataError):
    """Photos that cannot be read. ``photos``: the path of each, and why."""

    def __init__(self, message: str, photos: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.photos = tuple(photos)

    def __reduce__(self) -> tuple[type[BadPhotosError], tuple[str, tuple[tuple[str, str], ...]]]:
        return type(self), (str(self), self.photos)


class BarcodeError(InputError):
    """A number, or the text of a barcode, that breaks the rules of GS1."""


class MissingExtraError(EdgeVisionError, ImportError):
    """An optional package is needed and not installed."""

    exit_status = 2

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        what = f"'edgevision[{extra}]'" if extra else package  # a base dependency is in no extra
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. Install it with: pip install {what}"
        )
        self.package = package
        self.extra = extra
        self._made_of = (package, extra, purpose)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), self._made_of


class EngineError(EdgeVisionError):
    """An engine refused a graph or failed while running it."""


class UnreadableOutputError(EngineError):
    """A graph's outputs cannot be an answer of its task: NaN, another shape, negative probabilities."""


class DeadlineError(EdgeVisionError, TimeoutError):
    """The answer cannot be had in the time that the caller allowed. ``result``: the answer, where it came all the same, too late; else None."""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[type[DeadlineError], tuple[str, Any]]:
        return type(self), (str(self), self.result)


class BusyError(EdgeVisionError):
    """So many calls wait for a model that no more are taken."""


class SourceError(EdgeVisionError):
    """A camera, file or folder gives no frames. ``reason``: a ``streams.reasons.Reason``; the message never holds a password."""

    def __init__(self, reason: Any, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[SourceError], tuple[Any, str]]:
        return type(self), (self.reason, str(self))


class DamagedFrameError(SourceError):
    """One frame of a source is lost; the next may be whole."""


class DeviceError(EdgeVisionError):
    """A device that was asked for is not there, or its driver refused a call."""


class SinkError(EdgeVisionError):
    """What takes a stream's results (a broker, server, file or database) cannot be reached, or refuses them."""


class ItemError(SinkError):
    """A sink cannot take this one item, such as a result that is no JSON. The sink is well, and takes the next one."""


class UnwrittenRecordError(EdgeVisionError):
    """A benchmark's record cannot be written where it was to go. ``record``: the record, with all that was measured; ``elsewhere``: the
    file that it was written to instead, None where that failed too."""

    def __init__(self, message: str, record: Any = None, elsewhere: Path | None = None) -> None:
        super().__init__(message)
        self.record = record
        self.elsewhere = elsewhere

    def __reduce__(self) -> tuple[type[UnwrittenRecordError], tuple[str, Any, Path | None]]:
        return type(self), (str(self), self.record, self.elsewhere)


class BudgetError(EdgeVisionError):
    """No variant stays within the accuracy budget; nothing was written. ``report``: what was found, if that far."""

    exit_status = 3

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[BudgetError], tuple[str, object]]:
        return type(self), (str(self), self.report)


class SelfTestError(EdgeVisionError):
    """Golden frames do not give the stored results on this machine."""

    exit_status = 3


class TargetError(EdgeVisionError):
    """A target of a benchmark cannot be opened, or failed while it was measured.

    ``unsupported``: it cannot be measured here at all: a package, a device or a file is missing. ``output``: the last lines that its
    process printed.
    """

    def __init__(self, message: str, unsupported: bool = False, output: str = "") -> None:
        super().__init__(message)
        self.unsupported = unsupported
        self.output = output

    def __reduce__(self) -> tuple[type[TargetError], tuple[str, bool, str]]:
        return type(self), (str(self), self.unsupported, self.output)


class UnprovenWarning(UserWarning):
    """The bundle was made, or is being run, without proof of its accuracy."""


class DeviceWarning(UserWarning):
    """Something about this machine makes the model slower, or less certain, than where it was compiled."""


class DoubtWarning(UserWarning):
    """A model's own answers make no sense: its labels, its outputs or how photos are prepared are not what they are said to be."""


class CacheWarning(UserWarning):
    """A cache of this machine cannot be read or written: answers are the same, and starting may take longer."""
