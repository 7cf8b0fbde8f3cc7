"""Certificates: one that is given, or one that is made here, kept, and made anew in time.

Nobody vouches for a certificate of our own making. Its fingerprint is what a person compares, once on each device: whoever shows another
one is somebody else. It is made with the program ``openssl``, which Linux has (images of Docker too, by way of ca-certificates), so that the
service needs no further compiled package.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edgevision.errors import DeviceError, InputError
from edgevision.files import atomic_write
from edgevision.kiosk.service.access.addresses import ip_of
from edgevision.kiosk.service.access.hosts import own_names
from edgevision.kiosk.service.access.places import config_folder, make_private_folder, write_private
from edgevision.kiosk.service.access.settings import AccessSettings

VALID_DAYS = 730  # Apple's systems accept no certificate of more than 825, also one that their user trusts
RENEW_DAYS = 60  # before its end a new one is made
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_ADDRESS = re.compile(r"(?:DNS|IP Address):([^,\s]+)")
_TIMEOUT_S = 30.0
_CONFIG = """\
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = EdgeVision kiosk
[extensions]
subjectAltName = {places}
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True)
class Certificate:
    """``certificate`` and ``key``: PEM files, perhaps one. ``fingerprint``: the SHA-256 of the certificate, as browsers show it.
    ``own``: made here; ``new``: just now, so that devices that trusted the one before have to be told."""

    certificate: Path
    key: Path
    fingerprint: str
    own: bool
    new: bool = False


def certificate_of(settings: AccessSettings, folder: Path | None = None) -> Certificate | None:
    """The certificate that the service shows; None where it speaks HTTP. ``folder``: where one of our own is kept.

    Raises InputError for files that cannot be used or a key that others may read, DeviceError where openssl is missing.
    """
    if settings.certificate is not None and settings.key is not None:
        return _given(settings.certificate, settings.key)
    if not settings.tls:
        return None
    return own_certificate(own_names(settings.host, settings.host_names), folder or config_folder() / "tls")


def fingerprint(pem: str) -> str:
    """The SHA-256 of the first certificate of a PEM text, such as ``AB:CD:…``. Raises ValueError where there is none."""
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate")
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2))


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For a server: TLS 1.2 or newer. Raises InputError where certificate and key do not go together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(
            certificate, key, password=lambda: b""
        )  # else openssl would ask for one at the terminal
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot use the certificate {certificate} with the key {key}: {reason}; give PEM files that belong together, the key without a password"
        ) from error
    return context


# ---- given ----


def _given(certificate: Path, key: Path) -> Certificate:
    try:
        check_key_file(key)
        text = certificate.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InputError(
            f"cannot read {error.filename}: {error.strerror or error}; check --certificate and --key"
        ) from error
    try:
        shown = fingerprint(text)
    except ValueError:
        raise InputError(f"{certificate} holds no certificate in PEM; convert it, or give another file") from None
    make_context(certificate, key)
    return Certificate(certificate, key, shown, own=False)


def check_key_file(key: Path) -> None:
    """Raise InputError where other users may read or change the key, OSError where it is not there."""
    status = key.stat()
    if os.name == "posix" and status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise InputError(f"other users may read or change the key {key}; close it with: chmod 600 {key}")


# ---- our own ----


def own_certificate(names: Collection[str], folder: Path) -> Certificate:
    """The one in ``folder``, where it is for all ``names`` (and addresses) and still holds for RENEW_DAYS; else a new one.

    ``server.pem`` (mode 600) holds certificate and key, so that both change in one step; ``certificate.pem`` the certificate alone, for
    devices that are to trust it.
    """
    both = folder / "server.pem"
    make_private_folder(folder)
    new = not _still_good(both, names)
    if new:
        made = _made(names)
        write_private(both, made.encode("ascii"))
        atomic_write(folder / "certificate.pem", "\n".join([*_PEM.findall(made), ""]).encode("ascii"))
    check_key_file(both)
    make_context(both, both)
    return Certificate(both, both, fingerprint(both.read_text(encoding="ascii")), own=True, new=new)


def _still_good(both: Path, names: Collection[str]) -> bool:
    if not both.exists():
        return False
    told = _openssl(["x509", "-in", str(both), "-noout", "-enddate", "-ext", "subjectAltName"], may_fail=True)
    end = re.search(r"notAfter=(.+)", told)
    if end is None:
        return False
    with contextlib.suppress(ValueError):
        left_s = ssl.cert_time_to_seconds(end[1].strip()) - datetime.now(timezone.utc).timestamp()
        covered = {str(ip_of(name) or name.lower()) for name in _ADDRESS.findall(told)}
        return left_s > RENEW_DAYS * 86400 and set(names) <= covered
    return False


def _made(names: Collection[str]) -> str:
    """A certificate and its key, as PEM. It is no authority: who trusts it trusts this service, and nothing that its key could sign."""
    places = ",".join(f"{'DNS' if ip_of(name) is None else 'IP'}:{name}" for name in sorted(names))
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:  # mode 700
        key, certificate, config = (Path(folder) / name for name in ("key.pem", "certificate.pem", "openssl.cnf"))
        config.write_text(_CONFIG.format(places=places), encoding="ascii")
        _openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", str(VALID_DAYS),
            "-keyout", str(key), "-out", str(certificate), "-config", str(config),
        ])  # fmt: skip
        return certificate.read_text(encoding="ascii") + key.read_text(encoding="ascii")


def _openssl(arguments: Sequence[str], *, may_fail: bool = False) -> str:
    program = shutil.which("openssl")
    if program is None:
        raise DeviceError(
            "a certificate of its own needs the program openssl, which is not installed; install it, or give --certificate and --key"
        )
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0 and not may_fail:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise DeviceError(
            f"openssl made no certificate: {lines[-1]}; upgrade it to 1.1.1 or newer, or give --certificate and --key"
        )
    return done.stdout
