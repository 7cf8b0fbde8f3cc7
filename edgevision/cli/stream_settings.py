"""What ``edgevision stream`` is asked for: its settings, and what is made of them."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.streams.inventory.counting import InventoryCounter
    from edgevision.streams.settings import Settings
    from edgevision.streams.sinks.base import Sink


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The file's settings with what the command line adds. Raises InputError."""
    from edgevision.streams.options import CameraOptions
    from edgevision.streams.settings import Settings, SinkSettings, read_settings

    settings = read_settings(arguments.config) if arguments.config is not None else Settings()
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise InputError(f"--threshold is a score, 0…1, got {arguments.threshold}")
    cameras = list(settings.cameras)
    for given in arguments.camera:
        name, url = _name_and_url(given)
        if name is None:
            name = _free_name({camera.name for camera in cameras})
        if any(camera.name == name for camera in cameras):
            raise InputError(f"there is a camera {name!r} already; give each its own name: --camera NAME=URL")
        cameras.append(CameraOptions(name, url))
    settings = replace(
        settings,
        model=arguments.bundle or settings.model,
        then=arguments.then or settings.then,
        gallery=arguments.gallery or settings.gallery,
        threshold=settings.threshold if arguments.threshold is None else arguments.threshold,
        cameras=tuple(cameras),
        sinks=(*settings.sinks, *(SinkSettings(url) for url in arguments.sink)),
    )
    if settings.model is None:
        raise InputError("no model: name the .edge file, or give model = … in --config")
    if not settings.cameras:
        raise InputError("no camera: give --camera URL, or a [[camera]] in --config")
    return settings


def _name_and_url(given: str) -> tuple[str | None, str]:
    """``till=rtsp://…`` has a name; a ``=`` further on belongs to the URL."""
    found = re.fullmatch(r"([\w.-]+)=(.+)", given, re.DOTALL)
    return (None, given) if found is None else (found[1], found[2])


def _free_name(taken: set[str]) -> str:
    number = 1
    while f"cam{number}" in taken:
        number += 1
    return f"cam{number}"


def load_options(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """How the model is loaded, at the start and when another one takes over: arguments of ``load_with_gallery``."""
    return {
        "then": settings.then,
        "gallery": settings.gallery,
        "threshold": settings.threshold,
        "engine": arguments.engine,
        "threads": arguments.threads,
    }


def counter_of(settings: Settings) -> InventoryCounter | None:
    from edgevision.streams.inventory.counting import InventoryCounter

    return InventoryCounter(settings.places, settings.tracker) if settings.places else None


def kind_of(settings: Settings) -> str:
    """What the model does, such as detect. Raises BundleError for a file, or a second one, that is no bundle, and InputError for a
    threshold where it has none."""
    from edgevision.bundle.reader import open_bundle
    from edgevision.tasks.registry import make_task

    assert settings.model is not None  # settings_of sees to that
    if settings.then is not None:
        open_bundle(settings.then).close()
    with open_bundle(settings.model) as bundle:
        task = bundle.manifest.task
    if settings.threshold is not None:
        make_task(task.with_parameters({"threshold": settings.threshold}))
    return task.kind


def check_finds_boxes(kind: str, settings: Settings) -> None:
    """Raise InputError where products are to be followed, or to be recognised by a second model, and the model gives no boxes."""
    from edgevision.tasks.registry import task_type

    if task_type(kind).finds_boxes:
        return
    if settings.then is not None:
        raise InputError(
            f"a second model needs a first that finds boxes, and {settings.model} can {kind} alone; give a detector"
        )
    if settings.places:
        raise InputError(
            f"lines and zones need a model that finds boxes, and {settings.model} can {kind} alone; give a detector, and "
            "this model with --then"
        )


def sinks_of(settings: Settings, *, json: bool) -> list[Sink]:
    from edgevision.streams.sinks.inventory import InventorySink
    from edgevision.streams.sinks.json_lines import STDOUT, JsonLinesSink
    from edgevision.tracking.places import Zone

    sinks = [one.make() for one in settings.sinks]
    for sink in sinks:
        if isinstance(sink, InventorySink):
            sink.zones = [
                (camera, place.name)
                for camera, some in settings.places.items()
                for place in some
                if isinstance(place, Zone)
            ]
    return [*sinks, JsonLinesSink(STDOUT)] if json else sinks
