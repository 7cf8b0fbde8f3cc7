"""Messages to a web server: signed HTTP POSTs, repeated until it has them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import math
import re
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit

from edgevision.errors import InputError, SinkError
from edgevision.streams.sink_status import Health
from edgevision.streams.sinks.base import Item
from edgevision.streams.sinks.courier import Courier, Outcome, Parcel, RefusedError, SpoolOptions, UndeliveredError
from edgevision.streams.sinks.messages import MessageMaker
from edgevision.streams.sinks.tls import tls_context

SIGNATURE = "X-EdgeVision-Signature"
BATCH = 100  # messages in one request
TIMEOUT_S = 10.0
TOLERANCE_S = 300.0  # how old a request may be when its signature is looked at
_MOST_BYTES = 1 << 16  # of an answer
_MOST_REDIRECTS = 3

# The server understood, and will not take this content whatever happens. Of any other refusal it may be cured by somebody:
# a wrong path, an expired token.
_BAD_CONTENT = frozenset({400, 413, 415, 422})
_LATER = frozenset({408, 425, 429})
_FAILED = 500  # a mistake in the server, which one of the messages may bring about


@dataclass(frozen=True)
class WebhookOptions:
    """Where to post. ``url``: http or https, without user and password; ``user`` and ``password``: for basic authentication.

    ``secret``: signs each request, see ``verify``. ``ca_file``: certificates besides the system's. ``timeout_s``: for each step of
    a request. ``name``: see ``label``.
    """

    url: str = field(repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    timeout_s: float = TIMEOUT_S
    name: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if re.fullmatch(r"[!-~]*", self.url) is None:
            raise InputError("a webhook's url is written in ASCII without spaces; write other characters as %XX")
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise InputError("a webhook's url is http://HOST/PATH or https://HOST/PATH, with user and password apart")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise InputError(f"webhook: timeout_s is a finite number over 0, got {self.timeout_s}")
        if self.ca_file is not None and parts.scheme != "https":
            raise InputError("webhook: ca_file is for TLS; write https:// instead of http://")

    @property
    def label(self) -> str:
        """What messages, metrics and the spool call it: ``name``, or scheme and host, with a check sum of the rest: whoever knows the
        path of a webhook may post to it, as to Slack's.

        >>> WebhookOptions("https://hooks.example/services/T0/B0/secret").label
        'https://hooks.example/#301c88ba'
        """
        if self.name is not None:
            return self.name
        parts = urlsplit(self.url)
        host = f"{parts.scheme}://{parts.netloc}/"
        rest = f"{parts.path}?{parts.query}"
        return host if rest in ("?", "/?") else f"{host}#{hashlib.sha256(rest.encode()).hexdigest()[:8]}"


class WebhookSink:
    """Posts items as a JSON array of messages, up to 100 in a request, in their order.

    What the server does not take waits on disk and is sent again, marked ``late``. A message that it calls bad (400, 413, 415, 422)
    is put aside and counted, see ``Spool``, and so is one at which the server fails (500) or breaks off while it takes others. Every
    other refusal may be cured by somebody, so the messages wait until they are too old. Redirects are followed on the same host
    alone, with the same method (307, 308).
    """

    wants_frames = False

    def __init__(self, options: WebhookOptions, spool: SpoolOptions) -> None:
        tls_context(options.ca_file)  # a file that is wrong is told now, not when the server is called
        self.name = options.label
        self.courier = Courier(self.name, _Server(options), spool)
        self._messages = MessageMaker()

    def open(self) -> None:
        """Open the spool, and begin to post what is in it."""
        self.courier.open()

    def write(self, item: Item) -> None:
        """Keep the item until the server has taken it."""
        self.courier.send(self._messages.message(item))

    def close(self, timeout_s: float) -> None:
        """Post what can be posted in time; the rest stays on disk."""
        self.courier.close(timeout_s)

    def health(self) -> Health:
        """How the server is, and what waits for it."""
        return self.courier.health()


def sign(secret: str, body: bytes, at_s: int) -> str:
    """The value of the signature's header: HMAC-SHA256 (RFC 2104) of the time, a dot and the body.

    >>> sign("secret", b"[]", 1_700_000_000)
    't=1700000000,v1=74f76d8933679a54d6be8c7560a5233b124658241ca5a3b0f09af80d3ea60d78'
    """
    code = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={code}"


def verify(secret: str, body: bytes, header: str, *, now_s: float, tolerance_s: float = TOLERANCE_S) -> bool:
    """For the receiver: whether ``header`` signs ``body``, and did so at most ``tolerance_s`` seconds ago.

    >>> verify("secret", b"[]", sign("secret", b"[]", 1_700_000_000), now_s=1_700_000_010)
    True
    """
    found = re.fullmatch(r"t=(\d{1,12}),v1=[0-9a-f]{64}", header)
    if found is None or abs(now_s - int(found[1])) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, body, int(found[1])), header)


class _Server:
    """The carrier of a ``Courier``."""

    def __init__(self, options: WebhookOptions) -> None:
        self._options = options
        self._url = urlsplit(options.url)
        self._connection: http.client.HTTPConnection | None = None
        self._batch = BATCH
        self._woken = threading.Event()

    def connect(self) -> None:
        """Connections are made when there is something to send: servers close idle ones."""

    def idle(self, timeout_s: float) -> None:
        self._woken.wait(timeout_s)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def deliver(self, parcels: Sequence[Parcel]) -> Iterator[Outcome]:
        """One request after the other. Where the server calls one bad, it is sent in halves, until the bad message is found."""
        waiting = list(parcels)
        while waiting:
            batch = waiting[: self._batch]
            status = self._post(b"[" + b",\n".join(parcel.body for parcel in batch) + b"]")
            if status in _BAD_CONTENT and len(batch) > 1:
                self._batch = len(batch) // 2
                continue
            del waiting[: len(batch)]
            self._batch = min(2 * self._batch, BATCH)
            for parcel in batch:
                yield Outcome(parcel.number, status not in _BAD_CONTENT, f"the server answers {_words_of(status)}")

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)  # both directions: a read that blocks ends

    def _post(self, body: bytes) -> int:
        """The status of the answer: one of 2xx, or of ``_BAD_CONTENT``. Raises SinkError for any other."""
        url = self._url
        for _ in range(_MOST_REDIRECTS + 1):
            status, headers = self._request(url, body)
            if status // 100 == 2 or status in _BAD_CONTENT:
                return status
            if status not in (307, 308):
                raise self._refusal(status, headers)
            url = self._redirected(url, headers.get("Location", ""))
        raise RefusedError(f"{self._place}: more than {_MOST_REDIRECTS} redirects; give the url that they lead to")

    def _request(self, url: SplitResult, body: bytes) -> tuple[int, http.client.HTTPMessage]:
        """Send it, over the open connection if there is one that still works. Raises SinkError where the server cannot be reached,
        UndeliveredError where it breaks off."""
        if self._connection is not None:
            try:
                return self._exchange(self._connection, url, body)
            except ConnectionError:  # the server closed it meanwhile, as servers do with idle ones
                self.disconnect()
            except (OSError, http.client.HTTPException) as error:
                raise self._broken(error) from error
        connection = self._connected()
        try:
            return self._exchange(connection, url, body)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> UndeliveredError:
        self.disconnect()
        return UndeliveredError(f"{self._place}: {str(error) or type(error).__name__}")

    def _exchange(
        self, connection: http.client.HTTPConnection, url: SplitResult, body: bytes
    ) -> tuple[int, http.client.HTTPMessage]:
        target = url.path or "/"
        connection.request("POST", f"{target}?{url.query}" if url.query else target, body, self._headers(body))
        answer = connection.getresponse()
        rest = answer.read(_MOST_BYTES + 1)
        if len(rest) > _MOST_BYTES or answer.will_close:
            self.disconnect()
        return answer.status, answer.headers

    def _connected(self) -> http.client.HTTPConnection:
        """A new connection, which is also kept. Raises SinkError."""
        connection = self._connection = self._made()
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            self.disconnect()
            raise RefusedError(
                f"{self._place}: its certificate cannot be verified ({error.verify_message}); give the CA's with ca_file"
            ) from error
        except OSError as error:
            self.disconnect()
            raise SinkError(f"{self._place}: cannot connect ({str(error) or type(error).__name__})") from error
        return connection

    def _made(self) -> http.client.HTTPConnection:
        host, port, timeout_s = self._url.hostname, self._url.port, self._options.timeout_s
        assert host is not None  # the options see to that
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls_context(self._options.ca_file))

    def _headers(self, body: bytes) -> dict[str, str]:
        options = self._options
        headers = {"Content-Type": "application/json", "User-Agent": "edgevision"}
        if options.user is not None:
            login = f"{options.user}:{options.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        if options.secret is not None:
            headers[SIGNATURE] = sign(options.secret, body, int(time.time()))
        return headers

    def _redirected(self, url: SplitResult, location: str) -> SplitResult:
        target = urlsplit(urljoin(url.geturl(), location))
        if not location or (target.scheme, target.netloc) != (self._url.scheme, self._url.netloc):
            raise RefusedError(
                f"{self._place} redirects to {target.scheme}://{target.hostname}; results go to the given host alone: change the url"
            )
        return target

    def _refusal(self, status: int, headers: http.client.HTTPMessage) -> SinkError:
        words = f"{self._place}: the server answers {_words_of(status)}"
        if status == _FAILED:
            return UndeliveredError(words)
        if status // 100 == 5 or status in _LATER:
            return SinkError(words)
        return RefusedError(f"{words}; check the url and its credentials")

    @property
    def _place(self) -> str:
        return self._options.label


def _words_of(status: int) -> str:
    return f"{status} {http.client.responses.get(status, '')}".rstrip()
