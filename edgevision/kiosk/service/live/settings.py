"""What the live part of the service is asked for; the defaults stand here alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import InputError
from edgevision.kiosk.service.money import currency
from edgevision.kiosk.service.picture_folder import Quota


@dataclass(frozen=True)
class LiveSettings:
    """Everything is off unless it is asked for.

    ``camera``: a URL or path for a Station whose camera is the service's; None: browsers bring theirs. ``camera_name``: what its events
    call it. ``prices``: a CSV file. ``currency``: of the prices of a gallery's products that name none, such as ``EUR``. ``product_pictures``: a folder of ``ID.jpg`` or ``NAME.jpg``. ``feedback``: the folder that
    corrections are kept in, with ``feedback_quota``. ``receipts``: the webhook that receipts go to. ``keep``: a folder in which the pictures of
    all answers are kept, with a quota like that of the feedback.

    Raises InputError where ``keep`` and ``feedback`` are one folder, or one is in the other: each counts and removes what is in its own.
    """

    camera: str | None = field(default=None, repr=False)  # it may hold a password
    camera_name: str = "station"
    prices: Path | None = None
    product_pictures: Path | None = None
    feedback: Path | None = None
    feedback_quota: Quota = field(default_factory=Quota)
    receipts: str | None = field(default=None, repr=False)  # whoever knows the path of a webhook may post to it
    keep: Path | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        if self.currency is not None:
            currency(self.currency)
        if self.keep is None or self.feedback is None:
            return
        kept, corrected = self.keep.resolve(), self.feedback.resolve()
        if kept.is_relative_to(corrected) or corrected.is_relative_to(kept):
            raise InputError(
                f"--keep and --feedback need two folders, neither in the other, got {self.keep} and {self.feedback}"
            )
