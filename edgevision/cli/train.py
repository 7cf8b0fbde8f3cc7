"""``edgevision train``."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli import output
from edgevision.cli.extras import ATTRIBUTES_HELP, BAD_PHOTO_CHOICES, BAD_PHOTO_HELP, LABELS_HELP
from edgevision.errors import InputError

if TYPE_CHECKING:
    from edgevision.train.options import RunOptions


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="fine-tune a classifier, a detector, an embedder or a model of attributes on your photos",
        description="From photos to a checkpoint that compile takes as it is. Resumes after a kill with --resume.",
    )
    option = _TaskOptions(p)
    p.add_argument(
        "--task", choices=list(_options_of_tasks()), default="classify", help="what to learn (default classify)"
    )
    option(
        "--data", "data",
        "folder of class folders, or a list file; of detect: data.yaml or folder of YOLO's, COCO .json, folder of Pascal VOC's",
        type=Path, metavar="SRC",
    )  # fmt: skip
    option(
        "--val", "val",
        "photos to choose the best epoch with; never trained on (of detect: the val part of a data.yaml is taken without it; of "
        "embed: best of products that are not in --data)",
        type=Path, metavar="SRC",
    )  # fmt: skip
    option("--labels", "labels", LABELS_HELP, type=Path, metavar="FILE")
    option("--attributes", "attributes", ATTRIBUTES_HELP, type=Path, metavar="CSV")
    option("--heads", "heads", "of its columns those to learn (default: all)", nargs="+", metavar="COLUMN")
    option(
        "--class-balance", "class_balance", "how much rare values count for more, 0…1 (default {default})", type=float
    )
    option("--on-bad-photo", "on_bad_photo", BAD_PHOTO_HELP, choices=BAD_PHOTO_CHOICES)
    p.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE", help="the checkpoint")
    option(
        "--arch",
        "arch",
        "lite0, lite1, lite2, or torchvision:NAME; of detect: lite0-detect; of embed: lite0-embed, lite1-embed, "
        "lite2-embed (default {default})",
    )
    option(
        "--size",
        "size",
        "side of the input in pixels (default: of classifiers 256 for lite0, 272 for lite1, 288 for lite2; else what the network "
        "was made for)",
        type=int,
    )
    option("--scratch", "scratch", "random weights instead of ImageNet's")
    option("--epochs", "epochs", "passes over the photos (default {default})", type=float)
    option("--minutes", "minutes", "wall-clock budget: the schedule runs to its end within it", type=float)
    option(
        "--patience",
        "patience",
        "stop after so many epochs without a better --val, keep the best; 0 = never stop, keep the last (default {default})",
        type=int,
    )
    option("--batch", "batch", "photos in a batch (default {default})", type=int)
    option("--accumulate", "accumulate", "batches for each step (default {default})", type=int)
    option("--lr", "lr", "learning rate of what has ImageNet weights (default {default})", type=float)
    option("--head-lr", "head_lr", "learning rate of the layers after it (default {default})", type=float)
    option("--weight-decay", "weight_decay", "of AdamW (default {default})", type=float)
    option("--label-smoothing", "label_smoothing", "share spread over all classes (default {default})", type=float)
    option("--ema", "ema", "decay of the averaged weights (default {default})", type=float)
    option("--mixup", "mixup", "share of batches (default {default})", type=float)
    option("--cutmix", "cutmix", "share of batches (default {default})", type=float)
    option(
        "--freeze-epochs",
        "freeze_epochs",
        "epochs in which what has no ImageNet weights learns alone (default {default})",
        type=float,
    )
    option(
        "--frozen-stages", "frozen_stages", "first stages that keep ImageNet's weights (default {default})", type=int
    )
    option("--warmup-epochs", "warmup_epochs", "epochs of rising learning rate (default {default})", type=float)
    option("--dimension", "dimension", "numbers in a vector (default {default})", type=int)
    option("--pooling", "pooling", "average or gem: how a map becomes features (default {default})")
    option("--loss", "loss", "proxy-anchor or arcface (default {default})")
    option("--scale", "scale", "what the loss multiplies cosines by (default: the loss's usual)", type=float)
    option("--margin", "margin", "how far products are kept apart (default: the loss's usual)", type=float)
    option("--photos-per-product", "photos_per_product", "in a batch (default {default})", type=int)
    option(
        "--hard-share", "hard_share", "share of a batch's products that are look-alikes (default {default})", type=float
    )
    option(
        "--ood-data", "ood_data", "photos of what is none of the classes: it learns to be unsure of such (out of distribution)",
        type=Path, metavar="SRC",
    )  # fmt: skip
    option("--ood-share", "ood_share", "of them in a batch, for each photo of a class (default {default})", type=float)
    option(
        "--ood-weight",
        "ood_weight",
        "how much their loss counts beside that of the others (default {default})",
        type=float,
    )
    option("--teacher", "teacher", "a checkpoint to distil from", type=Path, metavar="MODEL.pt")
    option("--resume", "resume", "go on from FILE.state where there is one")
    p.add_argument(
        "--no-photos",
        dest="photos",
        action="store_false",
        default=argparse.SUPPRESS,
        help="leave the photos for compile out of the checkpoint",
    )
    option("--tensorboard", "tensorboard", "also log there", type=Path, metavar="DIR")
    option("--threads", "threads", "default: all cores", type=int)
    option("--seed", "seed", "of what is drawn at random (default {default})", type=int)
    return p  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import need_train

    need_train()
    from edgevision.train import RichProgress, train

    options = _options(arguments)
    progress = None if arguments.json else RichProgress(output.console(error=True))
    result = train(options, progress)
    score, last = result.score, result.epochs[-1]
    if arguments.json:
        output.show_json(
            {
                "checkpoint": str(result.path), "epochs": [e.to_dict() for e in result.epochs], "steps": result.steps,
                "seconds": result.seconds, "stopped_early": result.stopped_early,
                "val": None if score is None else score.metrics, "photos_bytes": _pack_bytes(result.checkpoint),
                "bad_photos": [photo.to_dict() for photo in result.bad_photos], "notes": list(result.notes),
            }
        )  # fmt: skip
        return 0
    scored = "" if score is None else f"; {score.headline} on the val photos"
    output.say(f"Wrote {result.path}: {last.epoch} epochs in {result.seconds / 60:.1f} minutes{scored}")
    output.say(f"Next: edgevision compile {shlex.quote(str(result.path))} --int8")
    return 0


def _pack_bytes(checkpoint: Any) -> int:
    return 0 if checkpoint.photos is None else int(checkpoint.photos.size_bytes)


def _options_of_tasks() -> dict[str, type[RunOptions]]:
    from edgevision.train.options import AttributesTrainOptions, DetectTrainOptions, EmbedTrainOptions, TrainOptions

    return {
        "classify": TrainOptions,
        "detect": DetectTrainOptions,
        "embed": EmbedTrainOptions,
        "attributes": AttributesTrainOptions,
    }


def _options(arguments: argparse.Namespace) -> RunOptions:
    """What was given, and the defaults of the task. Raises InputError for an option of another task."""
    from edgevision.evaluate.data.photo_check import OnBadPhoto

    kinds = _options_of_tasks()
    known = {task: {field.name for field in fields(kind)} for task, kind in kinds.items()}
    given = {name: value for name, value in vars(arguments).items() if any(name in names for names in known.values())}
    for name in given:
        if name not in known[arguments.task]:
            owners = " or ".join(task for task, names in known.items() if name in names)
            raise InputError(
                f"--{name.replace('_', '-')} is for --task {owners}, and --task is {arguments.task}; leave it out"
            )
    if "ood_data" not in given and (alone := [name for name in ("ood_share", "ood_weight") if name in given]):
        raise InputError(
            f"--{alone[0].replace('_', '-')} is of the photos of --ood-data, and there are none; give both"
        )
    if "scratch" in given and (idle := [name for name in ("frozen_stages", "freeze_epochs") if given.get(name)]):
        raise InputError(
            f"--{idle[0].replace('_', '-')} holds ImageNet's weights still, and with --scratch there are none; leave one of the two out"
        )
    if "patience" in given:
        given["patience"] = given["patience"] or None
    if "heads" in given:
        given["heads"] = tuple(given["heads"])
    if "on_bad_photo" in given:
        given["on_bad_photo"] = OnBadPhoto(given["on_bad_photo"])
    return kinds[arguments.task](**given)


class _TaskOptions:
    """Adds options whose defaults are fields of the tasks' options. An option that is not given is left out of the
    namespace, since each task has a default of its own. ``{default}`` in a help text is the default, or each task's."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._fields = {
            task: {field.name: field for field in fields(kind)} for task, kind in _options_of_tasks().items()
        }

    def __call__(self, name: str, field: str, help: str = "", **more: Any) -> None:
        """Option ``name`` for the field ``field``; ``more`` as ``add_argument`` takes it."""
        defaults = {task: known[field].default for task, known in self._fields.items() if field in known}
        if MISSING in defaults.values():
            self._parser.add_argument(name, dest=field, help=help, required=True, **more)
            return
        if all(isinstance(default, bool) for default in defaults.values()):
            self._parser.add_argument(name, dest=field, help=help, action="store_true", default=argparse.SUPPRESS)
            return
        help = help.replace("{default}", _shown(defaults))
        self._parser.add_argument(name, dest=field, default=argparse.SUPPRESS, help=help, **more)


def _shown(defaults: dict[str, Any]) -> str:
    """The default, or each task's where they differ."""
    texts = {task: _text(default) for task, default in defaults.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{task} {text}" for task, text in texts.items())


def _text(default: Any) -> str:
    if isinstance(default, Enum):
        return str(default.value)
    if default is None:
        return "none"
    return f"{default:g}" if isinstance(default, float) else str(default)
