"""A log line is one line, and says what it was given."""

from __future__ import annotations

import json
import logging
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from edgevision.kiosk.service.access.log_lines import LineFormatter, Throttle, log_line


def test_every_character_stays_on_the_line_and_can_be_read_back():
    for code in [*range(0x300), 0x2028, 0x2029, 0x202E, 0x200B, 0xFEFF, 0xD800, 0xE000, 0x1F600, 0x10FFFF]:
        text = f"a{chr(code)}b"
        line = log_line(0.0, "log", {"words": text})
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line) == {"at": "1970-01-01T00:00:00.000+00:00", "event": "log", "words": text}


def record(text: str, *values: object) -> logging.LogRecord:
    try:
        raise ValueError("first\nERROR root: forged")
    except ValueError:
        return logging.LogRecord("n", logging.ERROR, "p", 1, text, values, sys.exc_info())


def test_tracebacks_are_on_the_line_too():
    line = LineFormatter().format(record("from %s", "x\r\nERROR root: forged"))
    assert len(line.splitlines()) == 1
    told = json.loads(line)
    assert (told["event"], told["level"], told["logger"]) == ("log", "error", "n")
    assert told["words"] == "from x\r\nERROR root: forged"
    assert told["traceback"].startswith("Traceback")


@pytest.mark.requires("serve")
def test_every_logger_that_clients_can_make_speak_is_throttled():
    """Each of the service's modules that logs, found in the source."""
    from edgevision.kiosk import service

    names = set()
    for path in Path(service.__path__[0]).rglob("*.py"):
        found = re.findall(r'^_log = logging\.getLogger\("([\w.]+)"\)', path.read_text("utf-8"), re.MULTILINE)
        if found:
            import_module(
                "edgevision.kiosk.service." + ".".join(path.relative_to(service.__path__[0]).with_suffix("").parts)
            )
            names.update(found)
    assert {"edgevision.kiosk.access", "edgevision.service"} <= names
    for name in names:
        assert sum(isinstance(one, Throttle) for one in logging.getLogger(name).filters) == 1, name


@pytest.mark.parametrize("most", [1, 3])
def test_floods_are_counted_not_written(most):
    now_s = [0.0]
    throttle = Throttle(most, 60.0, lambda: now_s[0])
    assert sum(throttle.filter(record("from %s", number)) for number in range(50)) == most
    assert throttle.filter(record("another"))
    now_s[0] = 61.0
    after = record("from %s", "x")
    assert throttle.filter(after)
    assert after.getMessage() == f"from x (and {50 - most} like it in the last 61 s)"
    assert len(throttle._counts) == 2
