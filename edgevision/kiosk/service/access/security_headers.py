"""What every answer tells the browser: take nothing from elsewhere, be shown in no foreign page, keep no copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgevision.kiosk.service.access.settings import AccessSettings

Headers = list[tuple[bytes, bytes]]


_POLICY = (
    "default-src 'self'",
    "img-src 'self' data: blob:",  # pictures of products come inside events
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
)
_OF_ANY_ANSWER = ("media-src 'self' blob:", "form-action 'self'")  # also of pages of an app of your own
# Of our page: strings never become HTML, so that a product's name cannot carry a script.
_OF_OUR_PAGE = ("form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'")
_TOLD = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NO_FOREIGN_READER = {"Cross-Origin-Resource-Policy": "same-origin"}


def security_headers(settings: AccessSettings) -> Headers:
    """The headers that an answer gets unless it has them already."""
    told = {
        "Content-Security-Policy": _policy(_OF_ANY_ANSWER, settings.allow_frames),
        **_TOLD,
        "Cache-Control": "no-store",
    }
    if not settings.allow_origins:
        told |= _NO_FOREIGN_READER
    if not settings.allow_frames:
        told["X-Frame-Options"] = "DENY"
    return [(name.lower().encode(), value.encode()) for name, value in told.items()]


def page_headers(allow_frames: Sequence[str] = ()) -> dict[str, str]:
    """Those of our own page and its files, which may be served without ``guarded``: stricter, for nothing of it needs more."""
    return {"Content-Security-Policy": _policy(_OF_OUR_PAGE, allow_frames), **_TOLD, **_NO_FOREIGN_READER}


def _policy(more: Sequence[str], allow_frames: Sequence[str]) -> str:
    frames = " ".join(allow_frames) or "'none'"
    return "; ".join((*_POLICY, *more, f"frame-ancestors {frames}"))


def completed(own: Iterable[tuple[bytes, bytes]], defaults: Headers) -> Headers:
    """An answer's own headers, without the server's name, and of ``defaults`` those that it lacks."""
    kept = [(name, value) for name, value in own if name.lower() != b"server"]
    there = {name.lower() for name, _ in kept}
    return kept + [(name, value) for name, value in defaults if name not in there]
