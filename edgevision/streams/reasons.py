"""Why a camera is not well."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """What is wrong with a source. ``words`` tells it to people."""

    SILENT = "silent"
    FROZEN_PICTURE = "frozen_picture"
    WRONG_RATE = "wrong_rate"
    CLOCK_SKEW = "clock_skew"
    REFUSED = "refused"
    UNTRUSTED = "untrusted"
    UNREACHABLE = "unreachable"
    GONE = "gone"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"

    @property
    def words(self) -> str:
        """One sentence without its full stop."""
        return _WORDS[self]


_WORDS = {
    Reason.SILENT: "the connection is open, but no frames come",
    Reason.FROZEN_PICTURE: "the same picture comes again and again",
    Reason.WRONG_RATE: "frames come at another rate than the camera announces",
    Reason.CLOCK_SKEW: "the camera's clock is wrong",
    Reason.REFUSED: "the camera refuses the user name or password",
    Reason.UNTRUSTED: "the camera's certificate cannot be verified",
    Reason.UNREACHABLE: "nothing answers at the camera's address",
    Reason.GONE: "the camera closed the connection, or was unplugged",
    Reason.CORRUPT: "the pictures are damaged",
    Reason.UNSUPPORTED: "the camera sends something that cannot be decoded here",
}
