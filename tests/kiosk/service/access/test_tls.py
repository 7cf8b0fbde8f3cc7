"""Certificates, judged by openssl and by a client that trusts one and nothing else."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest
from certificates import self_signed

from edgevision.errors import DeviceError, InputError
from edgevision.kiosk.service.access import tls
from edgevision.kiosk.service.access.settings import AccessSettings
from edgevision.kiosk.service.access.tls import certificate_of, fingerprint, make_context, own_certificate
from edgevision.kiosk.service.access.tls_contexts import LOOK_S, FreshContext

pytestmark = pytest.mark.requires("openssl")

NAMES = frozenset({"localhost", "127.0.0.1", "::1", "till-3.local", "192.168.1.5"})


def told(path: Path, *options: str) -> str:
    return subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", *options], check=True, capture_output=True, text=True
    ).stdout


def test_made_kept_and_used_again(tmp_path):
    folder = tmp_path / "tls"
    first = own_certificate(NAMES, folder)
    again = own_certificate(NAMES - {"till-3.local"}, folder)
    assert (first.new, again.new) == (True, False)
    assert (
        first.fingerprint
        == again.fingerprint
        == told(first.certificate, "-fingerprint", "-sha256").strip().partition("=")[2]
    )
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    public = (folder / "certificate.pem").read_text()
    assert "PRIVATE" not in public
    assert fingerprint(public) == first.fingerprint


def test_what_it_is_for(tmp_path):
    made = own_certificate(NAMES, tmp_path / "tls")
    text = told(made.certificate, "-text")
    assert "CA:FALSE" in text  # who trusts it trusts nothing that a thief of its key could sign
    assert "TLS Web Server Authentication" in text
    for name in ("localhost", "till-3.local"):
        assert "does match" in told(made.certificate, "-checkhost", name)
    for address in ("127.0.0.1", "192.168.1.5", "::1"):
        assert "does match" in told(made.certificate, "-checkip", address)
    assert "does NOT match" in told(made.certificate, "-checkhost", "attacker.example")
    end = told(made.certificate, "-enddate").strip().partition("=")[2]
    days = (ssl.cert_time_to_seconds(end) - datetime.now(timezone.utc).timestamp()) / 86400
    assert tls.VALID_DAYS - 1 < days <= tls.VALID_DAYS < 825


def test_further_names_make_a_new_one(tmp_path):
    first = own_certificate(NAMES, tmp_path / "tls")
    wider = own_certificate(NAMES | {"10.0.0.7"}, tmp_path / "tls")
    assert wider.new
    assert wider.fingerprint != first.fingerprint


def test_it_is_renewed_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tls, "VALID_DAYS", tls.RENEW_DAYS - 1)
    short = own_certificate(NAMES, tmp_path / "tls")
    monkeypatch.undo()
    renewed = own_certificate(NAMES, tmp_path / "tls")
    assert renewed.new
    assert renewed.fingerprint != short.fingerprint
    assert not own_certificate(NAMES, tmp_path / "tls").new


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_damaged_one_is_made_anew(tmp_path, content):
    made = own_certificate(NAMES, tmp_path / "tls")
    made.key.write_text(content)
    assert own_certificate(NAMES, tmp_path / "tls").new


def test_a_folder_of_others_is_refused(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(InputError, match="others may not write"):
        own_certificate(NAMES, folder)


def test_without_openssl_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match="install it, or give --certificate and --key"):
        own_certificate(NAMES, tmp_path / "tls")


# ---- given ----


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = self_signed(tmp_path / "given")
    key.chmod(0o600)
    return certificate, key


def test_a_given_one_is_used(given):
    certificate, key = given
    used = certificate_of(AccessSettings(certificate=certificate, key=key))
    assert used is not None
    assert (used.certificate, used.key, used.own) == (certificate, key, False)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert used.fingerprint.replace(":", "").lower() == hashlib.sha256(der).hexdigest()
    assert certificate_of(AccessSettings()) is None


def closed_to_none(certificate: Path, key: Path, folder: Path) -> None:
    key.chmod(0o644)


def no_key(certificate: Path, key: Path, folder: Path) -> None:
    key.unlink()


def another_key(certificate: Path, key: Path, folder: Path) -> None:
    key.write_bytes(self_signed(folder / "another")[1].read_bytes())


def no_certificate(certificate: Path, key: Path, folder: Path) -> None:
    certificate.write_text("nothing")


def a_password(certificate: Path, key: Path, folder: Path) -> None:
    command = ["openssl", "ec", "-in", key, "-out", folder / "locked.pem", "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    key.write_bytes((folder / "locked.pem").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(closed_to_none, "chmod 600"), (no_key, "cannot read"), (another_key, "belong together"), (no_certificate, "no certificate in PEM"),
     (a_password, "without a password")],
)  # fmt: skip
def test_a_given_one_that_cannot_be_used(given, tmp_path, spoil, words):
    certificate, key = given
    spoil(certificate, key, tmp_path)
    with pytest.raises(InputError, match=words):
        certificate_of(AccessSettings(certificate=certificate, key=key))


# ---- in use ----


def shown_by(context: ssl.SSLContext, trusted: Path, name: str, version: ssl.TLSVersion) -> bytes | None:
    """The certificate that a server with this context shows to a client that trusts ``trusted``."""
    mine, others = socket.socketpair()

    def serve() -> None:
        try:
            with context.wrap_socket(mine, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            mine.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(trusted))
    client.minimum_version = client.maximum_version = version
    try:
        with client.wrap_socket(others, server_hostname=name) as secured:
            return secured.getpeercert(binary_form=True)
    finally:
        others.close()
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_trusts_it_connects(tmp_path, version):
    made = own_certificate(NAMES, tmp_path / "tls")
    context = make_context(made.certificate, made.key)
    shown = shown_by(context, tmp_path / "tls" / "certificate.pem", "till-3.local", version)
    assert shown is not None
    assert hashlib.sha256(shown).hexdigest() == made.fingerprint.replace(":", "").lower()
    with pytest.raises(ssl.SSLCertVerificationError):
        shown_by(context, tmp_path / "tls" / "certificate.pem", "attacker.example", version)


def test_old_versions_are_refused(given):
    context = make_context(*given)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_replaced_files_are_taken_up(given, tmp_path):
    certificate, key = given
    settings = AccessSettings(certificate=certificate, key=key)
    used = certificate_of(settings)
    assert used is not None
    now_s = [0.0]
    fresh = FreshContext(settings, used, lambda: now_s[0])
    first = fresh.context()
    new_certificate, new_key = self_signed(tmp_path / "new")
    certificate.write_bytes(new_certificate.read_bytes())
    now_s[0] = LOOK_S + 1  # half replaced: the old one goes on
    assert fresh.context() is first
    key.write_bytes(new_key.read_bytes())
    now_s[0] += LOOK_S / 2
    assert fresh.context() is first
    now_s[0] += LOOK_S
    second = fresh.context()
    assert second is not first
    shown = shown_by(second, certificate, "localhost", ssl.TLSVersion.TLSv1_3)
    assert shown == ssl.PEM_cert_to_DER_cert(new_certificate.read_text())
