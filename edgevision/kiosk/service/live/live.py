"""The live part of a service: everything beside asking the model one picture at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edgevision.frames import Frame
from edgevision.kiosk.events import Blocked, BlockedReason, StationEvent
from edgevision.kiosk.service.bodies import Budget
from edgevision.kiosk.service.described import ServedDescription
from edgevision.kiosk.service.feedback import feedback_routes
from edgevision.kiosk.service.file_watch import FileWatch
from edgevision.kiosk.service.gallery.routes import GalleryService, gallery_routes
from edgevision.kiosk.service.gallery.shop_gallery import GalleryUse
from edgevision.kiosk.service.live.camera_route import camera_routes
from edgevision.kiosk.service.live.event_routes import event_routes
from edgevision.kiosk.service.live.hub import EventsHub
from edgevision.kiosk.service.live.keeper import Keeper
from edgevision.kiosk.service.live.said import AnswersSaid
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.live.station_socket import MachineFactory, PageStations
from edgevision.kiosk.service.logs import LogLines
from edgevision.kiosk.service.metrics import PAGES, MetricSources, ServiceMetrics
from edgevision.kiosk.service.openapi import openapi_routes
from edgevision.kiosk.service.options import ServiceOptions
from edgevision.kiosk.service.picture_folder import FolderUse, PictureFolder
from edgevision.kiosk.service.products import product_routes
from edgevision.kiosk.service.receipts import ReceiptPost, receipt_routes
from edgevision.kiosk.service.shop_catalogue import ShopCatalogue
from edgevision.kiosk.service.status import CameraReport, StatusSources, status_routes
from edgevision.kiosk.service.watching import App, ErrorsSeen, Watch
from edgevision.streams.metrics import Metrics
from edgevision.streams.sink_status import Health

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

_LOG_S = 1.0  # for the last lines of the log
_FILES_S = 1.0  # for a file that is being read


class ServerStation(Protocol):
    """A Station whose camera is the service's, see ``own_camera.OwnCamera``."""

    name: str

    @property
    def newest(self) -> Frame | None:
        """The newest frame of its camera."""

    @property
    def state(self) -> str:
        """``empty``, ``moving``, ``still`` or ``blocked``."""

    @property
    def blocked(self) -> str | None:
        """Why nothing can be told: the reason of its ``blocked`` event; or None."""

    def report(self) -> CameraReport:
        """How its camera is."""

    def start(self) -> None:
        """Begin."""

    def refuse(self) -> None:
        """Begin nothing new. Returns at once."""

    def close(self, timeout_s: float) -> None:
        """Let the camera go."""


@dataclass(frozen=True)
class LiveModels:
    """What the live part needs of the models that are served. ``described``: all as of now, the one that Stations ask first.
    ``make_machine``: makes what finds out what a browser's camera shows. ``batches``: what each model's batcher measures. ``counts``: more
    numbers for the operator. ``budget``: of the bytes that the bodies of all requests may hold together. ``gallery``: that the first of them
    answers from, if it does."""

    described: Callable[[], Sequence[ServedDescription]]
    make_machine: MachineFactory
    batches: Callable[[], Mapping[str, Metrics]] = dict
    counts: Callable[[], dict[str, Any]] = dict
    budget: Budget = field(default_factory=lambda: Budget(ServiceOptions.max_bytes_in_flight))
    gallery: GalleryService | None = None


class Live:
    """Events, products, feedback, receipts, metrics, status and the log of one service.

    Make it, ``add`` Stations whose camera is the service's, hand ``routes`` to the app and put ``watched`` around that; ``start`` it. When
    the service is told to stop, ``refuse`` ends all streams at once, so that they hold up nobody; ``close`` gives everything back.
    ``tokens``: whether callers need them, for the API's description.

    Raises InputError for settings that cannot be used, MissingExtraError where a package is missing.
    """

    def __init__(
        self, settings: LiveSettings, models: LiveModels, *, tokens: bool = False, log: LogLines | None = None
    ) -> None:
        self.settings = settings
        self.log = LogLines() if log is None else log
        self.errors = ErrorsSeen()
        self.hub = EventsHub(stations=self._states)
        self._models = models
        self._tokens = tokens
        self._shop = None if models.gallery is None else models.gallery.shop
        self._said = AnswersSaid()
        self._stations: dict[str, ServerStation] = {}
        self._catalogue = ShopCatalogue(
            settings.prices, settings.product_pictures, trouble=self.trouble, changed=self._prices_changed, shop=self._shop,
            currency=settings.currency,
        )  # fmt: skip
        self._files = FileWatch(self._all_looks(), self.trouble)
        self._folder = None if settings.feedback is None else PictureFolder(settings.feedback, settings.feedback_quota)
        self._keeper = None if settings.keep is None else Keeper(settings.keep, settings.feedback_quota, self.trouble)
        self._post = None if settings.receipts is None else ReceiptPost(settings.receipts)
        self._watch: Watch | None = None
        self._metrics = ServiceMetrics(self._metric_sources())
        self._pages = PageStations(
            models.make_machine, see=self._see_page, closed=self._is_closed, trouble=self.trouble
        )

    # ---- Stations ----

    def add(self, station: ServerStation) -> None:
        """Add a Station before ``start``. Its events are to be given to ``publish``."""
        self._stations[station.name] = station

    def publish(self, event: StationEvent) -> None:
        """An event of a Station whose camera is the service's. From any thread."""
        self._said.see(event)
        self._metrics.count(event)
        if self._keeper is not None:
            self._keeper.see(event)
        if isinstance(event, Blocked) and event.reason is not BlockedReason.HAND:  # a hand is a shopper's
            self.trouble(f"{event.station}: {self._blocked_words(event)}")
        self.hub.publish(event)

    def model_changed(self, words: str) -> None:
        """Another model answers now: tell subscribers and the log."""
        fields = {"models": [{"name": one.name, "id": one.id} for one in self._models.described()], "words": words}
        self._tell_all("model-changed", fields)
        self._write_labels()

    def trouble(self, words: str) -> None:
        """Something went wrong: for the log, and for the operator's view."""
        self.errors.note(words)
        self.log.write("trouble", words=words)

    # ---- HTTP ----

    def routes(self) -> list[BaseRoute]:
        """All routes of the live part."""
        return [
            *event_routes(self.hub),
            *self._pages.routes(),
            *camera_routes(lambda: self._stations, closed=self._is_closed),
            *product_routes(self._catalogue.now, self._model, self._features()),
            *feedback_routes(self._folder, self._model, self._said.of, self._models.budget),
            *receipt_routes(self._post, self._catalogue.now, self._model, self._models.budget),
            *self._gallery_routes(),
            *status_routes(self._status_sources()),
            *self._metrics.routes(),
            *openapi_routes(tokens=self._tokens),
        ]  # fmt: skip

    def watched(self, app: App) -> App:
        """``app`` with every request counted, logged, and given an id. To be put around everything else."""
        self._watch = Watch(app, (self.errors.see, self._metrics.see, self.log.see))
        return self._watch

    # ---- running ----

    def start(self) -> None:
        """Begin: Stations, and what brings receipts to the shop's server. Raises SinkError, InputError."""
        self._write_labels()
        if self._post is not None:
            self._post.open()
        self._files.start()
        for station in self._stations.values():
            station.start()

    def refuse(self) -> None:
        """The service is to stop: end every stream of events and pictures at once. Returns at once; from any thread."""
        self.hub.close()
        for station in self._stations.values():
            station.refuse()

    def close(self, timeout_s: float) -> None:
        """Let cameras go, send what can be sent in time, and write the last lines of the log."""
        self.refuse()
        self._files.close(_FILES_S)
        for station in self._stations.values():
            station.close(timeout_s / 2)
        if self._keeper is not None:
            self._keeper.close()
        if self._post is not None:
            self._post.close(timeout_s / 2)
        self.log.close(_LOG_S)

    # ---- what others read ----

    def _blocked_words(self, event: Blocked) -> str:
        """Why, with the camera's own reason where it has one that the event does not tell."""
        station = self._stations.get(event.station)
        if event.reason is not BlockedReason.CAMERA_GONE or station is None:
            return event.words
        own = station.report().words
        return event.words if own in event.words else f"{event.words} ({own})"

    def _model(self) -> ServedDescription:
        return self._models.described()[0]

    def _features(self) -> dict[str, bool]:
        return {
            "camera": self.settings.camera is not None or bool(self._stations),
            "feedback": self._folder is not None,
            "receipts": self._post is not None,
            "gallery": self._shop is not None,
        }

    def _all_looks(self) -> list[Callable[[], None]]:
        if self._shop is None:
            return [self._catalogue.look]
        self._shop.when_changed(self._gallery_changed)
        self._shop.when_in_trouble(self.trouble)
        return [self._catalogue.look, self._shop.look]

    def _gallery_routes(self) -> list[BaseRoute]:
        if self._models.gallery is None:
            return []
        return gallery_routes(
            self._models.gallery, self._catalogue.now, self._models.budget, stations=lambda: self._stations,
            closed=self._is_closed, trouble=self.trouble,
        )  # fmt: skip

    def _gallery_changed(self) -> None:
        use = self._gallery_use()
        fields = {} if use is None else use.to_dict()
        self._tell_all("products-changed", fields)
        self._write_labels()

    def _gallery_use(self) -> GalleryUse | None:
        return None if self._shop is None else self._shop.use

    def _prices_changed(self) -> None:
        self._tell_all("prices-changed", {})

    def _tell_all(self, kind: str, fields: dict[str, Any]) -> None:
        """News that is no Station's: for subscribers, for pages with their own camera, and for the log."""
        self.hub.tell(kind, fields)
        self._pages.tell(kind, fields)
        self.log.write(kind, **fields)

    def _states(self) -> list[dict[str, Any]]:
        return [{"station": name, "state": one.state, "reason": one.blocked} for name, one in self._stations.items()]

    def _see_page(self, event: StationEvent) -> None:
        """An event of a browser's Station: it is that browser's alone."""
        self._said.see(event)
        self._metrics.count(event, PAGES)
        if self._keeper is not None:
            self._keeper.see(event)

    def _is_closed(self) -> bool:
        return self.hub.closed

    def _write_labels(self) -> None:
        if self._folder is not None:
            self._folder.write_labels(self._model().labels)

    def _in_flight(self) -> int:
        return 0 if self._watch is None else self._watch.in_flight

    def _folder_use(self) -> FolderUse | None:
        return None if self._folder is None else self._folder.use

    def _post_health(self) -> Health | None:
        return None if self._post is None else self._post.health()

    def _metric_sources(self) -> MetricSources:
        return MetricSources(
            models=self._models.described,
            batches=self._models.batches,
            stations=lambda: {name: one.state for name, one in self._stations.items()},
            in_flight=self._in_flight,
            hub=self.hub,
            feedback=self._folder_use,
            receipts=self._post_health,
            gallery=self._gallery_use,
        )

    def _status_sources(self) -> StatusSources:
        return StatusSources(
            models=self._models.described,
            cameras=lambda: [one.report() for one in self._stations.values()],
            errors=self.errors,
            hub=self.hub,
            in_flight=self._in_flight,
            pages=lambda: self._pages.connected,
            feedback=self._folder_use,
            receipts=self._post_health,
            counts=self._models.counts,
            gallery=self._gallery_use,
        )
