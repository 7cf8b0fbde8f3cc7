"""The language files: the same keys and the same blanks in each."""

from __future__ import annotations

import json
import re

import pytest

from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.page.routes import FOLDER

LANGUAGES = FOLDER / "languages"
WORDS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(LANGUAGES.glob("??.json"))}
ENGLISH = WORDS["en"]
SOURCES = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.rglob("*")) if path.suffix in (".js", ".html"))


def blanks(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_the_index_lists_every_file():
    listed = json.loads((LANGUAGES / "index.json").read_text("utf-8"))
    assert sorted(one["code"] for one in listed) == sorted(WORDS)
    assert {"de", "en", "es", "zh"} <= set(WORDS)
    assert all(one["name"] for one in listed)


@pytest.mark.parametrize("code", sorted(WORDS))
def test_every_language_has_every_text(code):
    words = WORDS[code]
    assert list(words) == list(ENGLISH)
    assert all(text.strip() for text in words.values())


@pytest.mark.parametrize("code", sorted(WORDS))
def test_the_blanks_are_the_same(code):
    wrong = {key for key, text in WORDS[code].items() if blanks(text) != blanks(ENGLISH[key])}
    assert wrong == set()


@pytest.mark.parametrize("code", sorted(set(WORDS) - {"en"}))
def test_nothing_is_left_in_english(code):
    """But what is the same word."""
    same = {key for key, text in WORDS[code].items() if text == ENGLISH[key]}
    assert same <= {"total"}


def used() -> set[str]:
    """Keys that the page asks for, as they stand in its sources."""
    return set(re.findall(r"""\bt\(\s*"([^"]+)\"""", SOURCES)) | set(
        re.findall(r'data-(?:text|label)="([^"]+)"', SOURCES)
    )


def known(key: str) -> bool:
    return key in ENGLISH or {f"{key}.one", f"{key}.other"} <= set(ENGLISH)


def test_every_text_that_the_page_asks_for_is_there():
    assert len(used()) > 60
    assert {key for key in used() if not known(key)} == set()


def test_every_text_is_asked_for():
    made_up = ("camera.", "blocked.")  # with a kind behind
    others = set(re.findall(r'"([a-z][a-z.-]+)"', SOURCES))  # such as both sides of a choice
    left = {
        key
        for key in ENGLISH
        if not key.startswith(made_up) and re.sub(r"\.(one|other)$", "", key) not in used() | others
    }
    assert left == set()


def test_every_reason_and_every_camera_problem_has_words():
    kinds = re.search(r"export const KINDS = \[([^\]]+)\]", SOURCES)
    assert kinds is not None
    cameras = set(re.findall(r'"([\w-]+)"', kinds[1]))
    assert {f"blocked.{one.value}" for one in BlockedReason} <= set(ENGLISH)
    assert {f"camera.{one}{end}" for one in cameras for end in ("", ".cure")} <= set(ENGLISH)
