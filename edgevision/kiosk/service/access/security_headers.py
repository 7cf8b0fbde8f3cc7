"""What every answer tells the browser: take nothing from elsewhere, be shown in no foreign page, keep no copy."""

from __future__ import annotations

from collections.abc import Iterable

from edgevision.kiosk.service.access.settings import AccessSettings

Headers = list[tuple[bytes, bytes]]


def security_headers(settings: AccessSettings) -> Headers:
    """The headers that an answer gets unless it has them already."""
    frames = " ".join(settings.allow_frames) or "'none'"
    policy = (
        "default-src 'self'",
        "img-src 'self' data: blob:",  # pictures of products come inside events
        "media-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        f"frame-ancestors {frames}",
    )
    told = [
        ("content-security-policy", "; ".join(policy)),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ]
    if not settings.allow_origins:
        told.append(("cross-origin-resource-policy", "same-origin"))
    if not settings.allow_frames:
        told.append(("x-frame-options", "DENY"))
    return [(name.encode(), value.encode()) for name, value in told]


def completed(own: Iterable[tuple[bytes, bytes]], defaults: Headers) -> Headers:
    """An answer's own headers, without the server's name, and of ``defaults`` those that it lacks."""
    kept = [(name, value) for name, value in own if name.lower() != b"server"]
    there = {name.lower() for name, _ in kept}
    return kept + [(name, value) for name, value in defaults if name not in there]
