"""How much a service takes on, as asked for; and the defaults, which stand here alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevision.errors import InputError


@dataclass(frozen=True)
class ServiceOptions:
    """Bounds, so that no client and no crowd of clients takes more memory or time than there is.

    ``queue``: pictures or tensors of one model that may be with the service at once: decoded, waiting or running. More are refused with
    503. ``max_batch``: of them that are run together, and in one request, at most. ``max_picture_bytes``: of one encoded picture.
    ``max_decode_bytes``: memory that decoding one may take (see ``read_image``). ``max_bytes_in_flight``: of the bodies of all requests that are
    under way. ``model_timeout_s``: a call of the model that takes longer is given up with its pictures. ``engine``, ``threads``: as ``load`` takes
    them.
    """

    queue: int = 64
    max_batch: int = 8
    max_picture_bytes: int = 16 << 20
    max_decode_bytes: int = 256_000_000
    max_bytes_in_flight: int = 256 << 20
    model_timeout_s: float = 20.0
    engine: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("queue", "max_batch", "max_picture_bytes", "max_decode_bytes", "max_bytes_in_flight"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is a whole number, at least 1, got {value!r}")
        if not (math.isfinite(self.model_timeout_s) and self.model_timeout_s > 0):
            raise InputError(f"model_timeout_s is a finite number over 0, got {self.model_timeout_s!r}")
        if self.max_batch > self.queue:
            raise InputError(
                f"the queue holds at least one batch, got a queue of {self.queue} for batches of {self.max_batch}"
            )
