"""The models of a service: by name and version, replaced while they serve."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.errors import EdgeVisionError, InputError
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.versions import ServedVersion, Shared, load_version, loader
from edgevision.streams.served_model import misfit

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.model import Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")
_LOADING_S = 5.0  # until a model that is being loaded is likely to be there
_RETIRE_S = 60.0  # for what is still with a model that was replaced


@dataclass(frozen=True, eq=False)
class ModelSource:
    """Where a model comes from: the ``path`` of a bundle, and ``then`` of the second for a cascade; or a ``model`` that is loaded already, and
    stays its owner's to close. ``name``: None: as the bundle says."""

    path: Path | None = None
    then: Path | None = None
    model: Model | Cascade | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.model is None):
            raise InputError("a model comes from a path, or is loaded already: give one of both")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise InputError(f"a model's name is letters, digits, '.', '_' and '-', at most 64, got {self.name!r}")

    @classmethod
    def parse(cls, text: str, then: Path | None = None) -> ModelSource:
        """``FILE`` or ``NAME=FILE``. A file that has an equals sign in its name, and is there, is a file.

        >>> ModelSource.parse("shelf=new/shelf-7.edge").name
        'shelf'
        """
        name, separator, rest = text.partition("=")
        if not separator or Path(text).exists():
            return cls(Path(text), then)
        return cls(Path(rest), then, name=name)


@dataclass(frozen=True)
class Reloaded:
    """What became of the models of one name when their files were looked at again. ``before``, ``after``: versions. ``words``: for people."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    words: str

    @property
    def changed(self) -> bool:
        """Whether another model answers now."""
        return self.before != self.after

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "versions": list(self.after),
            "before": list(self.before),
            "changed": self.changed,
            "words": self.words,
        }


class ServedModels:
    """Models by name, each with its versions, the newest last. Thread-safe.

    A name that several sources have is one model with several versions; the last of them answers where none is asked for.
    """

    def __init__(self, sources: Sequence[ModelSource], shared: Shared) -> None:
        if not sources:
            raise InputError("expected at least one model to serve, got none")
        self._shared = shared
        self._pid = os.getpid()
        self._sources: dict[str, list[ModelSource]] = {}
        self._versions: dict[str, tuple[ServedVersion, ...]] = {}
        self._reloading = threading.Lock()
        self._closed = False
        self._watchers: list[Callable[[Reloaded], None]] = []
        self._why_not: list[Callable[[str, ServedVersion], str]] = []
        try:
            for source in sources:
                self._add(source)
        except BaseException:
            self.close(0.0)
            raise

    def _add(self, source: ModelSource) -> None:
        version = self._open(source, source.name)
        others = self._versions.get(version.name, ())
        if any(other.version == version.version for other in others):
            version.close()
            raise InputError(
                f"the model '{version.name}' is given twice with the same bundle; leave one out, or name them: NAME=FILE"
            )
        self._sources.setdefault(version.name, []).append(source)
        self._versions[version.name] = (*others, version)

    def _open(self, source: ModelSource, name: str | None) -> ServedVersion:
        if source.model is not None:
            return ServedVersion(name or _name_of(source.model), source.model, self._shared, owned=False)
        load = loader(source.path, source.then, self._shared.options)
        if name is not None:
            return load_version(name, load, self._shared)
        model = load()
        return load_version(_name_of(model), lambda: model, self._shared)

    # ---- asking ----

    @property
    def names(self) -> tuple[str, ...]:
        """Of all models, in the order they were given."""
        return tuple(self._versions)

    def versions(self, name: str) -> tuple[ServedVersion, ...]:
        """All of one model, the one that answers where none is asked for last. Raises RefusedError."""
        if os.getpid() != self._pid:
            raise RefusedError(
                503,
                "the service was made before this process was forked, and its threads are not here; make it in the worker",
            )
        found = self._versions.get(name)
        if found is None:
            raise RefusedError(404, f"there is no model {name!r}; there are {', '.join(self.names)}")
        return found

    def get(self, name: str | None = None, version: str | None = None) -> ServedVersion:
        """The model that answers. ``name`` None: the first. Raises RefusedError where it is not there."""
        found = self.versions(self.names[0] if name is None else name)
        if not version:
            return found[-1]
        named = next((one for one in found if one.version == version), None)
        if named is None:
            there = ", ".join(one.version for one in found)
            raise RefusedError(404, f"there is no version {version!r} of model {found[0].name!r}; there are {there}")
        return named

    @property
    def is_ready(self) -> bool:
        """Whether every model answers."""
        return os.getpid() == self._pid and all(versions[-1].is_ready for versions in self._versions.values())

    # ---- replacing ----

    def watch(self, call: Callable[[Reloaded], None]) -> None:
        """Have ``call`` called, by the thread that reloads, whenever another model answers."""
        self._watchers.append(call)

    def refuse_others(self, why_not: Callable[[str, ServedVersion], str]) -> None:
        """Have ``why_not`` say, of a name and what is to take its place, why it cannot; an empty text where it can."""
        self._why_not.append(why_not)

    def reload(self, name: str) -> Reloaded:
        """Look at the files of a model again, and take up what is another bundle now: loaded, its golden frames run, and warm before it takes
        over; the one before it answers what it has, and is closed. Waits for the new one.

        Raises RefusedError: 404 for another name; 409 for a bundle that is refused, and then nothing has changed; 503 while another is being
        loaded.
        """
        self.versions(name)
        if not self._reloading.acquire(blocking=False):
            raise RefusedError(503, "a model is being loaded already; try again", retry_after_s=_LOADING_S)
        try:
            before = self._versions[name]
            after = self._all_again(name, before)
            if self._closed:
                _close_new(before, after)
                raise RefusedError(503, "the service is stopping; try again", retry_after_s=_LOADING_S)
            self._versions[name] = tuple(after)
        finally:
            self._reloading.release()
        told = _told(name, before, after)
        gone = [old for old in before if old not in after]
        for old in gone:
            threading.Thread(target=old.retire, args=(_RETIRE_S,), name="edgevision-retire", daemon=True).start()
        if told.changed:
            for call in self._watchers:
                call(told)
        return told

    def _all_again(self, name: str, before: Sequence[ServedVersion]) -> list[ServedVersion]:
        """What is at the sources of a model now. Raises RefusedError; then nothing new is left open."""
        after: list[ServedVersion] = []
        try:
            for old, source in zip(before, self._sources[name], strict=True):
                after.append(self._again(old, source))
        except EdgeVisionError as error:
            _close_new(before, after)
            words = f"model '{name}' stays as it is: {_without_paths(str(error), self._sources[name])}"
            raise RefusedError(409, words) from error
        return after

    def _again(self, old: ServedVersion, source: ModelSource) -> ServedVersion:
        """What is at the source now: the same, or another that fits in its place. Raises EdgeVisionError."""
        if source.model is not None or _ids_at(source) == old.id:
            return old
        new = load_version(old.name, loader(source.path, source.then, self._shared.options), self._shared)
        reasons = [misfit(old.batched.served, new.batched.served, keep_labels=False)]
        reasons += [why_not(old.name, new) for why_not in self._why_not]
        reason = next((one for one in reasons if one), "")
        if reason:
            new.close()
            raise InputError(reason)
        return new

    # ---- the end ----

    def close(self, timeout_s: float) -> bool:
        """Close all of them. False where a model hangs."""
        if os.getpid() != self._pid:
            return True
        self._closed = True
        alone = self._reloading.acquire(timeout=timeout_s)
        try:
            ended = [one.close(timeout_s) for versions in self._versions.values() for one in versions]
        finally:
            if alone:
                self._reloading.release()
        return alone and all(ended)


def _close_new(before: Sequence[ServedVersion], after: Sequence[ServedVersion]) -> None:
    for new in after:
        if new not in before:
            new.close()


def _told(name: str, before: Sequence[ServedVersion], after: Sequence[ServedVersion]) -> Reloaded:
    old, new = tuple(one.version for one in before), tuple(one.version for one in after)
    words = (
        f"model '{name}' is as it was"
        if old == new
        else f"model '{name}' is {', '.join(new)} now, and was {', '.join(old)}"
    )
    return Reloaded(name, old, new, words)


def _ids_at(source: ModelSource) -> str:
    """The ``ServedVersion.id`` of what is there now."""
    from edgevision.bundle.reader import open_bundle

    ids = []
    for path in (source.path, source.then):
        if path is not None:
            bundle = open_bundle(str(path))
            try:
                ids.append(bundle.id)
            finally:
                bundle.close()
    return "-".join(ids)


def _name_of(model: Model | Cascade) -> str:
    """A name for URLs, of what the bundle says."""
    from edgevision.model import Model

    first = model if isinstance(model, Model) else model.recogniser
    name = _OTHERS.sub("-", first.manifest.name).strip("-._")[:64]
    return name or "model"


def _without_paths(message: str, sources: Sequence[ModelSource]) -> str:
    """What a message says, without the folders: clients need not know them."""
    for source in sources:
        for path in (source.path, source.then):
            if path is not None:
                for spelled in (str(path.resolve()), str(path)):
                    message = message.replace(spelled, path.name)
    return message
