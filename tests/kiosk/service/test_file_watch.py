"""Files are looked at again and again, also after a look that fails."""

from __future__ import annotations

import threading

from edgevision.kiosk.service.file_watch import FileWatch


def test_a_watch_goes_on_after_one_that_fails():
    told, came = [], threading.Event()

    def fail() -> None:
        raise OSError("no disk")

    looked = iter(range(100))
    watch = FileWatch([fail, lambda: came.set() if next(looked) > 2 else None], told.append, look_s=0.001)
    watch.start()
    assert came.wait(10.0)
    watch.close(10.0)
    assert told == ["OSError: no disk"]
