"""How the other side's certificate is verified."""

from __future__ import annotations

import ssl

from edgevision.errors import InputError


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Verifies certificates and host names, against the system's authorities and those in ``ca_file``. Raises InputError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(f"cannot read certificates from {ca_file}: {error}; it is a PEM file") from error
    return context
