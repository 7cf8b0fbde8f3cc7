"""``edgevision predict``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.errors import InputError


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser("predict", help="recognise what photos show")
    p.add_argument("bundle", type=Path)
    p.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    p.add_argument("--top", type=int, default=1, help="classes to print for each photo, 1…5 (default 1)")
    p.add_argument("--draw", type=Path, metavar="DIR", help="also write the photos with the answer drawn on them")
    return p


def run(arguments: argparse.Namespace) -> int:
    import edgevision as ev

    if not 1 <= arguments.top <= 5:
        raise InputError(f"--top is 1…5, got {arguments.top}")
    photos = [photo for given in arguments.photos for photo in _expand(given)]
    with ev.load(arguments.bundle, engine=arguments.engine, threads=arguments.threads) as model:
        results = [model.predict(photo) for photo in photos]
    if arguments.draw is not None:
        _draw(arguments.draw, photos, results)
    if arguments.json:
        output.show_json([{"photo": str(p), **r.to_dict()} for p, r in zip(photos, results, strict=True)])
        return 0
    for photo, result in zip(photos, results, strict=True):
        answer = ", ".join(f"{p.name} {p.score:.1%}" for p in result.top[: arguments.top])
        print(f"{photo}: {answer if result.known else f'unknown (closest: {answer})'}")
    return 0


def _expand(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    from edgevision.evaluate.dataset import read_dataset

    return [photo.path for photo in read_dataset(given).photos]


def _draw(folder: Path, photos: list[Path], results: list[Any]) -> None:
    from edgevision.decode import encode_png, read_image
    from edgevision.files import atomic_write
    from edgevision.tasks.draw import draw

    folder.mkdir(parents=True, exist_ok=True)
    for place, (photo, result) in enumerate(zip(photos, results, strict=True)):
        atomic_write(folder / f"{place:04d}-{photo.stem}.png", encode_png(draw(read_image(photo), result)))
