"""What engines throw becomes EngineError, and an engine that hangs over a graph is not waited for without end."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import TypeVar

from edgevision.closing import Visit, Visits
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.fork import after_fork_in_child, wait_before_fork

T = TypeVar("T")

# The packages that define what engines raise; pybind11 makes Python's own classes of most.
_WHERE_ENGINES_TAKE_EXCEPTIONS = {
    "builtins", "numpy", "edgevision", "onnxruntime", "openvino", "tensorrt", "tensorrt_bindings", "tensorrt_lean", "tensorrt_rtx",
    "json", "struct", "pycuda", "cuda",
}  # fmt: skip

DEFAULT_LIMIT_S = 120.0
TIMEOUT_VARIABLE = "EDGEVISION_ENGINE_TIMEOUT"  # seconds; 0 = no limit


@contextlib.contextmanager
def engine_errors(say: Callable[[BaseException], EngineError]) -> Iterator[None]:
    """Inside, every exception becomes what ``say`` makes of it, but for EdgeVision's own, KeyboardInterrupt and SystemExit,
    and what a signal handler raises.

    Engines throw whatever pybind11 and their C++ do: RuntimeError, UnicodeDecodeError, MemoryError, TypeError, ….
    """
    try:
        yield
    except EdgeVisionError:
        raise
    except Exception as error:
        if raised_by_handler(error):
            raise
        raise say(error) from error


def raised_by_handler(error: BaseException) -> bool:
    """Whether ``error`` is not the engine's, but was raised while it worked: by a signal handler, or by what stops threads
    from outside (``PyThreadState_SetAsyncExc``).

    So is every class that neither Python nor an engine defines; and of Python's own, what comes out of a handler that is
    set now.
    """
    if type(error).__module__.partition(".")[0] not in _WHERE_ENGINES_TAKE_EXCEPTIONS:
        return True
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: object) -> CodeType | None:
    """The code of a function, method, partial or callable object; None of anything else."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not isinstance(handler, (FunctionType, MethodType)):
        handler = vars(type(handler)).get("__call__")
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None


def time_limit_s() -> float:
    """The time that an engine may take over a graph, in seconds, from ``EDGEVISION_ENGINE_TIMEOUT``; infinity for 0."""
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if not text:
        return DEFAULT_LIMIT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise EngineError(f"{TIMEOUT_VARIABLE} is a number of seconds, 0 for no limit; got {text[:40]!r}")
    return seconds or float("inf")


def run_with_timeout(limit_s: float, engine: str, work: Callable[[], T], done_what: str = "opened the graph") -> T:
    """What ``work`` gives, done in a thread of its own, so that a limit and Ctrl-C end the waiting.

    ``done_what`` says in the message what the engine has not done. Raises EngineError after ``limit_s``. The thread cannot
    be stopped: it goes on in the background, with the cores and the memory that it has, until it is done or the process
    ends; the message says so.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            with no_fork_meanwhile():
                results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=f"edgevision-open-{engine}", daemon=True).start()
    if not done.wait(None if limit_s == float("inf") else limit_s):
        raise EngineError(
            f"{engine} has not {done_what} after {limit_s:g} s and may go on in the background until this process "
            f"ends; use another engine or variant, or set {TIMEOUT_VARIABLE} to more seconds"
        )
    if errors:
        raise errors[0]
    return results[0]


# ---- fork ----

_FORK_WAIT_S = 30.0
_holding_locks = Visits()


@contextlib.contextmanager
def no_fork_meanwhile() -> Iterator[None]:
    """Inside, an engine opens, prepares or frees something. It holds locks of its own meanwhile, which a child would
    inherit locked: so other threads' forks wait, up to half a minute.
    """
    visit = Visit()
    try:
        _holding_locks.enter(visit)
        yield
    finally:
        _holding_locks.leave(visit)


wait_before_fork(lambda: _holding_locks.wait(_FORK_WAIT_S))
after_fork_in_child(_holding_locks.forget)
