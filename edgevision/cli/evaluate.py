"""``edgevision eval``."""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import check_threads, need_compile
from edgevision.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from edgevision.evaluate.evaluation import Evaluation


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="metrics of a .pt, .onnx or .edge on labelled photos",
        description="Top-1 and top-5, precision, recall, F1, per class, ROC-AUC, the most confused pairs, calibration error.",
    )
    p.add_argument("model", type=Path, help=".edge bundle, checkpoint, or any file that compile takes")
    p.add_argument(
        "--data", type=Path, required=True, metavar="SRC", help="labelled photos: class folders or a list file"
    )
    p.add_argument("--unknown", type=Path, metavar="SRC", help="photos of things the model does not know")
    p.add_argument(
        "--against", type=Path, metavar="MODEL", help="a second model beside it, e.g. the float one: flips, interval"
    )
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names: one a line, or CSV with name and id")
    p.add_argument("--html", type=Path, metavar="FILE", help="write the pictures as one page")
    p.add_argument("--engine", help="onnxruntime or openvino, for a bundle (default: the quickest)")
    p.add_argument("--threads", type=int)
    p.add_argument("--preprocess", metavar="FILE|imagenet|lite", help="for models that are not our checkpoint")
    p.add_argument("--output", choices=("logits", "probabilities"), help="for models that are not our checkpoint")
    p.add_argument("--arch", metavar="NAME", help="for a state dict")
    p.add_argument("--trust", action="store_true", help="allow pickles that can run code; only for files you made")
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.evaluate.dataset import read_dataset
    from edgevision.evaluate.evaluation import compare, evaluate

    check_threads(arguments.threads)
    if arguments.html is not None:
        _check_html(arguments)
    dataset = read_dataset(arguments.data, arguments.labels)
    dataset.require_labels(purpose="eval")
    unknown = read_dataset(arguments.unknown) if arguments.unknown else None
    evaluations: list[Evaluation] = []
    with output.progress(not arguments.json) as progress:
        bundles = [path for path in (arguments.model, arguments.against) if path and _is_bundle(path)]
        for path in filter(None, (arguments.model, arguments.against)):
            with _open(path, arguments, bundles, progress) as model:
                evaluations.append(evaluate(path.name, model, dataset, unknown, progress))
    paired = compare(evaluations[1], evaluations[0]) if len(evaluations) == 2 else None
    if arguments.html is not None:
        from edgevision.evaluate.evaluation_page import evaluation_page
        from edgevision.files import atomic_write

        atomic_write(arguments.html, evaluation_page(evaluations, paired).encode())
    if arguments.json:
        data: dict[str, Any] = {"models": [e.to_dict() for e in evaluations]}
        output.show_json({**data, "paired": None if paired is None else asdict(paired)})
        return 0
    _print(evaluations)
    if paired is not None:
        output.say(paired.sentence(evaluations[0].name, evaluations[1].name))
    if arguments.html is not None:
        output.say(f"Wrote {arguments.html}")
    return 0


def _open(path: Path, arguments: argparse.Namespace, bundles: list[Path], progress: Any) -> Any:
    """A predictor: the bundle, loaded; or the float model, exported."""
    if path.suffix == ".edge" or _is_bundle(path):
        import edgevision as ev

        return ev.load(path, engine=arguments.engine, threads=arguments.threads)
    need_compile(f"eval of {path.name}")
    from edgevision.compiler.float_model import FloatModel
    from edgevision.compiler.source import SourceOptions

    options = SourceOptions(arguments.arch, arguments.preprocess, arguments.labels, arguments.output, arguments.trust)
    fitted = next((found for bundle in bundles if (found := _fitted_in(bundle, path))), None)
    return FloatModel(path, options, threads=arguments.threads, fitted=fitted, progress=progress)


def _fitted_in(bundle: Path, source: Path) -> tuple[float, float] | None:
    """Temperature and threshold that `compile` fitted for float, if the bundle was made of ``source``."""
    from edgevision.bundle.reader import open_bundle

    with open_bundle(bundle) as opened:
        made_of = opened.manifest.source
    fitted = made_of.get("float")
    if not fitted or not source.is_file() or made_of.get("sha256") != hashlib.sha256(source.read_bytes()).hexdigest():
        return None
    return float(fitted["temperature"]), float(fitted["threshold"])


def _check_html(arguments: argparse.Namespace) -> None:
    """Refuse, before long work, a page that cannot be made or would replace what is evaluated."""
    from edgevision.files import ensure_writable, is_same_file

    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "report", "eval --html")
    given = (arguments.model, arguments.against, arguments.data, arguments.unknown, arguments.labels)
    if any(path is not None and is_same_file(arguments.html, path) for path in given):
        raise InputError(f"{arguments.html} is read by this command and would be replaced; name another with --html")
    ensure_writable(arguments.html)


def _is_bundle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # whoever opens it as a model will say what it is


def _print(evaluations: list[Evaluation]) -> None:
    def percent(value: float | None) -> str:
        return "–" if value is None else f"{value * 100:.2f} %"

    lines = [
        ["photos", *(str(e.metrics.n) for e in evaluations)],
        ["top-1", *(f"{e.metrics.top1:.2f} %" for e in evaluations)],
        ["top-5", *(f"{e.metrics.top5:.2f} %" for e in evaluations)],
        ["precision (macro)", *(f"{e.metrics.precision:.2f} %" for e in evaluations)],
        ["recall (macro)", *(f"{e.metrics.recall:.2f} %" for e in evaluations)],
        ["F1 (macro)", *(f"{e.metrics.f1:.2f} %" for e in evaluations)],
        [
            "ROC-AUC (macro)",
            *("–" if e.metrics.roc_auc_macro is None else f"{e.metrics.roc_auc_macro:.4f}" for e in evaluations),
        ],
        ["calibration error (ECE)", *(percent(e.unknown.ece) for e in evaluations)],
        ["right answers kept as known", *(percent(e.unknown.kept) for e in evaluations)],
    ]
    if evaluations[0].unknown.n_unknown:
        lines += [
            ["unknown photos", *(str(e.unknown.n_unknown) for e in evaluations)],
            [
                "AUROC known against unknown",
                *("–" if e.unknown.auroc is None else f"{e.unknown.auroc:.4f}" for e in evaluations),
            ],
            ["false accepts", *(percent(e.unknown.false_accepts) for e in evaluations)],
        ]
    output.table("", ["metric", *(e.name for e in evaluations)], lines)
    first = evaluations[0]
    worst = sorted((row for row in first.metrics.per_class if row.n), key=lambda row: (row.recall, row.precision))[:10]
    output.table("Weakest classes", ["class", "photos", "precision %", "recall %", "F1 %"],
                 [[r.label.name, str(r.n), f"{r.precision:.1f}", f"{r.recall:.1f}", f"{r.f1:.1f}"] for r in worst])  # fmt: skip
    if first.metrics.confused:
        output.table("Most confused", ["shown", "taken for", "photos", "of"],
                     [[c.truth.name, c.predicted.name, str(c.count), str(c.n)] for c in first.metrics.confused[:10]])  # fmt: skip
