"""``edgevision token``, and what ``serve`` makes of its options of access."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

import pytest

from edgevision.cli.serve_access import access_of, access_words, add_access_options
from edgevision.errors import InputError
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tls import Certificate
from edgevision.kiosk.service.access.tokens import TokenBook, add_token, digest_of
from edgevision.kiosk.service.route import Scope


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEVISION_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_add_list_revoke(edgevision, config):
    added = edgevision("token", "add", "till-3")
    assert (added.status, added.err) == (0, "")
    token = added.out.splitlines()[0]
    kept = TokenBook(config / "tokens.json").find(digest_of(token))
    assert kept is not None
    assert (kept.name, kept.scopes) == ("till-3", {Scope.INFER, Scope.READ})
    assert stat.S_IMODE((config / "tokens.json").stat().st_mode) == 0o600
    listed = edgevision("token", "list")
    assert "till-3" in listed.out
    assert "infer, read" in listed.out
    assert token not in listed.out
    assert digest_of(token)[:8] not in listed.out
    assert edgevision("token", "revoke", "till-3").status == 0
    assert TokenBook(config / "tokens.json").find(digest_of(token)) is None
    assert "nobody is let in" in edgevision("token", "list").out


def test_as_json(edgevision, tmp_path):
    file = tmp_path / "elsewhere.json"
    added = edgevision(
        "token",
        "add",
        "boss",
        "--scope",
        "admin",
        "--scope",
        "read",
        "--tokens",
        file,
        "--page",
        "https://till-3.local:8000/",
        "--json",
    ).json
    assert added["scopes"] == ["admin", "read"]
    assert added["page"] == f"https://till-3.local:8000/#token={added['token']}"
    assert TokenBook(file).find(digest_of(added["token"])) is not None
    assert [(one["name"], one["scopes"]) for one in edgevision("token", "list", "--tokens", file, "--json").json] == [
        ("boss", ["admin", "read"])
    ]
    assert edgevision("token", "revoke", "boss", "--tokens", file, "--json").json == {
        "revoked": "boss",
        "file": str(file),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [(["add"], "needs the NAME"), (["revoke"], "needs the NAME"), (["add", "a b"], "a token's name"), (["list"], "edgevision token add"),
     (["revoke", "till-3"], "edgevision token add"), (["add", "x", "--tokens", "/proc/none/tokens.json"], "/proc")],
)  # fmt: skip
def test_mistakes(edgevision, words, message):
    done = edgevision("token", *words)
    assert done.status == 2
    assert message in done.err


# ---- serve ----


def settings(*words: str) -> AccessSettings:
    parser = argparse.ArgumentParser()
    add_access_options(parser)
    return access_of(parser.parse_args(words))


def test_defaults_are_closed():
    assert settings() == AccessSettings()
    assert settings().host == "127.0.0.1"


def test_options(tmp_path):
    given = settings(
        "--host", "0.0.0.0", "--tokens", str(tmp_path / "t.json"), "--tls", "--host-name", "till-3.local", "--host-name", "10.0.0.7",
        "--allow-origin", "https://shop.example", "--allow-frame", "https://board.example",
    )  # fmt: skip
    assert given == AccessSettings(
        host="0.0.0.0", tokens=tmp_path / "t.json", tls=True, host_names=("till-3.local", "10.0.0.7"), allow_origins=("https://shop.example",),
        allow_frames=("https://board.example",),
    )  # fmt: skip


def test_tokens_that_were_made_are_used(config):
    add_token(config / "tokens.json", "till-3", [Scope.READ])
    assert settings().tokens == config / "tokens.json"


def test_the_demo_does_without_them(config):
    add_token(config / "tokens.json", "till-3", [Scope.READ])
    parser = argparse.ArgumentParser()
    add_access_options(parser)
    arguments = parser.parse_args([])
    arguments.takes_default_tokens = False
    assert access_of(arguments).tokens is None


def test_the_cure_for_tokens_that_are_not_there_makes_them(edgevision, tmp_path):
    path = tmp_path / "t.json"
    told = edgevision("token", "list", "--tokens", path).err
    assert f"edgevision token add NAME --tokens {path}" in " ".join(told.split())


def test_no_host_is_refused():
    with pytest.raises(InputError, match="--host is an address to listen at"):
        settings("--host", " ")


def test_a_user_without_a_home_folder_may_serve(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("no home")

    for name in ("EDGEVISION_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert settings() == AccessSettings()


def test_an_open_address_is_refused_with_the_cure():
    with pytest.raises(InputError, match="edgevision token add NAME"):
        settings("--host", "0.0.0.0", "--tls")
    assert settings("--host", "0.0.0.0", "--insecure").insecure


def test_what_is_told_at_the_start(tmp_path):
    certificate = Certificate(tmp_path, tmp_path, "AB:CD", own=True, new=True)
    told = "\n".join(access_words(AccessSettings(host="0.0.0.0", tls=True, tokens=tmp_path / "t.json"), certificate))
    assert "AB:CD" in told
    assert "compare this fingerprint" in told
    assert "INSECURE" not in told
    told = "\n".join(access_words(AccessSettings(host="0.0.0.0", insecure=True, tls=True), certificate))
    assert "INSECURE: without tokens," in told
    assert "INSECURE: without tokens and TLS" in "\n".join(
        access_words(AccessSettings(host="10.0.0.7", insecure=True), None)
    )
    assert "INSECURE" not in "\n".join(access_words(AccessSettings(insecure=True), None))
    for host, names, needs in (
        ("0.0.0.0", (), True),
        ("::", (), True),
        ("0.0.0.0", ("till",), False),
        ("10.0.0.7", (), False),
    ):
        told = "\n".join(access_words(AccessSettings(host=host, host_names=names, insecure=True), None))
        assert ("--host-name NAME" in told) is needs
