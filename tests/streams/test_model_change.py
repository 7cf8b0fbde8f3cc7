"""Steps of a swap: as values, and as the sinks take them."""

from __future__ import annotations

import json
import uuid

import pytest

from edgevision.errors import InputError
from edgevision.streams.model_change import ModelChange, Step, TrialReport
from edgevision.streams.sinks.messages import MessageMaker
from edgevision.streams.sinks.registry import make_sink

REPORT = TrialReport(100, 0.98, {"till": 1.0, "shelf": 0.96}, 1.25)
CHANGES = [ModelChange(step, "new@1", "old@2", f"it is {step.value}", 7, REPORT) for step in Step]


@pytest.mark.parametrize("change", CHANGES)
def test_a_step_is_plain_values_and_back(change):
    values = json.loads(json.dumps(change.to_dict()))
    assert values["report"] == {
        "frames": 100, "agreement": 0.98, "by_camera": {"till": 1.0, "shelf": 0.96}, "slowdown": 1.25,
    }  # fmt: skip
    assert ModelChange.from_dict(values) == ModelChange(change.step, "new@1", "old@2", change.words, 7)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"step": "sold"}, "needs a step"),
        ({"model_id": None}, "needs model_id"),
        ({"at_ns": True}, "needs at_ns, a int"),
        ({"at_ns": 10**40}, "needs at_ns, nanoseconds since 1970"),
        ({"at_ns": -1}, "needs at_ns, nanoseconds since 1970"),
    ],
)
def test_what_is_no_step_is_told(wrong, words):
    with pytest.raises(InputError, match=words):
        ModelChange.from_dict({**CHANGES[0].to_dict(), **wrong})


def test_every_swap_ends_with_one_of_four():
    assert [step for step in Step if step.is_last] == [Step.KEPT, Step.REFUSED, Step.REPLACED, Step.ROLLED_BACK]


def test_the_report_tells_the_camera_that_agrees_least():
    assert REPORT.words == (
        "its answers to 100 live frames agree by 98.0% (least: camera shelf, 96.0%), and it takes 1.25 times as long"
    )
    assert TrialReport(0, None, {}, None).words == "no frame could be compared"


def test_each_step_is_a_message_with_an_id_of_its_own_and_of_no_camera():
    messages = [MessageMaker(uuid.UUID(int=7)).message(change) for change in CHANGES]
    assert len({message.id for message in messages}) == len(CHANGES)
    assert {(message.kind, message.camera) for message in messages} == {("model", "")}
    assert json.loads(messages[0].body).items() >= {"kind": "model", "step": "loading", "model_id": "new@1"}.items()


@pytest.mark.requires("paho")
def test_over_mqtt_it_has_a_topic_that_is_no_cameras(tmp_path):
    sink = make_sink(f"mqtt://127.0.0.1:1/shop#spool={tmp_path / 'spool'}")
    sent = []
    sink.courier.send = lambda message, address: sent.append(address)
    sink.write(CHANGES[0])
    assert sent == ["shop/model"]


@pytest.mark.requires("prometheus")
def test_prometheus_takes_it_for_no_event():
    sink = make_sink("prometheus://127.0.0.1:0")
    sink.write(CHANGES[0])
    assert not [one for family in sink._registry.collect() for one in family.samples if "event" in one.name]
