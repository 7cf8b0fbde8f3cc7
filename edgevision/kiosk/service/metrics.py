"""``GET /metrics``: the service for Prometheus: requests, batches, models, Stations, and what waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.errors import MissingExtraError
from edgevision.kiosk.events import StationEvent
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.gallery.shop_gallery import GalleryUse
from edgevision.kiosk.service.live.hub import EventsHub
from edgevision.kiosk.service.picture_folder import FolderUse
from edgevision.kiosk.service.route import Scope, route
from edgevision.kiosk.service.watching import Seen
from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import Health

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PATH = "/metrics"
STATES = ("empty", "moving", "still", "blocked")
PAGES = "pages"  # the Stations of browsers, all together: there is a new one for every connection
# A request with a small model takes 2 ms, one that waits in a queue a second: 1, 2 and 5 of each power of ten.
_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class MetricSources:
    """What is read when somebody scrapes. Each may be left out.

    ``models``: what is served now. ``batches``: by model, what its batcher measures. ``stations``: name → state. ``in_flight``: requests
    that are under way. ``feedback`` and ``receipts``: how full the folder is, and what waits for the shop's server. ``gallery``: how much is
    in it.
    """

    models: Callable[[], Sequence[ServedDescription]] = tuple
    batches: Callable[[], Mapping[str, Metrics]] = dict
    stations: Callable[[], Mapping[str, str]] = dict
    in_flight: Callable[[], int] = int
    hub: EventsHub | None = None
    feedback: Callable[[], FolderUse | None] = _nothing
    receipts: Callable[[], Health | None] = _nothing
    gallery: Callable[[], GalleryUse | None] = _nothing


class ServiceMetrics:
    """Counts requests and events, in a registry of its own: two services in one program do not meet.

    Raises MissingExtraError without prometheus-client.
    """

    def __init__(self, sources: MetricSources | None = None) -> None:
        client = _client()
        self._registry = client.CollectorRegistry()
        self._requests = client.Counter(
            "edgevision_http_requests", "Requests that are over", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = client.Histogram(
            "edgevision_http_request_seconds", "From a request's first byte to the last of its answer", ["route"],
            buckets=_BOUNDS_S, registry=self._registry,
        )  # fmt: skip
        self._events = client.Counter(
            "edgevision_station_events", "What Stations told", ["station", "event"], registry=self._registry
        )
        self._registry.register(_Now(MetricSources() if sources is None else sources))
        # Children, bound once: looking one up by its labels costs more than counting.
        self._of_requests: dict[tuple[str, str, int], Any] = {}
        self._of_seconds: dict[str, Any] = {}
        self._of_events: dict[tuple[str, str], Any] = {}
        self._binding = threading.Lock()

    def see(self, seen: Seen) -> None:
        """Count a request."""
        key = seen.route, seen.method, seen.status
        count = self._of_requests.get(key)
        if count is None:
            with self._binding:
                count = self._of_requests[key] = self._requests.labels(seen.route, seen.method, str(seen.status))
        count.inc()
        if seen.endless:
            return  # it is open for hours, which is no latency
        seconds = self._of_seconds.get(seen.route)
        if seconds is None:
            with self._binding:
                seconds = self._of_seconds[seen.route] = self._seconds.labels(seen.route)
        seconds.observe(seen.seconds)

    def count(self, event: StationEvent, station: str | None = None) -> None:
        """Count an event. ``station``: what to call it where its own name is one of many, such as ``PAGES``."""
        key = station or event.station, event.kind
        found = self._of_events.get(key)
        if found is None:
            with self._binding:
                found = self._of_events[key] = self._events.labels(*key)
        found.inc()

    def routes(self) -> list[BaseRoute]:
        """The route that Prometheus reads."""

        async def metrics(request: Request) -> Response:
            from starlette.concurrency import run_in_threadpool
            from starlette.responses import Response

            encode, kind = _client().exposition.choose_encoder(request.headers.get("accept", ""))
            text = await run_in_threadpool(encode, self._registry)
            return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})

        return [route(PATH, metrics, scope=Scope.READ, max_body_bytes=0)]


class _Collector(Protocol):
    """What prometheus-client asks for when somebody scrapes."""

    def collect(self) -> Iterable[Any]: ...


class _Now(_Collector):
    """What is as it is now, as families of prometheus-client."""

    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources

    def describe(self) -> list[Any]:
        """Nothing to look at before the first scrape."""
        return []

    def collect(self) -> Iterator[Any]:
        """Everything, as of now."""
        yield _gauge("edgevision_http_in_flight", "Requests that are under way", self._sources.in_flight())
        yield self._models()
        yield from self._batches()
        yield self._stations()
        if (hub := self._sources.hub) is not None:
            yield _gauge("edgevision_event_subscribers", "Who listens to events now", hub.subscribers)
            yield _counter("edgevision_events_told", "Events that subscribers were told", hub.told)
            yield _counter("edgevision_events_lost", "Events that slow subscribers did not get", hub.lost)
        if (use := self._sources.feedback()) is not None:
            yield _gauge("edgevision_feedback_pictures", "Pictures in the feedback folder", use.files)
            yield _gauge("edgevision_feedback_bytes", "What the feedback folder takes", use.bytes)
            yield _gauge("edgevision_feedback_most_bytes", "What it may take", use.quota.bytes)
        if (known := self._sources.gallery()) is not None:
            yield _gauge("edgevision_gallery_products", "Products in the gallery", known.products)
            yield _gauge("edgevision_gallery_examples", "Examples of them", known.examples)
        yield from self._receipts()

    def _models(self) -> Any:
        family = _core().GaugeMetricFamily(
            "edgevision_model_info", "1 for each model that is served", labels=["model", "id", "variant", "proven"]
        )
        for one in self._sources.models():
            family.add_metric([one.name, one.id, one.variant, str(one.proven).lower()], 1)
        return family

    def _batches(self) -> Iterator[Any]:
        core = _core()
        sizes = core.HistogramMetricFamily(
            "edgevision_batch_frames", "Pictures that a model ran together", labels=["model"]
        )
        busy = core.CounterMetricFamily(
            "edgevision_model_busy_seconds", "Time in which a model was at work", labels=["model"]
        )
        failures = core.CounterMetricFamily(
            "edgevision_model_failures", "Calls of a model that raised or hung", labels=["model"]
        )
        for name, metrics in self._sources.batches().items():
            found = metrics.batch_sizes.read()
            sizes.add_metric([name], found.up_to(), found.sum)
            busy.add_metric([name], metrics.busy_s)
            failures.add_metric([name], metrics.model_failures)
        yield from (sizes, busy, failures)

    def _stations(self) -> Any:
        family = _core().GaugeMetricFamily(
            "edgevision_station_state", "1 for the state that a Station is in", labels=["station", "state"]
        )
        for name, now in self._sources.stations().items():
            for state in STATES:
                family.add_metric([name, state], float(state == now))
        return family

    def _receipts(self) -> Iterator[Any]:
        health = self._sources.receipts()
        if health is None:
            return
        yield _gauge("edgevision_receipts_up", "1 while receipts go out", float(not health.fault))
        if health.spool is None:
            return
        yield _gauge("edgevision_receipts_waiting", "Receipts that wait for the shop's server", health.spool.waiting)
        yield _counter("edgevision_receipts_delivered", "Receipts that the shop's server has", health.spool.delivered)
        lost = _core().CounterMetricFamily("edgevision_receipts_lost", "Receipts that were given up", labels=["reason"])
        for reason in ("refused", "age", "size"):  # also where it is 0: an alarm needs to see it grow
            counts = (count for (why, _), count in health.spool.dropped.items() if why == reason)
            lost.add_metric([reason], sum(counts))
        yield lost


def _gauge(name: str, words: str, value: float) -> Any:
    return _core().GaugeMetricFamily(name, words, value)


def _counter(name: str, words: str, value: float) -> Any:
    return _core().CounterMetricFamily(name, words, value)


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "serve", "edgevision serve") from error
    return prometheus_client


def _core() -> Any:
    from prometheus_client import core

    return core
