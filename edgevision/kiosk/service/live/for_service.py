"""The live part of a ``Service``: what its models are, what Stations ask, and who is told when something changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgevision.kiosk.service.described import ServedDescription, described
from edgevision.kiosk.service.gallery.asked import asker_of
from edgevision.kiosk.service.gallery.routes import GalleryService
from edgevision.kiosk.service.live.current_model import CurrentModel
from edgevision.kiosk.service.live.live import Live, LiveModels
from edgevision.kiosk.service.live.own_camera import OwnCamera
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.live.station_socket import PlacementMachine
from edgevision.kiosk.service.logs import LogLines

if TYPE_CHECKING:
    from edgevision.kiosk.service.service import Service
    from edgevision.kiosk.service.versions import ServedVersion


def live_for(service: Service, settings: LiveSettings, *, tokens: bool = False, log: LogLines | None = None) -> Live:
    """What ``settings`` ask for, of the models that ``service`` serves: its first one answers Stations. The caller starts and closes it.
    ``tokens``: whether callers need them.

    Streams end when the service begins to stop; a model that is replaced, or fails, is told to subscribers and the log.

    >>> live = live_for(service, LiveSettings(prices=Path("prices.csv")))  # doctest: +SKIP
    >>> live.start()  # doctest: +SKIP
    >>> app = live.watched(make_app(service, live.routes()))  # doctest: +SKIP
    """
    from edgevision.kiosk.station.placements import Placements

    def trouble(words: str) -> None:
        live.trouble(words)

    asked = CurrentModel(lambda: service.models.get().model, trouble, service.shop)

    def all_described() -> Sequence[ServedDescription]:
        return [_described(service, one) for name in service.models.names for one in service.models.versions(name)[-1:]]

    def machine(name: str) -> PlacementMachine:
        return Placements(asked, station=name)

    models = LiveModels(
        all_described, machine, batches=lambda: service.metrics, counts=lambda: _counts(service), budget=service.budget,
        gallery=_gallery_of(service),
    )  # fmt: skip
    live = Live(settings, models, tokens=tokens, log=log)
    if settings.camera is not None:
        live.add(OwnCamera(asked, settings.camera, settings.camera_name, live.publish))
    service.when_stopping(live.refuse)
    service.when_in_trouble(lambda trouble: live.trouble(trouble.words))
    service.models.watch(lambda reloaded: live.model_changed(reloaded.words))
    return live


def _described(service: Service, version: ServedVersion) -> ServedDescription:
    """What is told of a model; its labels are the products of the gallery that answers for it."""
    told = described(version.model, version.name)
    if service.shop is None or service.gallery_of(version) is None:
        return told
    return replace(told, labels=service.shop.now.labels)


def _gallery_of(service: Service) -> GalleryService | None:
    if service.shop is None:
        return None
    embedder = CurrentModel(lambda: service.models.get().model)
    return GalleryService(
        service.shop,
        asker_of(service),
        embedder.predict_frames,
        service.options.max_picture_bytes,
        embedder.finds_boxes,
    )


def _counts(service: Service) -> dict[str, dict[str, int]]:
    """What became of all pictures and tensors so far, by model."""
    return {
        account.camera: {"taken": account.captured, **{fate.value: count for fate, count in account.fates.items()}}
        for account in service.ledger.accounts()
    }
