"""The options of the live part of ``edgevision serve``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from edgevision.cli.serve_live import add_live_options, live_of, quota_of
from edgevision.errors import InputError
from edgevision.kiosk.service.live.settings import LiveSettings
from edgevision.kiosk.service.picture_folder import Quota


def parsed(*words: str) -> LiveSettings:
    parser = argparse.ArgumentParser()
    add_live_options(parser)
    return live_of(parser.parse_args(words))


def test_nothing_asked_for_is_nothing_done():
    assert parsed() == LiveSettings()


def test_everything_asked_for():
    found = parsed(
        "--camera", "till=rtsp://10.0.0.3/main?a=b", "--prices", "p.csv", "--product-pictures", "pics", "--feedback", "f",
        "--feedback-quota", "1.5GB,20000", "--receipts", "https://shop.example/r#secret_env=S", "--keep", "k",
    )  # fmt: skip
    assert found == LiveSettings(
        "rtsp://10.0.0.3/main?a=b", "till", Path("p.csv"), Path("pics"), Path("f"), Quota(1_500_000_000, 20_000),
        "https://shop.example/r#secret_env=S", Path("k"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "name", "url"),
    [
        ("rtsp://cam/a?b=c", "station", "rtsp://cam/a?b=c"),
        ("till-3=/dev/video0", "till-3", "/dev/video0"),
        ("rendered:tray?seed=3", "station", "rendered:tray?seed=3"),
    ],
)
def test_cameras_may_have_a_name(given, name, url):
    found = parsed("--camera", given)
    assert (found.camera_name, found.camera) == (name, url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500MB", Quota(500_000_000)), ("20 kB,3", Quota(20_000, 3)), ("0.5GB", Quota(500_000_000))],
)
def test_quotas(text, expected):
    assert quota_of(text) == expected


def test_a_quota_of_nothing_is_refused():
    with pytest.raises(InputError, match="--feedback-quota bounds the folders of --feedback and --keep"):
        parsed("--feedback-quota", "500MB")
    assert parsed("--feedback-quota", "5MB", "--keep", "k").feedback_quota == Quota(5_000_000)


@pytest.mark.parametrize("url", ["ftp://shop.example/s3cret", "shop.example/s3cret", "jsonl:s3cret", ""])
def test_receipts_go_to_a_webhook_alone(url):
    with pytest.raises(InputError, match="https://HOST/PATH") as told:
        parsed("--receipts", url)
    assert "s3cret" not in str(told.value)
    assert "mqtt" not in str(told.value)


@pytest.mark.parametrize("text", ["", "500", "MB", "500mb", "-1MB", "0MB", "1MB,", "1MB,0", "nan MB", "1e9MB"])
def test_what_is_no_quota(text):
    with pytest.raises(InputError):
        quota_of(text)
