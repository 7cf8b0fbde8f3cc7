"""Items as other programs get them: one JSON object each, with an id that stays the same when it is sent again."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from edgevision.errors import ItemError
from edgevision.streams.camera_state import StateChange
from edgevision.streams.model_change import ModelChange
from edgevision.streams.results import StreamResult
from edgevision.streams.sinks.base import Item, Kind

_NOT_LATE, _LATE = b'{"late": false, ', b'{"late": true, '


@dataclass(frozen=True)
class Message:
    """One item, ready to be sent. ``body``: a JSON object in UTF-8, with the fields ``late``, ``kind`` and ``id`` first.
    ``camera``: empty for a change of the model, which is of all."""

    id: str
    kind: Kind
    camera: str
    body: bytes


class MessageMaker:
    """Makes messages of items. ``run``: tells this run of the program from others, for frames are counted from 0 in each.

    An inventory event keeps its own id, which is the same when the same frames are processed again. Results and changes of
    state or model get one of the run, the camera and what they are.

    >>> from edgevision.streams.camera_state import State
    >>> change = StateChange("till", State.LIVE, None, "", at_ns=1_700_000_000_000_000_000)
    >>> MessageMaker(uuid.UUID(int=1)).message(change).kind
    'state'
    """

    def __init__(self, run: uuid.UUID | None = None) -> None:
        self._run = uuid.uuid4() if run is None else run

    def message(self, item: Item) -> Message:
        """The message of one item. Raises ItemError where a model's result is no JSON, such as NaN."""
        kind, identity = self._kind_and_id(item)
        camera = "" if isinstance(item, ModelChange) else item.camera
        try:
            body = encode({"late": False, "kind": kind, "id": identity, **item.to_dict()})
        except Exception as error:  # a model's result may be anybody's class
            raise ItemError(
                f"a {kind} of camera {camera} cannot be written as JSON ({type(error).__name__}: {error}); let its to_dict give "
                "texts, numbers, lists and dicts"
            ) from error
        return Message(identity, kind, camera, body)

    def _kind_and_id(self, item: Item) -> tuple[Kind, str]:
        if isinstance(item, StreamResult):
            return "result", str(uuid.uuid5(self._run, f"result {item.sequence} {item.camera}"))
        if isinstance(item, StateChange):
            seen = f"state {item.at_ns} {item.state.value} {item.reason} {item.words} {item.camera}"
            return "state", str(uuid.uuid5(self._run, seen))
        if isinstance(item, ModelChange):
            return "model", str(uuid.uuid5(self._run, f"model {item.at_ns} {item.step.value} {item.model_id}"))
        return "event", item.event_id


def encode(fields: dict[str, Any]) -> bytes:
    """JSON on one line, in UTF-8. Raises ValueError for numbers that JSON does not have."""
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # names of files need not be UTF-8; JSON knows these escapes


def marked_late(body: bytes) -> bytes:
    """The message of ``MessageMaker`` with ``late`` set: it could not be sent when it was made.

    >>> marked_late(b'{"late": false, "kind": "event"}')
    b'{"late": true, "kind": "event"}'
    """
    assert body.startswith(_NOT_LATE)
    return _LATE + body[len(_NOT_LATE) :]
