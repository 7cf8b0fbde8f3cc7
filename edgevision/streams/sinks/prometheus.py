"""``/metrics`` for Prometheus: what became of every frame, how old results are, how each camera is."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from edgevision.errors import InputError, MissingExtraError, SinkError
from edgevision.streams.camera_state import State, StateChange
from edgevision.streams.ledger import Ledger
from edgevision.streams.metrics import BOUNDS_S, Metrics, Stage
from edgevision.streams.results import StreamResult
from edgevision.streams.sink_status import SinkStatus
from edgevision.streams.sinks.base import KINDS, Item
from edgevision.tracking.events import InventoryEvent

HOST, PORT = "127.0.0.1", 9100
STAGES: tuple[Stage, ...] = ("decode", "queue", "model", "age_at_take", "age")


class PrometheusSink:
    """Serves metrics over HTTP, on this machine alone unless ``host`` says otherwise. ``port`` 0 takes any that is free; ``port``
    tells which.

    From the items: results and events by camera, their age, and each camera's state. After ``observe``, also the ledger's fates and
    the histograms of each stage, and how every sink is, read when somebody asks: they cost the stream nothing.

    Raises MissingExtraError without prometheus-client.
    """

    wants_frames = False

    def __init__(self, host: str = HOST, port: int = PORT) -> None:
        if not 0 <= port <= 65535:
            raise InputError(f"prometheus: the port is 0…65535, got {port}")
        client = _client()
        self.host = host
        self.port = port
        self.name = f"prometheus://{host}:{port}"
        self._registry = client.CollectorRegistry()
        self._results = client.Counter(
            "edgevision_results", "Results that reached the sinks", ["camera"], registry=self._registry
        )
        self._ages = client.Histogram(
            "edgevision_result_age_seconds", "From the capture of a frame to its result", ["camera"], buckets=BOUNDS_S,
            registry=self._registry,
        )  # fmt: skip
        self._events = client.Counter(
            "edgevision_inventory_events", "Products that came (+1) or went (-1)", ["camera", "place", "delta"],
            registry=self._registry,
        )  # fmt: skip
        self._states = client.Gauge(
            "edgevision_camera_state",
            "1 for the state that the camera is in",
            ["camera", "state"],
            registry=self._registry,
        )
        # Children by camera, bound once: looking one up by its labels costs more than counting.
        self._of_results: dict[str, tuple[Any, Any]] = {}
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def observe(self, ledger: Ledger, metrics: Metrics) -> None:
        """Also serve what a stream counts. To be called once, before ``open``."""
        self._registry.register(_StreamCollector(ledger, metrics))

    def open(self) -> None:
        """Begin to listen. Raises SinkError where the port is taken."""
        if self._server is not None:
            return
        try:
            self._server, self._thread = _client().start_http_server(self.port, addr=self.host, registry=self._registry)
        except OSError as error:
            raise SinkError(f"{self.name}: cannot listen ({error.strerror or error}); give another port") from error
        self.port = self._server.server_address[1]

    def write(self, item: Item) -> None:
        """Count it."""
        if isinstance(item, StreamResult):
            count, age = self._children(item.camera)
            count.inc()
            age.observe(item.age_s)
        elif isinstance(item, StateChange):
            for state in State:
                self._states.labels(item.camera, state.value).set(1.0 if state is item.state else 0.0)
        elif isinstance(item, InventoryEvent):
            self._events.labels(item.camera, item.place, f"{item.delta:+d}").inc()

    def close(self, timeout_s: float) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _children(self, camera: str) -> tuple[Any, Any]:
        found = self._of_results.get(camera)
        if found is None:
            found = self._of_results[camera] = (self._results.labels(camera), self._ages.labels(camera))
        return found


class _Collector(Protocol):
    """What prometheus-client asks for when somebody scrapes."""

    def collect(self) -> Iterable[Any]: ...


class _StreamCollector(_Collector):
    """The ledger and the metrics of a stream, as families of prometheus-client."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics

    def describe(self) -> list[Any]:
        """Nothing to look at before the first scrape."""
        return []

    def collect(self) -> Iterator[Any]:
        """Everything, as of now."""
        yield from self._accounts()
        yield self._stages()
        core = _core()
        sizes = core.HistogramMetricFamily("edgevision_batch_frames", "Frames that the model ran together")
        found = self._metrics.batch_sizes.read()
        sizes.add_metric([], found.up_to(), found.sum)
        yield sizes
        yield core.CounterMetricFamily(
            "edgevision_model_busy_seconds", "Time in which the model was at work", self._metrics.busy_s
        )
        yield core.CounterMetricFamily(
            "edgevision_model_failures", "Calls of the model that raised or hung", self._metrics.model_failures
        )
        yield from _sinks(self._metrics.sinks())

    def _accounts(self) -> Iterator[Any]:
        core = _core()
        captured = core.CounterMetricFamily("edgevision_frames_captured", "Frames that came", labels=["camera"])
        fates = core.CounterMetricFamily(
            "edgevision_frames", "Frames by what became of them", labels=["camera", "fate"]
        )
        waiting = core.GaugeMetricFamily("edgevision_frames_in_flight", "Frames without a fate yet", labels=["camera"])
        for account in self._ledger.accounts():
            captured.add_metric([account.camera], account.captured)
            waiting.add_metric([account.camera], account.in_flight)
            for fate, count in account.fates.items():
                fates.add_metric([account.camera, fate.value], count)
        yield from (captured, fates, waiting)

    def _stages(self) -> Any:
        family = _core().HistogramMetricFamily(
            "edgevision_stage_seconds", "Time of each frame in each stage", labels=["camera", "stage"]
        )
        for name, camera in self._metrics.cameras.items():
            for stage in STAGES:
                found = camera.stages[stage].read()
                family.add_metric([name, stage], found.up_to(), found.sum)
        return family


def _sinks(statuses: Sequence[SinkStatus]) -> Iterator[Any]:
    core = _core()
    up = core.GaugeMetricFamily("edgevision_sink_up", "1 while the sink takes items and they go out", labels=["sink"])
    waiting = core.GaugeMetricFamily("edgevision_sink_waiting", "Items that wait for the sink", labels=["sink"])
    written = core.CounterMetricFamily("edgevision_sink_written", "Items that the sink took", labels=["sink"])
    lost = core.CounterMetricFamily(
        "edgevision_sink_lost", "Items that never reached the sink", labels=["sink", "kind"]
    )
    depth = core.GaugeMetricFamily("edgevision_spool_messages", "Messages that wait on disk", labels=["sink"])
    size = core.GaugeMetricFamily("edgevision_spool_bytes", "What waits on disk", labels=["sink"])
    delivered = core.CounterMetricFamily(
        "edgevision_spool_delivered", "Messages that the other side has", labels=["sink"]
    )
    late = core.CounterMetricFamily("edgevision_spool_late", "Of these, those that were marked late", labels=["sink"])
    dropped = core.CounterMetricFamily(
        "edgevision_spool_dropped", "Messages that are lost, earlier runs included", labels=["sink", "reason", "kind"]
    )
    for status in statuses:
        name = status.name
        up.add_metric([name], float(status.up))
        waiting.add_metric([name], status.counts.waiting)
        written.add_metric([name], status.counts.written)
        for kind in KINDS:  # also where it is 0: an alarm needs to see it grow
            lost.add_metric([name, kind], status.lost.get(kind, 0))
        if status.spool is None:
            continue
        depth.add_metric([name], status.spool.waiting)
        size.add_metric([name], status.spool.waiting_bytes)
        delivered.add_metric([name], status.spool.delivered)
        late.add_metric([name], status.spool.late)
        for (reason, kind_), count in status.spool.dropped.items():
            dropped.add_metric([name, reason, kind_], count)
    yield from (up, waiting, written, lost, depth, size, delivered, late, dropped)


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "stream", "metrics for Prometheus") from error
    return prometheus_client


def _core() -> Any:
    from prometheus_client import core

    return core
