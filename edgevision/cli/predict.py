"""``edgevision predict``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads, make_folder
from edgevision.errors import ImageError, InputError

if TYPE_CHECKING:
    import edgevision as ev
    from edgevision.tasks.attribute_results import Attribute
    from edgevision.tasks.detections import Detection
    from edgevision.tasks.products import Product


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser("predict", help="recognise what photos show")
    p.add_argument("bundle", type=Path)
    p.add_argument("photos", nargs="+", type=Path, help="photos, or folders of photos")
    p.add_argument(
        "--then", type=Path, metavar="BUNDLE", help="a second bundle, which recognises each box that the first finds"
    )
    p.add_argument(
        "--gallery",
        type=Path,
        metavar="FILE",
        help="answer with the products of this gallery; the bundle, or that of --then, is an embedder",
    )
    p.add_argument("--engine", help="onnxruntime or openvino (default: the quickest that runs here)")
    p.add_argument("--threads", type=int)
    p.add_argument(
        "--threshold",
        type=float,
        help="score, 0…1, that the best class must reach to be known, or a box to be found (default: stored)",
    )
    p.add_argument("--top", type=int, default=1, help="classes to print for each photo, 1…5 (default 1)")
    p.add_argument("--draw", type=Path, metavar="DIR", help="also write the photos with the answer drawn on them")
    return p


def run(arguments: argparse.Namespace) -> int:
    import edgevision as ev
    from edgevision.gallery.recogniser import gallery_problem

    check_threads(arguments.threads)
    if not 1 <= arguments.top <= 5:
        raise InputError(f"--top is 1…5, got {arguments.top}")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise InputError(f"--threshold is a score, 0…1, got {arguments.threshold}")
    photos = [photo for given in arguments.photos for photo in _expand(given)]
    if arguments.draw is not None:
        make_folder(arguments.draw)
    answers: list[tuple[Path, Any]] = []  # a result of the bundle's task, or the ImageError of a photo
    given = {"engine": arguments.engine, "threads": arguments.threads, "threshold": arguments.threshold}
    with _loaded(arguments, given) as model:
        if problem := gallery_problem(model):
            print(f"edgevision: warning: {output.plain(problem)}", file=sys.stderr)
        if arguments.draw is not None and isinstance(model, ev.Model):
            _check_drawn(model.task.spec.kind)
        for photo in photos:
            try:
                answers.append((photo, model.predict(photo)))
            except ImageError as error:  # the photos after it are recognised all the same
                answers.append((photo, error))
    if arguments.draw is not None:
        _draw(arguments.draw, answers)
    if arguments.json:
        output.show_json([{"photo": str(photo), **_data(answer)} for photo, answer in answers])
    for photo, answer in answers:
        if isinstance(answer, ImageError):
            print(f"edgevision: {output.plain(str(answer))}", file=sys.stderr)
        elif not arguments.json:
            first, *more = _lines(answer, arguments.top)
            for line in (f"{photo}: {first}", *more):
                output.say(output.plain(line))
    if not arguments.json:
        _show_similarities(answers)
    return ImageError.exit_status if any(isinstance(answer, ImageError) for _, answer in answers) else 0


def _loaded(arguments: argparse.Namespace, given: dict[str, Any]) -> ev.Model | ev.Cascade:
    from edgevision.gallery.recogniser import load_with_gallery

    return load_with_gallery(arguments.bundle, arguments.gallery, then=arguments.then, **given)


def _data(answer: Any) -> dict[str, Any]:
    if isinstance(answer, ImageError):
        return {"error": str(answer)}
    data: dict[str, Any] = answer.to_dict()
    return data


def _lines(result: Any, top: int) -> list[str]:
    """A result for people; of detections each is on a line of its own."""
    from edgevision.cli.similarities import vector_line
    from edgevision.tasks.attribute_results import Attributes
    from edgevision.tasks.detections import Detections
    from edgevision.tasks.embedding import Embedding
    from edgevision.tasks.products import Products
    from edgevision.tasks.results import Classification

    if isinstance(result, Embedding):
        return [vector_line(result)]
    if isinstance(result, Attributes):
        return [", ".join(_attribute(row) for row in result)]
    if isinstance(result, Detections):
        return [f"{len(result)} found", *(f"  {row.name} {row.score:.1%}{_place(row)}" for row in result)]
    if isinstance(result, Products):
        return [f"{len(result)} found", *(_product_line(product, top) for product in result)]
    if not isinstance(result, Classification):
        return [json.dumps(result.to_dict(), ensure_ascii=False)]
    if not result.top:
        return ["unknown (the gallery has no examples)"]
    answer = ", ".join(f"{p.name} {p.score:.1%}" for p in result.top[:top])
    return [answer if result.known else f"unknown (closest: {answer})"]


def _show_similarities(answers: list[tuple[Path, Any]]) -> None:
    """Of an embedder's vectors, how like each other the photos are."""
    from edgevision.cli.similarities import show_similarities
    from edgevision.tasks.embedding import Embedding

    vectors = [(photo, answer) for photo, answer in answers if isinstance(answer, Embedding)]
    show_similarities([photo for photo, _ in vectors], [answer for _, answer in vectors])


def _attribute(row: Attribute) -> str:
    value = f"{row.value} {row.score:.1%}"
    return f"{row.name} {value}" if row.known else f"{row.name} unknown (closest: {value})"


def _place(found: Detection) -> str:
    """Corners in pixels."""
    x1, y1, x2, y2 = (round(side) for side in found.box)
    return f" at {x1},{y1} … {x2},{y2}"


def _product_line(product: Product, top: int) -> str:
    """What the second model says of a box, on one line."""
    return f"  {' '.join(_lines(product.result, top))}{_place(product.detection)}"


def _check_drawn(kind: str) -> None:
    from edgevision.tasks.draw import DRAWN_TASKS

    if kind not in DRAWN_TASKS:
        raise InputError(
            f"--draw knows the results of {', '.join(DRAWN_TASKS)}, the bundle's task is '{kind}'; leave out --draw"
        )


def _expand(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    from edgevision.evaluate.data.dataset import read_dataset

    found = read_dataset(given, keep_broken_links=True)
    return [*found.paths, *found.broken_links]  # what cannot be read is said photo by photo


def _draw(folder: Path, answers: list[tuple[Path, Any]]) -> None:
    from edgevision.decode import encode_png, read_image
    from edgevision.files import atomic_write
    from edgevision.tasks.draw import draw

    for place, (photo, answer) in enumerate(answers):
        if not isinstance(answer, ImageError):
            atomic_write(folder / f"{place:04d}-{photo.stem}.png", encode_png(draw(read_image(photo), answer)))
