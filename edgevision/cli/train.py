"""``edgevision train``."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from edgevision.cli import output
from edgevision.cli.extras import BAD_PHOTO_CHOICES, BAD_PHOTO_HELP, LABELS_HELP, OptionAdder


def add_parser(commands: Any) -> argparse.ArgumentParser:
    from edgevision.train.options import TrainOptions

    p: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="fine-tune a classifier on your photos",
        description="From photos to a checkpoint that compile takes as it is. Resumes after a kill with --resume.",
    )
    option = OptionAdder(p, TrainOptions)
    option("--data", "data", "folder of class folders, or a list file", type=Path, metavar="SRC")
    option("--val", "val", "photos to choose the best epoch with; never trained on", type=Path, metavar="SRC")
    option("--labels", "labels", LABELS_HELP, type=Path, metavar="FILE")
    option("--on-bad-photo", "on_bad_photo", BAD_PHOTO_HELP, choices=BAD_PHOTO_CHOICES)
    p.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE", help="the checkpoint")
    option("--arch", "arch", "lite0, lite1, lite2, or torchvision:NAME (default {default})")
    option("--size", "size", "side of the input in pixels (default: what the network was made for)", type=int)
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
    option("--lr", "lr", "learning rate of the network (default {default})", type=float)
    option("--head-lr", "head_lr", "learning rate of the last layer (default {default})", type=float)
    option("--weight-decay", "weight_decay", "of AdamW (default {default})", type=float)
    option("--label-smoothing", "label_smoothing", "share spread over all classes (default {default})", type=float)
    option("--ema", "ema", "decay of the averaged weights (default {default})", type=float)
    option("--mixup", "mixup", "share of batches (default {default})", type=float)
    option("--cutmix", "cutmix", "share of batches (default {default})", type=float)
    option(
        "--freeze-epochs",
        "freeze_epochs",
        "epochs in which the last layer learns alone (default {default})",
        type=float,
    )
    option("--warmup-epochs", "warmup_epochs", "epochs of rising learning rate (default {default})", type=float)
    option("--teacher", "teacher", "a checkpoint to distil from", type=Path, metavar="MODEL.pt")
    option("--resume", "resume", "go on from FILE.state where there is one")
    p.add_argument(
        "--no-photos", dest="photos", action="store_false", help="leave the photos for compile out of the checkpoint"
    )
    option("--tensorboard", "tensorboard", "also log there", type=Path, metavar="DIR")
    option("--threads", "threads", "default: all cores", type=int)
    option("--seed", "seed", "of what is drawn at random (default {default})", type=int)
    return p  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import need_train

    need_train()
    from edgevision.evaluate.data.photo_check import OnBadPhoto
    from edgevision.train import RichProgress, TrainOptions, train

    names = {field.name for field in fields(TrainOptions)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    options = TrainOptions(
        **{
            **given,
            "patience": arguments.patience or None,
            "on_bad_photo": OnBadPhoto(arguments.on_bad_photo),
        }
    )
    progress = None if arguments.json else RichProgress(output.console(error=True))
    result = train(options, progress)
    score, last = result.score, result.epochs[-1]
    if arguments.json:
        output.show_json(
            {
                "checkpoint": str(result.path), "epochs": [e.to_dict() for e in result.epochs], "steps": result.steps,
                "seconds": result.seconds, "stopped_early": result.stopped_early,
                "val": None if score is None else asdict(score), "photos_bytes": _pack_bytes(result.checkpoint),
                "bad_photos": [photo.to_dict() for photo in result.bad_photos],
            }
        )  # fmt: skip
        return 0
    scored = "" if score is None else f"; top-1 {score.top1:.2f} % on the val photos"
    output.say(f"Wrote {result.path}: {last.epoch} epochs in {result.seconds / 60:.1f} minutes{scored}")
    output.say(f"Next: edgevision compile {shlex.quote(str(result.path))} --int8")
    return 0


def _pack_bytes(checkpoint: Any) -> int:
    return 0 if checkpoint.photos is None else int(checkpoint.photos.size_bytes)
