"""What uvicorn is given, so that connections too are bounded: in number, size and time."""

from __future__ import annotations

import logging
from typing import Any

from edgevision.errors import MissingExtraError
from edgevision.kiosk.service.access.addresses import check_address
from edgevision.kiosk.service.access.log_lines import LineFormatter
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tls import Certificate, certificate_of


def server_options(settings: AccessSettings, certificate: Certificate | None = None) -> dict[str, Any]:
    """Arguments for ``uvicorn.Config``, besides the app, the port, and how to log.

    ``certificate``: what ``certificate_of`` gave, where it was asked already, to tell its fingerprint. TLS is agreed by our own protocol,
    within a bound of time that uvicorn does not have: so no argument of uvicorn's names the files.

    Raises InputError and DeviceError as ``check_address`` and ``certificate_of`` do, MissingExtraError without the extra [serve].

    >>> uvicorn.Config(guarded(app, settings), port=8000, **server_options(settings))
    """
    check_address(settings)
    for package in ("uvicorn", "h11", "wsproto"):
        _need(package)
    from edgevision.kiosk.service.access.tls_contexts import FreshContext
    from edgevision.kiosk.service.access.uvicorn_front import front_protocol

    certificate = certificate or certificate_of(settings)
    context = None
    if certificate is not None:
        context = FreshContext(settings, certificate)
    limits = settings.limits
    return {
        "host": settings.host,
        "http": front_protocol(limits, context),
        "ws": "wsproto",
        "loop": "asyncio",
        "workers": 1,  # connections and wrong tokens are counted in one process
        "interface": "asgi3",
        "h11_max_incomplete_event_size": limits.header_bytes,
        "timeout_keep_alive": limits.keep_alive_s,
        "ws_max_size": limits.message_bytes,
        "ws_per_message_deflate": False,  # JPEGs do not get smaller, and what unpacks can burst
        "proxy_headers": False,  # else anybody on this machine writes whose address a request comes from
        "server_header": False,
    }


def log_options(level: int = logging.INFO) -> dict[str, Any]:
    """For ``logging.config.dictConfig``, or uvicorn's ``log_config``: one line of JSON for each record on stderr, as ``edgevision serve``
    writes them."""
    handler = {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    names = ("edgevision.kiosk", "uvicorn", "uvicorn.error")
    quiet = {"uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False}}
    loud = {name: {"handlers": ["stderr"], "level": level, "propagate": False} for name in names}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "handlers": {"stderr": handler},
        "loggers": {**loud, **quiet},
        "root": {"handlers": ["stderr"], "level": logging.WARNING},  # asyncio's, say
    }


def _need(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingExtraError(package, "serve", "edgevision serve")
