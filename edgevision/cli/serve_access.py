"""The options of ``edgevision serve`` about who may reach it."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli.extras import OptionAdder
from edgevision.cli.serve_urls import is_every_address
from edgevision.errors import InputError
from edgevision.kiosk.service.access.settings import AccessSettings

if TYPE_CHECKING:
    from edgevision.kiosk.service.access.tls import Certificate


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """Add them to the parser of ``serve``."""
    group = parser.add_argument_group("who may reach it")
    parser.set_defaults(
        takes_default_tokens=True
    )  # the demo does not: it is for this machine, whatever devices have tokens
    add = OptionAdder(group, AccessSettings)
    add(
        "--host",
        "host",
        "the address to listen at (default {default}: this machine alone); others need tokens and TLS",
        metavar="ADDRESS",
    )
    add(
        "--tokens",
        "tokens",
        "the file of tokens (default: the one that edgevision token made, if it did)",
        type=Path,
        metavar="FILE",
    )
    add("--tls", "tls", "HTTPS with a certificate that is made here; its fingerprint is printed")
    add("--certificate", "certificate", "HTTPS with this certificate (PEM)", type=Path, metavar="FILE")
    add("--key", "key", "the key of --certificate (PEM, mode 600)", type=Path, metavar="FILE")
    add(
        "--insecure",
        "insecure",
        "listen at other addresses without tokens or TLS: anybody there can use the service, or read along",
    )
    repeated: dict[str, Any] = {"action": "append", "default": []}
    group.add_argument("--host-name", dest="host_names", metavar="NAME", **repeated,
                       help="a further name or address that clients reach the service by; repeat for more")  # fmt: skip
    group.add_argument("--allow-origin", dest="allow_origins", metavar="ORIGIN", **repeated,
                       help="a web page of another server that may call this one, such as https://shop.example; repeat for more")  # fmt: skip
    group.add_argument("--allow-frame", dest="allow_frames", metavar="ORIGIN", **repeated,
                       help="a web page of another server that may show this one's page inside it; repeat for more")  # fmt: skip


def access_of(arguments: argparse.Namespace) -> AccessSettings:
    """The settings that the options say. Raises InputError, with the cure, where the address may not be listened at."""
    from edgevision.kiosk.service.access.addresses import check_address
    from edgevision.kiosk.service.access.places import default_tokens

    if not arguments.host.strip():
        raise InputError(
            "--host is an address to listen at, such as 127.0.0.1, got an empty text; leave it out for this machine alone"
        )
    tokens: Path | None = arguments.tokens
    if tokens is None and arguments.takes_default_tokens:
        with contextlib.suppress(InputError):  # a user without a home folder keeps none there
            tokens = default_tokens() if default_tokens().exists() else None
    settings = AccessSettings(
        host=arguments.host, tokens=tokens, tls=arguments.tls, certificate=arguments.certificate, key=arguments.key,
        insecure=arguments.insecure, host_names=tuple(arguments.host_names), allow_origins=tuple(arguments.allow_origins),
        allow_frames=tuple(arguments.allow_frames),
    )  # fmt: skip
    check_address(settings)
    return settings


def access_words(settings: AccessSettings, certificate: Certificate | None) -> list[str]:
    """What a person has to know when the service starts: who may reach it, and by what it is known."""
    from edgevision.kiosk.service.access.addresses import is_this_machine

    words = []
    if certificate is not None:
        words.append(f"certificate: SHA-256 {certificate.fingerprint}")
        if certificate.own:
            words.append("it is made here: compare this fingerprint on each device, once, before you trust it")
        if certificate.new:
            words.append("it is new: devices that trusted another one have to be told")
    if settings.tokens is not None:
        words.append(f"tokens: {settings.tokens}")
    elif is_this_machine(settings.host):
        words.append("every program of this machine may use it; edgevision token add NAME makes tokens")
    if is_every_address(settings.host) and not settings.host_names:
        words.append("it answers to this machine's addresses alone; to be reached by a name it needs --host-name NAME")
    if settings.insecure and not is_this_machine(settings.host):
        lacks = [
            what for what, there in (("tokens", settings.tokens is not None), ("TLS", settings.uses_tls)) if not there
        ]
        if lacks:
            words.append(
                f"INSECURE: without {' and '.join(lacks)}, whoever reaches {settings.host} can use it, or read along"
            )
    return words
