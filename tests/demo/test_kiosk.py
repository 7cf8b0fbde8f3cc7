"""``edgevision demo --kiosk``: what it prepares, and what it hands to ``edgevision serve``."""

from __future__ import annotations

import argparse
import csv
import socket
import sys
import types
from decimal import Decimal
from pathlib import Path

import pytest

from edgevision.cli.main import main
from edgevision.decode import read_image
from edgevision.demo.kiosk import prepare_kiosk
from edgevision.demo.products import LISTED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As an earlier demo leaves it: the bundle is there, and is not compiled again."""
    (tmp_path / "model.edge").write_bytes(b"a bundle")
    return tmp_path


def test_prices_and_pictures_are_those_of_the_products(folder):
    shop = prepare_kiosk(folder)
    with shop.prices.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["id"]), row["name"], row["currency"]) for row in rows] == [
        (number, product.name, "EUR") for number, product in enumerate(LISTED)
    ]
    assert all(Decimal("0.5") < Decimal(row["price"]) < 10 and row["price"][-3] == "." for row in rows)
    pictures = {path.stem: read_image(path.read_bytes()) for path in shop.pictures.iterdir()}
    assert set(pictures) == {row["id"] for row in rows}
    assert {picture.shape[0] for picture in pictures.values()} == {480}
    assert (folder / "model.edge").read_bytes() == b"a bundle"


@pytest.fixture
def served(monkeypatch) -> list[argparse.Namespace]:
    """Stands in for ``edgevision serve``: takes its options, and notes them."""
    seen: list[argparse.Namespace] = []

    def add_parser(commands):
        parser = commands.add_parser("serve")
        parser.add_argument("models", nargs="+")
        for name in ("--camera", "--prices", "--product-pictures"):
            parser.add_argument(name, required=True)
        parser.add_argument("--port", type=int)
        parser.add_argument("--threads", type=int)
        return parser

    fake = types.ModuleType("edgevision.cli.serve")
    fake.add_parser, fake.run = add_parser, lambda arguments: seen.append(arguments) or 0
    monkeypatch.setitem(sys.modules, "edgevision.cli.serve", fake)
    return seen


def test_it_is_served_with_the_rendered_camera(folder, served, capsys):
    assert main(["demo", "--kiosk", "-o", str(folder), "--seed", "4", "--port", "0"]) == 0
    (arguments,) = served
    assert arguments.models == [str(folder / "model.edge")]
    assert arguments.camera == "rendered:till?seed=4&fps=10"
    assert arguments.port == 0
    assert arguments.threads is None
    assert Path(arguments.prices).is_file()
    assert Path(arguments.product_pictures).is_dir()
    said = capsys.readouterr().out
    assert "edgevision serve" in said.replace("\n", " ")
    assert main(["demo", "--kiosk", "-o", str(folder), "--threads", "1", "--json", "--port", "0"]) == 0
    assert (served[1].json, served[1].threads) == (True, 1)
    assert not arguments.takes_default_tokens  # whatever devices have tokens: it is for this machine


def test_a_port_that_is_taken_is_told_before_anything_is_made(tmp_path, served, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["demo", "--kiosk", "-o", str(tmp_path / "new"), "--port", port]) == 2
    assert "give another --port" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not served


@pytest.mark.parametrize("words", [["--open"], ["--port", "0"]])
def test_options_of_the_page_need_the_page(words, capsys):
    assert main(["demo", *words]) == 2
    assert "give --kiosk" in capsys.readouterr().err


def test_its_camera_is_one_that_serve_knows(folder, served):
    from edgevision.demo.rendered_camera import rendered_camera
    from edgevision.streams.options import CameraOptions

    main(["demo", "--kiosk", "-o", str(folder), "--port", "0"])
    camera = rendered_camera(CameraOptions("station", served[0].camera))
    assert camera.announced_fps == 10
    camera.open()
    captured = camera.read()
    assert captured is not None
    assert captured.frame.height == captured.frame.width == 400
    camera.interrupt()
    camera.close()


def test_serve_takes_what_it_is_given(folder):
    """The real parser of ``edgevision serve``."""
    from edgevision.cli.main import parser

    shop = prepare_kiosk(folder, seed=4)
    arguments = parser("serve").parse_args(["serve", *shop.words()])
    assert (arguments.models, arguments.camera) == ([str(folder / "model.edge")], shop.camera)
    assert (Path(arguments.prices), Path(arguments.product_pictures)) == (shop.prices, shop.pictures)
