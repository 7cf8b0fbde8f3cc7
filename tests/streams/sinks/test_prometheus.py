"""/metrics as Prometheus' own parser reads it, against what was put in."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest
from stream_items import change, event, result
from stream_models import ToyModel

from edgevision.errors import InputError, SinkError
from edgevision.streams.camera_state import State
from edgevision.streams.distributor import Distributor
from edgevision.streams.fates import Fate
from edgevision.streams.ledger import Ledger
from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import SinkCounts, SinkStatus, SpoolStatus
from edgevision.streams.sinks.callback import CallbackSink
from edgevision.streams.sinks.prometheus import PrometheusSink
from edgevision.streams.stream import Stream

pytestmark = pytest.mark.requires("prometheus")


def scraped(sink: PrometheusSink) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


@pytest.fixture
def sink():
    made = PrometheusSink(port=0)
    yield made
    made.close(5.0)


def test_it_counts_what_it_is_given(sink):
    sink.open()
    for number, age_s in enumerate([0.004, 0.05, 0.05, 0.9]):
        sink.write(result(number, age_s=age_s))
    sink.write(result(0, camera='do"or\\'))
    sink.write(event(1, delta=-1))
    sink.write(change(State.STALLED))
    sink.write(change(State.LIVE))
    seen = scraped(sink)
    assert seen[key("edgevision_results_total", camera="till")] == 4
    assert seen[key("edgevision_results_total", camera='do"or\\')] == 1
    buckets = {bound: seen[key("edgevision_result_age_seconds_bucket", camera="till", le=bound)] for bound in
               ("0.002", "0.005", "0.05", "0.5", "1.0", "+Inf")}  # fmt: skip
    assert buckets == {"0.002": 0, "0.005": 1, "0.05": 3, "0.5": 3, "1.0": 4, "+Inf": 4}
    assert seen[key("edgevision_result_age_seconds_sum", camera="till")] == pytest.approx(1.004)
    assert seen[key("edgevision_inventory_events_total", camera="till", place="shelf", delta="-1")] == 1
    states = {state: seen[key("edgevision_camera_state", camera="till", state=state.value)] for state in State}
    assert states == {state: float(state is State.LIVE) for state in State}


def test_it_shows_the_ledger_and_the_stages(sink):
    ledger, metrics = Ledger(), Metrics()
    fates = [Fate.SERVED] * 5 + [Fate.SUPERSEDED] * 3 + [Fate.STALE]
    for fate in fates:
        ledger.settle("till", ledger.captured("till"), fate)
    ledger.captured("till")
    for seconds in (0.0005, 0.003, 0.003, 40.0):
        metrics.camera("till").add("model", seconds)
    metrics.add_batch(4, 0.25)
    metrics.add_model_failure()
    sink.observe(ledger, metrics)
    sink.open()
    seen = scraped(sink)
    told = {fate: seen.get(key("edgevision_frames_total", camera="till", fate=fate.value), 0) for fate in Fate}
    assert told == {fate: fates.count(fate) for fate in Fate}
    captured = seen[key("edgevision_frames_captured_total", camera="till")]
    assert captured == sum(told.values()) + seen[key("edgevision_frames_in_flight", camera="till")] == 10
    stage = {bound: seen[key("edgevision_stage_seconds_bucket", camera="till", stage="model", le=bound)] for bound in
             ("0.001", "0.002", "0.005", "30.0", "+Inf")}  # fmt: skip
    assert stage == {"0.001": 1, "0.002": 1, "0.005": 3, "30.0": 3, "+Inf": 4}
    assert seen[key("edgevision_stage_seconds_sum", camera="till", stage="model")] == pytest.approx(40.0065)
    assert seen[key("edgevision_stage_seconds_count", camera="till", stage="model")] == 4
    assert seen[key("edgevision_batch_frames_bucket", le="3.0")] == 0
    assert seen[key("edgevision_batch_frames_bucket", le="4.0")] == 1
    assert seen[key("edgevision_model_busy_seconds_total")] == 0.25
    assert seen[key("edgevision_model_failures_total")] == 1
    ledger.settle("till", 9, Fate.POISON)
    assert scraped(sink)[key("edgevision_frames_total", camera="till", fate="poison")] == 1  # read when asked


def test_it_shows_how_every_sink_is(sink):
    """An alarm on ``edgevision_sink_up == 0`` has to see each of them."""
    spool = SpoolStatus(3, 600, 9, 2, {("size", "result"): 7, ("refused", "event"): 1})
    counts = SinkCounts(put=9, written=4, overflow=3, failed=1, waiting=1)
    metrics = Metrics()
    metrics.sinks = lambda: (
        SinkStatus("mqtt://b/shop", "nobody answers", counts, {"result": 3, "event": 1}, "", spool), SinkStatus("jsonl:a"),
    )  # fmt: skip
    sink.observe(Ledger(), metrics)
    sink.open()
    seen = scraped(sink)
    assert seen[key("edgevision_sink_up", sink="mqtt://b/shop")] == 0
    assert seen[key("edgevision_sink_up", sink="jsonl:a")] == 1
    told = {name: seen[key(f"edgevision_{name}", sink="mqtt://b/shop")] for name in (
        "sink_waiting", "sink_written_total", "spool_messages", "spool_bytes", "spool_delivered_total", "spool_late_total",
    )}  # fmt: skip
    assert list(told.values()) == [1, 4, 3, 600, 9, 2]
    lost = {
        kind: seen[key("edgevision_sink_lost_total", sink="mqtt://b/shop", kind=kind)]
        for kind in ("result", "state", "event")
    }
    assert lost == {"result": 3, "state": 0, "event": 1}
    assert seen[key("edgevision_spool_dropped_total", sink="mqtt://b/shop", reason="size", kind="result")] == 7
    assert seen[key("edgevision_spool_dropped_total", sink="mqtt://b/shop", reason="refused", kind="event")] == 1
    assert key("edgevision_spool_messages", sink="jsonl:a") not in seen


def test_a_stream_shows_its_sinks_also_behind_a_distributor_and_with_equal_names(sink):
    stream = Stream(ToyModel(), sinks=[Distributor([sink, CallbackSink(print), CallbackSink(print)])])
    sink.open()
    seen = scraped(sink)
    names = {dict(labels)["sink"] for name, labels in seen if name == "edgevision_sink_up"}
    assert names == {"distributor", sink.name, "callback", "callback (2)"}
    stream.stop()


def test_it_listens_on_this_machine_alone_and_no_longer_than_it_is_open(sink):
    sink.open()
    sink.open()  # after a failure; the same server
    assert sink._server.server_address[0] == "127.0.0.1"
    url = f"http://127.0.0.1:{sink.port}/metrics"
    sink.close(5.0)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sink = PrometheusSink(port=taken.getsockname()[1])
        with pytest.raises(SinkError, match="another port"):
            sink.open()
        sink.close(1.0)


def test_a_port_that_is_none():
    with pytest.raises(InputError, match="0…65535"):
        PrometheusSink(port=70_000)
