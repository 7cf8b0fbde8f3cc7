"""A picture is gone when its request is answered, and not when Python next looks for circles."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from colors import plain

from edgevision.frames import Frame
from edgevision.kiosk.service.requests import answers
from edgevision.kiosk.service.service import Service

pytestmark = pytest.mark.requires("serve")


@pytest.mark.parametrize("outcome", ["answered", "withdrawn"])
def test_pictures_are_let_go_with_the_answer(color_bundle, outcome, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))

    async def ask(version) -> weakref.ref:
        frame = Frame.from_array(plain((255, 0, 0)))
        reply = version.recognise_frame(frame)
        if outcome == "answered":
            (result,) = await answers(reply)
            assert result.best.name == "red"
        else:
            version.batcher.hold()
            reply.cancel()
        return weakref.ref(frame)

    with Service([str(color_bundle())]) as service:
        version = service.models.get(None, None)
        gc.collect()
        gc.disable()
        try:
            if outcome == "withdrawn":
                version.batcher.hold()
            gone = asyncio.run(ask(version))
            for _ in range(100):  # the batcher's thread may be about to leave it
                if gone() is None:
                    break
                asyncio.run(asyncio.sleep(0.02))
            assert gone() is None
        finally:
            gc.enable()
