"""Train the demo's checkpoint, ``edgevision/demo/model.pt``, on rendered frames: python -m benchmarks.train_demo

    python -m benchmarks.train_demo --tune edgevision/demo/model.pt --epochs 3 --frames 6000 --worlds 600   # go on from a checkpoint

It learns from three kinds of pictures: a product before the till's camera; products cut out of belts, shelves and trays, as a detector
would cut them: lids, backs, any side up, partly covered; and strangers, products that are not listed, for which no class is right, so that
each is as good as any other. That is outlier exposure (D. Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", ICLR 2019); a
stranger weighs half of a product.

Measures: top-1 on pictures of the first two kinds, drawn from seeds that training never saw, and how well the best score tells listed
products from unlisted ones and empty places. The strangers that it learns from are of designs that no demo and no other benchmark shows.
Does not measure: anything on real photos.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.common import ROOT, write_result
from edgevision.cascade import MARGIN, regions
from edgevision.demo.products import LISTED, unlisted
from edgevision.demo.scene import UNLISTED_DESIGNS, SceneKind, render, render_with_truth, sample_scene
from edgevision.demo.world.worlds import Place, make_world
from edgevision.evaluate.statistics.ranking import auroc
from edgevision.frames import Frame, ImageArray
from edgevision.preprocess import Preprocessor
from edgevision.preprocess.spec import Filter, Fit, PreprocessSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label
from edgevision.train.backbones import build
from edgevision.train.checkpoint import Checkpoint, PackedPhoto, PhotoPack, load_checkpoint, save_checkpoint
from edgevision.train.compute import cpu_has_bfloat16
from edgevision.train.efficientnet_lite import ConvNorm

ARCH, ARCH_OPTIONS = "lite0", {"width": 0.45, "depth": 0.5, "features": 256}
INPUT_PX, RENDERED_PX, EARLY_PX = 128, 160, 96
SPEC = PreprocessSpec(INPUT_PX, INPUT_PX, Fit.LETTERBOX, Filter.TRIANGLE, mean=(127.0,) * 3, std=(128.0,) * 3)
MAX_BYTES = 2_000_000
BATCH = 64

# One seed for each use, so that no frame serves two.
TRAIN_SEED, TEST_SEED, CALIBRATION_SEED, VALIDATION_SEED, UNLISTED_SEED, EMPTY_SEED, STRANGER_SEED = 1, 2, 3, 4, 5, 6, 7
# Of worlds, the first of as many as are wanted: far from those of the demo, of the benchmarks and of the detector's training.
TRAIN_WORLD, TEST_WORLD = 7_000_000, 8_000_000
PLACES = (Place.CONVEYOR, Place.CONVEYOR, Place.CONVEYOR, Place.SHELF, Place.TRAY)  # in turn: belts show the most sides
LATEST_S = 10.0
LEAST_VISIBLE = 0.4  # of a product, to be learnt from
STRANGER, STRANGER_WEIGHT = -1, 0.5  # in the place of a class; in the loss, against 1 of a listed product
STRANGER_DESIGNS = range(25 * UNLISTED_DESIGNS, 50 * UNLISTED_DESIGNS)
SMOOTHING = 0.03

Job = tuple[int, int, str, int, int]  # seed, index, kind, side in pixels, class (-1: any)


def draw(job: Job) -> ImageArray:
    """One frame of its own seed."""
    cv2.setNumThreads(1)
    seed, index, kind, side, product = job
    rng = np.random.default_rng((seed, index))
    return render(sample_scene(rng, SceneKind(kind), product=LISTED[product] if product >= 0 else None, side_px=side))


def listed(pool: Any, seed: int, count: int, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """``count`` frames N×S×S×3 with as many of each class as of any other, and their classes."""
    truth = np.arange(count) % len(LISTED)
    jobs = [(seed, i, "listed", side, int(c)) for i, c in enumerate(truth)]
    frames = np.empty((count, side, side, 3), np.uint8)
    start = time.perf_counter()
    for i, frame in enumerate(pool.imap(draw, jobs, chunksize=64)):
        frames[i] = frame
        if i % 4000 == 3999:
            print(f"  {i + 1} frames, {(i + 1) / (time.perf_counter() - start):.0f}/s", flush=True)
    return frames, truth


def cut_out(job: tuple[int, int]) -> list[tuple[ImageArray, int]]:
    """The products that can be seen in one picture of a world, each S×S×3 with its class, as a cascade's second model sees them."""
    cv2.setNumThreads(1)
    seed, side = job
    world = make_world(PLACES[seed % len(PLACES)], seed=seed, height=480, width=640)
    snapshot = world.at(float(np.random.default_rng(seed).uniform(0, LATEST_S)))
    shown = [one for one in snapshot.seen if one.visible >= LEAST_VISIBLE and one.pixels >= 400]
    frame = Frame.from_array(snapshot.frame)
    cuts = regions(np.array([one.box for one in shown]).reshape(-1, 4), frame, MARGIN)
    return [
        (letterboxed(snapshot.frame[at.y : at.y + at.height, at.x : at.x + at.width], side), one.label)
        for one, at in zip(shown, cuts, strict=True)
    ]


def letterboxed(picture: ImageArray, side: int) -> ImageArray:
    """Into a square, with bars of the colour that the checkpoint's spec pads with."""
    scale = side / max(picture.shape[:2])
    height, width = (max(1, round(scale * length)) for length in picture.shape[:2])
    square = np.full((side, side, 3), SPEC.pad_value, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square[top : top + height, left : left + width] = cv2.resize(picture, (width, height), interpolation=kind)
    return square


def from_worlds(pool: Any, first: int, count: int, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Products cut out of ``count`` worlds: N×S×S×3, and their classes."""
    found: list[tuple[ImageArray, int]] = []
    for done, some in enumerate(pool.imap(cut_out, [(first + i, side) for i in range(count)], chunksize=16), 1):
        found += some
        if done % 1000 == 0:
            print(f"  {done} worlds, {len(found)} products", flush=True)
    return np.stack([frame for frame, _ in found]), np.array([label for _, label in found], np.int64)


def others(pool: Any, seed: int, kind: str, count: int, side: int) -> list[ImageArray]:
    """Frames without a listed product."""
    return list(pool.imap(draw, [(seed, i, kind, side, -1) for i in range(count)], chunksize=32))


def stranger(job: tuple[int, int]) -> ImageArray:
    """A product that is not listed, S×S×3: half of them before the till's camera, half cut out."""
    cv2.setNumThreads(1)
    index, side = job
    rng = np.random.default_rng((STRANGER_SEED, index))
    product = unlisted(int(rng.choice(STRANGER_DESIGNS)))
    shown = render_with_truth(sample_scene(rng, SceneKind.UNLISTED, product=product, side_px=2 * side))
    if index % 2 == 0 or shown.box is None:
        return np.asarray(cv2.resize(shown.frame, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    at = regions(np.array([shown.box], np.float64), Frame.from_array(shown.frame), MARGIN)[0]
    return letterboxed(shown.frame[at.y : at.y + at.height, at.x : at.x + at.width], side)


def strange(pool: Any, count: int, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """``count`` strangers to learn from, N×S×S×3, and ``STRANGER`` for each."""
    frames = list(pool.imap(stranger, [(i, side) for i in range(count)], chunksize=32))
    return np.array(frames, np.uint8).reshape(-1, side, side, 3), np.full(count, STRANGER, np.int64)


def batches(
    frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.int64], size: int, side: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch, augmented: N×3×S×S float32 and classes."""
    order = rng.permutation(len(frames))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        batch = np.stack([augmented(frames[i], side, rng) for i in chosen])
        yield torch.from_numpy(batch), torch.from_numpy(truth[chosen])


def augmented(frame: ImageArray, side: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Shift, turn, scale, light, colour and a grey patch: what one render can still stand for. 3×S×S, prepared."""
    scale = side / frame.shape[0] * rng.uniform(0.85, 1.2)
    matrix = cv2.getRotationMatrix2D((frame.shape[1] / 2, frame.shape[0] / 2), rng.normal(0, 5), scale)
    matrix[:, 2] += side / 2 - frame.shape[0] / 2 + rng.uniform(-0.06, 0.06, 2) * side
    seen = cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    gain = np.exp(rng.normal(0, 0.12)) * (1 + rng.normal(0, 0.03, 3))
    pixels = (seen[..., ::-1] - 127.0) * gain + 127.0 + rng.normal(0, 6)
    if rng.uniform() < 0.4:
        h, w = (rng.uniform(0.1, 0.4, 2) * side).astype(int)
        y, x = rng.integers(0, side - h), rng.integers(0, side - w)
        pixels[y : y + h, x : x + w] = rng.uniform(0, 255, 3)
    return ((np.clip(pixels, 0, 255) - 127.0) / 128.0).transpose(2, 0, 1).astype(np.float32)


def prepared(frames: Sequence[ImageArray] | npt.NDArray[np.uint8]) -> Tensor:
    """Frames as the checkpoint's spec says: N×3×S×S."""
    preprocessor = Preprocessor(SPEC)
    out = np.empty((len(frames), *SPEC.tensor_shape), np.float32)
    for frame, room in zip(frames, out, strict=True):
        preprocessor.run(frame, room)
    return torch.from_numpy(out)


@torch.no_grad()
def logits(model: nn.Module, inputs: Tensor) -> npt.NDArray[np.float64]:
    model.eval()
    return np.concatenate([model(part).double().numpy() for part in inputs.split(64)])


def targets(classes: Tensor) -> Tensor:
    """What the network should say, N×K: nearly all for the class; for strangers the same for each."""
    smooth = torch.full((len(classes), len(LISTED)), 1 / len(LISTED))
    known = nn.functional.one_hot(classes.clamp(min=0), len(LISTED)) * (1 - SMOOTHING) + SMOOTHING * smooth
    return torch.where((classes == STRANGER)[:, None], smooth, known)


def train(
    model: nn.Module, frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.int64], epochs: int, seed: int, *, tune: bool
) -> dict[str, Tensor]:
    """AdamW with warm-up and cosine; small pictures first. ``tune``: the weights are good already, so that the rate is low and pictures
    are large from the start. Returns the averaged weights."""
    rng = np.random.default_rng(seed)
    decay, plain = [], []
    for parameter in model.parameters():
        (decay if parameter.ndim > 1 else plain).append(parameter)
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.0)
    loss_of = nn.CrossEntropyLoss(reduction="none")
    highest, early = (1e-3, 0.0) if tune else (4e-3, 0.6)
    averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
    steps, step, losses = epochs * (len(frames) // BATCH), 0, []
    for epoch in range(epochs):
        side = EARLY_PX if epoch < early * epochs else INPUT_PX
        for inputs, classes in batches(frames, truth, BATCH, side, rng):
            rate = highest * min(1.0, (step + 1) / 150) * 0.5 * (1 + math.cos(math.pi * step / steps)) + 1e-5
            for group in optimizer.param_groups:
                group["lr"] = rate
            model.train()
            # bfloat16 and channels last: several times quicker on CPUs that have bfloat16.
            with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
                predicted = model(inputs.contiguous(memory_format=torch.channels_last))
            weights = torch.where(classes == STRANGER, STRANGER_WEIGHT, 1.0)
            loss = (weights * loss_of(predicted.float(), targets(classes))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            step += 1
            keep = min(0.995, step / (step + 20))
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    averaged[name].mul_(keep).add_(value, alpha=1 - keep)
            if step % 100 == 0:
                print(f"  step {step} of {steps}, {side} px, loss {np.mean(losses[-100:]):.3f}", flush=True)
    return averaged


def half_precision(model: nn.Module) -> dict[str, Tensor]:
    """The state dict with convolutions and classifier rounded to float16: half the file, and what is measured below."""
    return {k: v.contiguous().half() if v.ndim > 1 else v for k, v in model.state_dict().items()}


def packed(frames: npt.NDArray[np.uint8], truth: npt.NDArray[np.int64], quality: int) -> tuple[PackedPhoto, ...]:
    photos = []
    for frame, label in zip(frames, truth, strict=True):
        small = cv2.resize(frame, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, quality))
        photos.append(PackedPhoto(data.tobytes(), int(label), False))
    return tuple(photos)


def scores(model: nn.Module, inputs: Tensor) -> npt.NDArray[np.float64]:
    """The best class's probability of each item."""
    z = logits(model, inputs)
    z -= z.max(axis=1, keepdims=True)
    return np.asarray(1 / np.exp(z).sum(axis=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000, help="before the till's camera, for training")
    parser.add_argument("--worlds", type=int, default=2_400, help="of which products are cut out, about 12 each")
    parser.add_argument("--strangers", type=int, default=6_000, help="products that are not listed")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tune", type=Path, help="a checkpoint of this script to begin with")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("-o", dest="target", type=Path, default=ROOT / "edgevision/demo/model.pt")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(arguments.cores)
    began = time.perf_counter()
    learnt = None if arguments.tune is None else load_checkpoint(arguments.tune).state_dict
    with Pool(arguments.cores) as pool:
        print("rendering", flush=True)
        parts = (
            listed(pool, TRAIN_SEED, arguments.frames, RENDERED_PX),
            from_worlds(pool, TRAIN_WORLD, arguments.worlds, RENDERED_PX),
            strange(pool, arguments.strangers, RENDERED_PX),
        )
        frames, truth = (np.concatenate(both) for both in zip(*parts, strict=True))
        cuts, cuts_truth = from_worlds(pool, TEST_WORLD, 200, INPUT_PX)
        val, val_truth = listed(pool, TEST_SEED, 1_600, 320)
        calibration, validation = (listed(pool, seed, 120, 320) for seed in (CALIBRATION_SEED, VALIDATION_SEED))
        strangers = others(pool, UNLISTED_SEED, "unlisted", 600, 320)
        empty = others(pool, EMPTY_SEED, "empty", 300, 320)
    model = build(ARCH, len(LISTED), **ARCH_OPTIONS).to(memory_format=torch.channels_last)
    for layer in model.modules():
        if isinstance(layer, ConvNorm):
            layer.norm.momentum = 0.05  # a thousand steps, not a million
    print("training", flush=True)
    if learnt is not None:
        model.load_state_dict(learnt)
    model.load_state_dict(train(model, frames, truth, arguments.epochs, seed=0, tune=learnt is not None))
    state = half_precision(model)
    model.load_state_dict(state)

    val_inputs = prepared(val)
    known = logits(model, val_inputs)
    right = known.argmax(axis=1) == val_truth
    known_scores = scores(model, val_inputs)
    cut_right = logits(model, prepared(cuts)).argmax(axis=1) == cuts_truth
    figures = {
        "val_frames": len(val),
        "val_top1": round(100 * float(right.mean()), 2),
        "worst_class_top1": round(100 * min(float(right[val_truth == c].mean()) for c in range(len(LISTED))), 2),
        "cut_out": len(cuts),
        "cut_out_top1": round(100 * float(cut_right.mean()), 2),
        "auroc_unlisted": round(auroc(known_scores, scores(model, prepared(strangers))), 4),
        "auroc_empty": round(auroc(known_scores, scores(model, prepared(empty))), 4),
        "train_frames": len(parts[0][0]),
        "train_cut_out": len(parts[1][0]),
        "train_strangers": len(parts[2][0]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "core_minutes": round(sum(os.times()[:4]) / 60, 1),
    }
    labels = tuple(Label(i, product.name) for i, product in enumerate(LISTED))
    for quality in (92, 88, 84, 80, 76, 72):
        photos = PhotoPack(packed(*calibration, quality), packed(*validation, quality))
        checkpoint = Checkpoint(ARCH, state, SPEC, classify_spec(labels), ARCH_OPTIONS, photos=photos, training=figures)
        save_checkpoint(arguments.target, checkpoint)
        if arguments.target.stat().st_size <= MAX_BYTES:
            break
    else:
        raise SystemExit(f"{arguments.target} has {arguments.target.stat().st_size} bytes, more than {MAX_BYTES}")
    load_checkpoint(arguments.target)
    figures |= {"checkpoint_bytes": arguments.target.stat().st_size, "photo_quality": quality}
    print(json.dumps(figures, indent=1))
    for c in np.argsort([right[val_truth == c].mean() for c in range(len(LISTED))])[:5]:
        mine = known.argmax(axis=1)[(val_truth == c) & ~right]
        print(f"  {LISTED[c].name}: {100 * right[val_truth == c].mean():.1f} %, taken for "
              f"{[LISTED[int(m)].name for m in np.unique(mine)]}")  # fmt: skip
    write_result("train_demo", figures)


if __name__ == "__main__":
    main()
