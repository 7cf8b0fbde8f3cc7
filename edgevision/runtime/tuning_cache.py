"""What ``tune`` measured on this machine, remembered.

One small JSON file for each machine and bundle, named by the hash of its key: CPU model and features, number of usable
cores, GPU and driver, engine versions, bundle id. Anything that changes there asks for a new measurement.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle.reader import Bundle
from edgevision.engines import available_engines
from edgevision.errors import CacheWarning, EdgeVisionError
from edgevision.files import atomic_write, cache_folder, read_regular
from edgevision.machine import describe_machine
from edgevision.runtime.opening import describe_gpu

_MAX_CACHE_BYTES = 1 << 20


@dataclass(frozen=True)
class Choice:
    """What the cache says: variants quickest first, measured with ``threads``, and their median engine latencies."""

    variants: tuple[str, ...]
    threads: int
    p50_ms: Mapping[str, float]


def read_choice(bundle: Bundle) -> Choice | None:
    """What ``tune`` remembered for this machine and this bundle, or None. Never raises: a bad cache is no cache."""
    path = choice_file(bundle)
    try:
        data = json.loads(read_regular(path, _MAX_CACHE_BYTES))
        variants, threads, p50_ms = data["variants"], data["threads"], data.get("p50_ms")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        warnings.warn(f"the tuning cache {path} cannot be read; run: edgevision tune", CacheWarning, stacklevel=3)
        return None
    known = {variant.id for variant in bundle.manifest.variants}
    if not isinstance(variants, list) or not isinstance(threads, int) or not 1 <= threads <= 4096:
        return None
    kept = tuple(name for name in variants if isinstance(name, str) and name in known)
    times = p50_ms if isinstance(p50_ms, dict) else {}
    return Choice(kept, threads, {n: ms for n, ms in times.items() if isinstance(ms, float)}) if kept else None


def write_choice(bundle: Bundle, choice: Choice) -> Path | None:
    """Remember it. Returns the file, or None with a CacheWarning where it cannot be written."""
    path = choice_file(bundle)
    data = {"key": _key(bundle), **asdict(choice)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(data, indent=1).encode())
    except (OSError, EdgeVisionError) as error:
        warnings.warn(
            f"the choice cannot be remembered ({error}); set EDGEVISION_CACHE to a folder that can be written",
            CacheWarning,
            stacklevel=4,
        )
        return None
    return path


def version_of_choice(bundle: Bundle) -> tuple[int, int] | None:
    """Tells one writing of the file from the next; None where there is none."""
    try:
        status = choice_file(bundle).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def choice_file(bundle: Bundle) -> Path:
    """Where the choice for this machine and this bundle is kept."""
    digest = hashlib.sha256(json.dumps(_key(bundle), sort_keys=True).encode()).hexdigest()
    return cache_folder() / "tuning" / f"{digest[:32]}.json"


def _key(bundle: Bundle) -> dict[str, Any]:
    machine = describe_machine()
    return {
        "cpu": machine.cpu,
        "features": sorted(machine.features),
        "cores": machine.cores,
        "engines": available_engines(),
        "gpu": describe_gpu(bundle),
        "bundle": bundle.id,
    }
