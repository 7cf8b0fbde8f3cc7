"""Signals that end or change a program."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from edgevision.cli.signals import signals_caught

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize(
    ("number", "stop", "reload"),
    [(signal.SIGINT, True, False), (signal.SIGTERM, True, False), (getattr(signal, "SIGHUP", 1), False, True)],
)
def test_a_signal_is_noted_and_the_handlers_of_before_come_back(number, stop, reload):
    before = handlers()
    with signals_caught() as signals:
        signal.raise_signal(number)
        assert (signals.stop.is_set(), signals.reload.is_set()) == (stop, reload)
    assert handlers() == before


def test_a_second_ctrl_c_interrupts():
    with signals_caught():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_in_another_thread_no_handler_is_set():
    before, seen = handlers(), []

    def work() -> None:
        with signals_caught():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
