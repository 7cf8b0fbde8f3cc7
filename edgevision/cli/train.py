"""``edgevision train``."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevision.cli import output


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="fine-tune a classifier on your photos",
        description="From photos to a checkpoint that compile takes as it is. Resumes after a kill with --resume.",
    )
    p.add_argument("--data", type=Path, required=True, metavar="SRC", help="folder of class folders, or a list file")
    p.add_argument("--val", type=Path, metavar="SRC", help="photos to choose the best epoch with; never trained on")
    p.add_argument("--labels", type=Path, metavar="FILE", help="class names: one a line, or CSV with name and id")
    p.add_argument("-o", dest="target", type=Path, required=True, metavar="FILE", help="the checkpoint")
    p.add_argument("--arch", default="lite0", help="lite0, lite1, lite2, or torchvision:NAME (default lite0)")
    p.add_argument("--size", type=int, help="side of the input in pixels (default: what the network was made for)")
    p.add_argument("--scratch", action="store_true", help="random weights instead of ImageNet's")
    p.add_argument("--epochs", type=float, default=20)
    p.add_argument("--minutes", type=float, help="wall-clock budget: the schedule runs to its end within it")
    p.add_argument(
        "--patience",
        type=int,
        default=10,
        help="stop after so many epochs without a better --val, keep the best; 0 = never stop, keep the last",
    )
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--accumulate", type=int, default=1, help="batches for each step")
    p.add_argument("--lr", type=float, default=5e-4)
    p.add_argument("--head-lr", type=float, default=3e-3)
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--label-smoothing", type=float, default=0.1)
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--mixup", type=float, help="share of batches (default: the recipe's)")
    p.add_argument("--cutmix", type=float, help="share of batches (default: the recipe's)")
    p.add_argument("--freeze-epochs", type=float, default=0.5)
    p.add_argument("--warmup-epochs", type=float, default=1.0)
    p.add_argument("--teacher", type=Path, metavar="MODEL.pt", help="a checkpoint to distil from")
    p.add_argument("--resume", action="store_true", help="go on from FILE.state where there is one")
    p.add_argument("--no-photos", action="store_true", help="leave the photos for compile out of the checkpoint")
    p.add_argument("--tensorboard", type=Path, metavar="DIR")
    p.add_argument("--threads", type=int)
    p.add_argument("--seed", type=int, default=0)
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.cli.extras import need_train

    need_train()
    from edgevision.train import RichProgress, TrainOptions, train

    given = {name: getattr(arguments, name) for name in ("mixup", "cutmix") if getattr(arguments, name) is not None}
    options = TrainOptions(
        data=arguments.data, output=arguments.target, val=arguments.val, labels=arguments.labels, arch=arguments.arch,
        size=arguments.size, scratch=arguments.scratch, epochs=arguments.epochs, minutes=arguments.minutes,
        patience=arguments.patience or None, batch=arguments.batch, accumulate=arguments.accumulate, lr=arguments.lr,
        head_lr=arguments.head_lr, weight_decay=arguments.weight_decay, label_smoothing=arguments.label_smoothing,
        ema=arguments.ema, freeze_epochs=arguments.freeze_epochs, warmup_epochs=arguments.warmup_epochs,
        teacher=arguments.teacher, resume=arguments.resume, photos=not arguments.no_photos,
        tensorboard=arguments.tensorboard, threads=arguments.threads, seed=arguments.seed, **given,
    )  # fmt: skip
    progress = None if arguments.json else RichProgress(output.console(error=True))
    result = train(options, progress)
    score, last = result.score, result.epochs[-1]
    if arguments.json:
        output.show_json(
            {
                "checkpoint": str(result.path), "epochs": [e.to_dict() for e in result.epochs], "steps": result.steps,
                "seconds": result.seconds, "stopped_early": result.stopped_early,
                "val": None if score is None else asdict(score), "photos_bytes": _pack_bytes(result.checkpoint),
            }
        )  # fmt: skip
        return 0
    judged = "" if score is None else f"; top-1 {score.top1:.2f} % on the val photos"
    output.say(f"Wrote {result.path}: {last.epoch} epochs in {result.seconds / 60:.1f} minutes{judged}")
    output.say(f"Next: edgevision compile {shlex.quote(str(result.path))} --int8")
    return 0


def _pack_bytes(checkpoint: Any) -> int:
    return 0 if checkpoint.photos is None else int(checkpoint.photos.size_bytes)
