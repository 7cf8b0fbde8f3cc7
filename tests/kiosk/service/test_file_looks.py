"""Files are looked at again and again, also after a look that fails."""

from __future__ import annotations

import threading

from edgevision.kiosk.service.file_looks import Looks


def test_looks_go_on_after_one_that_fails():
    told, came = [], threading.Event()

    def fail() -> None:
        raise OSError("no disk")

    looked = iter(range(100))
    looks = Looks([fail, lambda: came.set() if next(looked) > 2 else None], told.append, look_s=0.001)
    looks.start()
    assert came.wait(10.0)
    looks.close(10.0)
    assert told == ["OSError: no disk"]
