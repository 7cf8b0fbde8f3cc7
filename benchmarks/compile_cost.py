"""What compiling costs: the time of every step, and the peak memory of all processes, against goals set beforehand.

    .venv/bin/python -m benchmarks.compile_cost resnet50              # no layer falls back to float: 5 minutes
    .venv/bin/python -m benchmarks.compile_cost resnet50 --float-fallback    # a budget of nothing, so that layers do: 15
    .venv/bin/python -m benchmarks.compile_cost --model yolo11n.onnx --data ../shared/data/beverages/data.yaml    # memory alone has a goal

A model that is given is compiled as it is, within no budget, on as many of its photos as compile takes (512). Otherwise the network has random weights, batch norms with the statistics of photos, and a linear classifier solved for on the
photos: activations live, and answers are worth keeping. 300 photos calibrate, those of ``val.txt`` validate. Timed is the
whole command, from the start of its process to its end: reading files, decoding photos, export, and writing the bundle.

With ``--float-fallback``, validation photos have no labels and no answer may change. What is timed is everything that `compile`
tries; whether a bundle comes of it (exit status 0) or a refusal (3) makes no difference.

Goals hold for 2 cores that have nothing else to do: look at ``load_average`` and at ``cpu_s`` (user and system time of
all processes) beside the wall clock.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import GROCERY, RUNS, shorten, write_result
from edgevision.evaluate.data.dataset import Dataset, read_dataset

GOAL_MINUTES, GOAL_FALLBACK_MINUTES, GOAL_MEMORY_GIB = 5.0, 15.0, 4.0
NORM_PHOTOS = 64  # that batch norms are estimated on
KEPT = ("chosen", "why", "error", "range_estimators", "notes", "verdict")  # of what the command said
SAMPLE_S = 0.05  # between two readings of the memory
STEPS_FILE = "COMPILE_COST_STEPS"  # environment: where the child writes the times of its steps


def main() -> None:
    if STEPS_FILE in os.environ:
        sys.exit(_child(Path(os.environ[STEPS_FILE]), sys.argv[1:]))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("arch", nargs="?", default="resnet50", help="of torchvision")
    p.add_argument("--float-fallback", action="store_true", help="force layers to fall back to float")
    p.add_argument("--photos", type=int, default=300, help="that calibrate")
    p.add_argument("--model", type=Path, help="a model's file, in place of a network that is made here")
    p.add_argument("--data", type=Path, help="its photos")
    arguments = p.parse_args()
    if (arguments.model is None) != (arguments.data is None):
        p.error("--model and --data go together")
    folder = RUNS / "compile-cost"
    folder.mkdir(parents=True, exist_ok=True)
    made = arguments.model is None
    called = arguments.arch if made else arguments.model.stem
    source = _made(arguments, folder) if made else [arguments.model, "--data", arguments.data, "--force"]
    budget = (0, 0) if arguments.float_fallback else (100, 100)
    command = [
        "compile", *source, "--int8", "--max-drop", budget[0], "--max-class-drop", budget[1], "--max-ece-increase", budget[1],
        "-o", folder / f"{called}.edge", "--json",
    ]  # fmt: skip
    steps_file = folder / "steps.json"
    run = timed(list(map(str, command)), steps_file)
    if run.status not in ((0, 3) if arguments.float_fallback else (0,)):
        sys.exit(run.status)
    minutes = (GOAL_FALLBACK_MINUTES if arguments.float_fallback else GOAL_MINUTES) if made else None
    in_time = None if minutes is None else run.wall_s <= 60 * minutes
    peak_gib = run.peak_bytes / 2**30
    figures = {
        "compiled": ["edgevision", *map(shorten, map(str, command))],
        "photos": arguments.photos if made else None,
        "status": run.status,
        "wall_s": round(run.wall_s, 1),
        "cpu_s": round(run.cpu_s, 1),
        "peak_rss_gib": round(peak_gib, 2),
        "goals": {"minutes": minutes, "peak_rss_gib": GOAL_MEMORY_GIB},
        "met": {"minutes": in_time, "peak_rss_gib": peak_gib <= GOAL_MEMORY_GIB},
        "steps": run.steps,
        "longest_silence_s": run.longest_silence_s,
        "result": {k: run.result[k] for k in KEPT if k in run.result},
    }
    for name, step in run.steps.items():
        print(f"{name:24} {step['wall_s']:7.1f} s  {step['cpu_s']:7.1f} s CPU")
    in_minutes = "" if minutes is None else f"{minutes:g} minutes {_met(run.wall_s <= 60 * minutes)}, "
    print(f"{'all':24} {run.wall_s:7.1f} s  {run.cpu_s:7.1f} s CPU, at most {peak_gib:.2f} GiB; "
          f"goals: {in_minutes}{GOAL_MEMORY_GIB:g} GiB {_met(peak_gib <= GOAL_MEMORY_GIB)}")  # fmt: skip
    write_result(f"compile-cost-{called}{'-float-fallback' if arguments.float_fallback else ''}", figures)


def _made(arguments: argparse.Namespace, folder: Path) -> list[object]:
    """The network with its weights, its photos, and what compile is told of them."""
    calibration, validation = folder / "calibrate.txt", folder / "validate.txt"
    trained = read_dataset(GROCERY / "train.txt", GROCERY / "classes.csv")
    chosen = trained.select(_spread(trained, arguments.photos))
    _write_list(calibration, chosen, labelled=True)
    _write_list(
        validation, read_dataset(GROCERY / "val.txt", GROCERY / "classes.csv"), labelled=not arguments.float_fallback
    )
    return [
        make_weights(arguments.arch, chosen, folder / f"{arguments.arch}.pt"), "--arch", f"torchvision:{arguments.arch}",
        "--preprocess", "imagenet", "--labels", GROCERY / "classes.csv", "--output", "logits", "--data", calibration,
        "--val", validation,
    ]  # fmt: skip


def _met(yes: bool) -> str:
    return "met" if yes else "missed"


def _spread(dataset: Dataset, count: int) -> list[int]:
    """Indices of ``count`` photos, in turns one of each class."""
    turns: dict[int, int] = {}
    order = []
    for index, photo in enumerate(dataset):
        assert photo.label is not None
        turns[photo.label] = turns.get(photo.label, 0) + 1
        order.append((turns[photo.label], index))
    return [index for _, index in sorted(order)[:count]]


def _write_list(path: Path, dataset: Dataset, *, labelled: bool) -> None:
    assert dataset.labels is not None
    names = {photo.path: f", {dataset.labels[photo.label].id}" for photo in dataset if photo.label is not None}
    path.write_text("".join(f"{p.path.resolve()}{names[p.path] if labelled else ''}\n" for p in dataset))


def make_weights(arch: str, dataset: Dataset, path: Path) -> Path:
    """A state dict of torchvision's ``arch``, or ``timm:NAME``, with as many classes as ``dataset`` has labels; the same each time.

    Random weights from seed 0; the running statistics of batch norms are those of photos and of the noise that ``check_parity``
    compares graphs on; the last linear layer is the ridge regression of its inputs on the photos' classes. Its outputs are
    scaled to the spread of a trained one's.
    """
    import torch

    from edgevision.compiler.data.photos import CompilePhoto, prepared
    from edgevision.compiler.sources.parity import pixels
    from edgevision.preprocess.spec import preset

    assert dataset.labels is not None
    torch.manual_seed(0)
    network = _network(arch, len(dataset.labels)).eval()
    tensors = [
        torch.from_numpy(batch)
        for batch in prepared([CompilePhoto(photo, None, "") for photo in dataset.paths], preset("imagenet"))
    ]
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    head = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    features: list[torch.Tensor] = []
    with torch.inference_mode():
        for seed, batch in enumerate(tensors[: NORM_PHOTOS // len(tensors[0])]):
            # Noise too: what is far from everything that norms have seen grows with each layer.
            network(torch.cat([batch, torch.from_numpy(pixels(preset("imagenet"), len(batch), 100 + seed))]))
        network.eval()
        hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].double()))
        for batch in tensors:
            network(batch)
        hook.remove()
        x = torch.cat(features)
        mean = x.mean(0)
        centred = x - mean
        wanted = torch.nn.functional.one_hot(torch.from_numpy(dataset.truth), len(dataset.labels)).double()
        gram = centred @ centred.T
        gram += gram.diagonal().mean() * 1e-2 * torch.eye(len(x), dtype=torch.float64)
        weight = 15 * torch.linalg.solve(gram, wanted - wanted.mean(0)).T @ centred  # softmax of 15: sure of itself
        head.weight.copy_(weight)
        head.bias.copy_(-weight @ mean)
    torch.save(network.state_dict(), path)
    return path


def _network(arch: str, classes: int) -> Any:
    """With random weights."""
    if arch.startswith("timm:"):
        import timm

        return timm.create_model(arch.removeprefix("timm:"), pretrained=False, num_classes=classes)
    import torchvision

    more = {"init_weights": True} if arch in ("googlenet", "inception_v3") else {}  # else they warn of what may come
    return torchvision.models.get_model(arch, weights=None, num_classes=classes, **more)


@dataclass(frozen=True)
class Run:
    """One run of the command. Times in seconds, ``cpu_s`` of the process and its children; ``result``: what was said.

    ``peak_bytes``: greatest sum of the resident memory of all its processes. ``longest_silence_s``: between two signs of progress.
    """

    status: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    steps: dict[str, dict[str, float]]
    longest_silence_s: float
    result: dict[str, Any]


def timed(command: list[str], steps_file: Path) -> Run:
    """Run ``edgevision`` with these arguments in a process of its own."""
    print("$ edgevision", *command, file=sys.stderr, flush=True)
    steps_file.unlink(missing_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.compile_cost", *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, STEPS_FILE: str(steps_file)},
    )
    with _peak_memory(child.pid) as peak:
        said, _ = child.communicate()
    wall_s = time.monotonic() - start
    if child.returncode < 0:
        sys.exit(
            f"compile was ended by signal {-child.returncode} after {wall_s:.0f} s; {steps_file} holds its steps so far"
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    recorded: dict[str, Any] = json.loads(steps_file.read_text())
    whole = json.loads(said) if said.strip() else {}
    return Run(
        child.returncode, wall_s, cpu_s, peak(), recorded["steps"], recorded["longest_silence_s"], whole
    )  # fmt: skip


@contextlib.contextmanager
def _peak_memory(pid: int) -> Iterator[Callable[[], int]]:
    """Watch the process ``pid`` and all below it; gives a function that tells the greatest sum so far, in bytes."""
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_S):
            peak = max(peak, sum(map(_resident_bytes, _tree(pid))))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: peak
    finally:
        done.set()
        watcher.join()


def _tree(pid: int) -> list[int]:
    """The process and all below it, from /proc."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):  # it has ended
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _child(steps_file: Path, command: list[str]) -> int:
    """`edgevision` with these arguments, its progress timed in place of shown; what comes before any is "start"."""
    from edgevision.cli import compile_
    from edgevision.cli import main as cli
    from edgevision.compiler.progress import StepClock, silent

    wall, cpu = StepClock(silent), StepClock(silent, _cpu_s)
    heard, silence, current = time.monotonic(), 0.0, ""

    def told(step: str, done: int, total: int) -> None:
        nonlocal heard, silence, current
        silence, heard = max(silence, time.monotonic() - heard), time.monotonic()
        if step != current:
            current = step
            write()  # a run that is broken off leaves the steps before
        wall(step, done, total)
        cpu(step, done, total)

    def write() -> None:
        spent = dict(cpu.steps())
        steps = {step: {"wall_s": round(s, 1), "cpu_s": round(spent[step], 1)} for step, s in wall.steps()}
        steps_file.write_text(json.dumps({"steps": steps, "longest_silence_s": round(silence, 1)}))

    class Told:
        def __call__(self, step: str, done: int, total: int) -> None:
            told(step, done, total)

        def expect(self, seconds: Mapping[str, float]) -> None:
            """What it says of itself beforehand is not what is measured."""

    @contextlib.contextmanager
    def progress(enabled: bool = True) -> Iterator[Told]:
        yield Told()

    vars(compile_)["step_progress"] = progress
    told("start", 0, 0)
    status = cli.main(command)
    write()
    return status


def _cpu_s() -> float:
    """CPU time of this process and of those it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
