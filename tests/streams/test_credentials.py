from __future__ import annotations

import copy
import json
import pickle
import traceback
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevision.errors import InputError
from edgevision.streams.credentials import CameraUrl, Secret, hide_login, hide_secrets, read_password
from edgevision.streams.options import CameraOptions
from edgevision.streams.sources.registry import make_source


def test_a_secret_shows_itself_to_nobody_but_who_asks():
    secret = Secret("hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}", f"{secret}"]
    assert "hunter2" not in "".join(shown)
    assert secret.reveal() == "hunter2"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://10.0.0.7/cam", "rtsp://10.0.0.7/cam"),
        ("RTSP://till@host:8554", "rtsp://till@host:8554"),
        ("rtsp://till:1234@host/a?channel=1&subtype=0", "rtsp://till:***@host/a?channel=1&subtype=0"),
        ("rtsps://a%40b:p%3Aw@[fe80::1]:322/x", "rtsps://a%40b:***@[fe80::1]:322/x"),
        ("http://host/video?user=x&pwd=1234&res=hd", "http://host/video?user=x&pwd=***&res=hd"),
        ("http://host/video?access_token=ab-c", "http://host/video?access_token=***"),
        ("rtsp://h/user=admin&password=1234&channel=1&stream=0.sdp?", "rtsp://h/user=admin&password=***&channel=1&stream=0.sdp?"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_its_secrets(text, shown):
    url = CameraUrl.parse(text)
    assert str(url) == shown
    assert shown in repr(url)
    assert "1234" not in repr(url)
    scheme, colon, rest = text.partition(":")
    assert url.reveal() == scheme.lower() + colon + rest


@given(st.text(min_size=1, max_size=12), st.text(max_size=12))
def test_any_login_comes_through_percent_encoding(user, password):
    plain = CameraUrl.parse("rtsp://cam.local:554/live")
    try:
        text = plain.with_login(user, Secret(password)).reveal()
    except UnicodeEncodeError:  # a lone surrogate is no text that a camera could know
        return
    parts = urlsplit(text)
    assert (parts.hostname, parts.port, parts.path) == ("cam.local", 554, "/live")
    assert (unquote(parts.username), unquote(parts.password)) == (user, password)
    again = CameraUrl.parse(text)
    assert (again.user, again.password.reveal()) == (user, password)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rtsp://till:pa#ss@host/cam", "%23"),
        ("rtsp://till:pa/ss@host/cam", "%2F"),
        ("rtsp://till:pass?@host/cam", "%3F"),
        ("rtsp:///cam?password=pass", "expected a URL"),
        ("rtsp://till:pass@host:notaport/cam", "expected a URL"),
        ("host/cam", "expected a URL"),
        ("rtsp://[fe80::1/cam", "expected a URL"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused_without_being_shown(text, words):
    with pytest.raises(InputError, match=words) as caught:
        CameraUrl.parse(text)
    told = "".join(traceback.format_exception(caught.value))
    assert "pass@" not in told
    assert "=pass" not in told
    assert not any(secret in str(caught.value) for secret in ("pa#ss", "pa/ss", "till:pass"))


def test_a_login_given_apart_wins_and_a_password_needs_a_user():
    url = CameraUrl.parse("rtsp://old:1@host/cam")
    assert url.with_login("new", Secret("2")).reveal() == "rtsp://new:2@host/cam"
    assert url.with_login(None, Secret("2")).reveal() == "rtsp://old:2@host/cam"
    assert url.with_login(None, None) == url
    with pytest.raises(InputError, match="has a password and no user"):
        CameraUrl.parse("rtsp://host/cam").with_login(None, Secret("2"))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("nothing here", "nothing here"),
        ("open 'rtsp://a:b@c/d' failed", "open 'rtsp://***@c/d' failed"),
        ("rtsp://a:b@b@c/d", "rtsp://***@c/d"),
        ("x?api_key=1&n=2", "x?api_key=***&n=2"),
    ],
)
def test_messages_of_others_are_cleaned(text, hidden):
    assert hide_secrets(text) == hidden


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("admin:hunter2@10.0.0.7/live", "***@10.0.0.7/live"),  # the scheme was forgotten
        ("rtsp:/admin:hunter2@cam/live", "rtsp:/***@cam/live"),
        ("rtps://admin:my hunter2@cam", "rtps://***@cam"),
        ("cam/live?loginuse=admin&loginpas=hunter2", "cam/live?loginuse=admin&loginpas=***"),
        ("films/a.mp4", "films/a.mp4"),
    ],
)
def test_an_address_that_was_typed_wrongly_shows_no_password(typed, shown):
    assert hide_login(typed) == shown
    with pytest.raises(InputError) as caught:
        make_source(CameraOptions("till", typed))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hunter2", b"hunter2\n", b"hunter2\r\n"])
def test_a_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch, content):
    path = tmp_path / "password"
    path.write_bytes(content)
    assert read_password(env=None, file=str(path)).reveal() == "hunter2"
    monkeypatch.setenv("TILL", "hunter2")
    assert read_password(env="TILL", file=None).reveal() == "hunter2"
    assert read_password(env=None, file=None) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"hunter2\nmore", b"x" * 5000, None])
def test_a_password_that_cannot_be_read_is_told_by_its_place(tmp_path, content):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"password file .*password") as caught:
        read_password(env=None, file=str(path))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match="NOT_THERE"):
        read_password(env="NOT_THERE", file=None)
