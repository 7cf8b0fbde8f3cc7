"""When a frame was captured, told from the time stamps of its stream. Pure: times are given to it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

# How much faster or slower than this machine's clock a camera's crystal may run: twice what cheap ones are sold with.
DRIFT = 1e-4
_SPEED_TOLERANCE = 0.02
_BUCKET_S = 0.25
_BUCKETS = 24  # 6 seconds, looked at in thirds
_GAP_S = 2.0  # a silence after which the speed is measured anew
_RESTART_S = 1.0  # stamps that go back so far have begun anew; by less, they are only out of order


class CaptureClock:
    """Estimates the moment of capture of each frame of one connection, on the monotonic clock.

    A frame cannot arrive before it is captured. So the smallest distance yet between arrival and time stamp is that of a
    frame that waited nowhere, and a frame above it is late by the difference. The smallest distance may rise by ``DRIFT``, the
    error of the camera's crystal, and no faster: a queue that builds up is not taken for the normal. What every frame
    needs, to be encoded and sent, is not seen: the estimate is late by that much, some 50 ms.

    Some cameras count frames and multiply by a rate that they do not keep, so that their time stamps run at another speed than
    the clock. They tell no moments: arrival is then the best estimate. A network that is slower than the camera, and queues
    more and more, looks the same. ``speed`` tells of both.
    """

    def __init__(self) -> None:
        self._floor_s: float | None = None  # arrival − time stamp of a frame that waited nowhere
        self._last_received_s = 0.0
        self._last_stamp_s = 0.0
        self._speed = _StampSpeed()

    @property
    def speed(self) -> float | None:
        """Seconds of time stamp in a second; None until six seconds were seen."""
        return self._speed.value

    def captured_s(self, stamp_s: float | None, received_s: float) -> float:
        """The estimate for the frame with the time stamp ``stamp_s``, which arrived at ``received_s``."""
        if stamp_s is None:
            return received_s
        offset_s = received_s - stamp_s
        if self._floor_s is None or stamp_s < self._last_stamp_s - _RESTART_S:  # the first, or they began anew
            self._floor_s = offset_s
            self._speed = _StampSpeed()
        else:
            self._floor_s = min(offset_s, self._floor_s + DRIFT * (received_s - self._last_received_s))
        self._last_received_s, self._last_stamp_s = received_s, stamp_s
        self._speed.add(received_s, offset_s)
        if self._speed.is_wrong:
            self._floor_s = offset_s
        return stamp_s + self._floor_s


class _Lowest(NamedTuple):
    received_s: float
    offset_s: float


class _StampSpeed:
    """How fast time stamps run, from the least late frames of three equal spans: frames that waited do not disturb it, and
    one step of the lateness shows in one of the two differences only."""

    def __init__(self) -> None:
        self._buckets: deque[_Lowest] = deque(maxlen=_BUCKETS)
        self._bucket_ends_s = 0.0
        self.value: float | None = None
        self.is_wrong = False

    def add(self, received_s: float, offset_s: float) -> None:
        if self._buckets and received_s - self._buckets[-1].received_s > _GAP_S:
            self._buckets.clear()
        if not self._buckets or received_s >= self._bucket_ends_s:
            self._buckets.append(_Lowest(received_s, offset_s))
            self._bucket_ends_s = received_s + _BUCKET_S
        elif offset_s < self._buckets[-1].offset_s:
            self._buckets[-1] = _Lowest(received_s, offset_s)
        else:
            return
        if len(self._buckets) == _BUCKETS:
            self._measure()

    def _measure(self) -> None:
        buckets, third = list(self._buckets), _BUCKETS // 3
        first, second, last = (
            min(buckets[start : start + third], key=lambda bucket: bucket.offset_s)
            for start in range(0, _BUCKETS, third)
        )
        growths = (_growth(first, second), _growth(second, last))
        self.value = 1 - _growth(first, last)
        self.is_wrong = min(growths) > _SPEED_TOLERANCE or max(growths) < -_SPEED_TOLERANCE


def _growth(earlier: _Lowest, later: _Lowest) -> float:
    """Seconds by which frames come later, in a second."""
    return (later.offset_s - earlier.offset_s) / (later.received_s - earlier.received_s)
