"""The TLS context for the next connection: made anew when the files changed, or when our own certificate nears its end."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from edgevision.errors import EdgeVisionError
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tls import Certificate, certificate_of, make_context

LOOK_S = 3600.0  # how often
_log = logging.getLogger("edgevision.kiosk.access")


class FreshContext:
    """A service runs for years, a certificate does not. Files that were replaced (by an ACME client, say) are taken up within an hour."""

    def __init__(
        self, settings: AccessSettings, certificate: Certificate, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._certificate = certificate
        self._context = make_context(certificate.certificate, certificate.key)
        self._now_s = now_s
        self._looked_s = now_s()

    def context(self) -> ssl.SSLContext:
        """For one connection. Where the new files cannot be used, the old certificate goes on, and the log says so."""
        if self._now_s() - self._looked_s < LOOK_S:
            return self._context
        self._looked_s = self._now_s()
        try:
            certificate = certificate_of(self._settings, self._folder())
            if certificate is not None and certificate.fingerprint != self._certificate.fingerprint:
                self._context = make_context(certificate.certificate, certificate.key)
                self._certificate = certificate
                _log.warning("a new certificate is shown from now on; SHA-256 %s", certificate.fingerprint)
        except EdgeVisionError as error:
            _log.error("the certificate stays the old one: %s", error)
        return self._context

    def _folder(self) -> Path | None:
        return self._certificate.certificate.parent if self._certificate.own else None
