"""What making a network smaller costs and brings, out of fold: fewer channels, fewer blocks, smaller pictures, and all of them.

    .venv/bin/python -m benchmarks.out_of_fold lite0      # trains the two halves' checkpoints
    .venv/bin/python -m benchmarks.pruning lite0 --minutes 6
    .venv/bin/python -m benchmarks.pruning lite0 --minutes 6 --reuse    # measures latency anew, on a quiet machine say
    .venv/bin/python -m benchmarks.pruning lite0 --shapes 0.5 224 224+2b+0.3

A shape is the share of the channels that go, ``2b`` = two blocks left out, the side of the picture in pixels, or some of these joined with "+".
For each: accuracy in float after pruning, after fine-tuning (the unpruned model teaches), and in int8, photo by
photo against the unpruned int8; and the int8 graph's latency in the quickest engine, all shapes interleaved in one run.
The goal: at least 1.5 times as fast as the unpruned int8, at 1 point or less. Whether it was met is written down, and
``results/pruning-ARCH.svg`` shows it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from benchmarks.common import GROCERY, RESULTS, RUNS, classes_of, write_result
from benchmarks.pruning_chart import draw
from benchmarks.pruning_shapes import UNPRUNED, Shape, without_blocks
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, prepared, stratified_sample, truths_of
from edgevision.compiler.prune.importance import IMPORTANCES
from edgevision.compiler.prune.pruner import PruneOptions, prune
from edgevision.compiler.prune.step import IMPORTANCES as TRIED
from edgevision.compiler.quantize.recipes import calibrate, int8_candidate
from edgevision.compiler.sources.export import export_float
from edgevision.compiler.sources.source import SourceModel, SourceOptions, load_source
from edgevision.engines import available_engines, open_engine
from edgevision.engines.base import EngineOptions
from edgevision.evaluate.data.dataset import Dataset, read_dataset
from edgevision.evaluate.statistics.paired import paired_comparison
from edgevision.latency import measure_interleaved, paired_ratio
from edgevision.preprocess import PreprocessSpec
from edgevision.train.finetune import FineTuneOptions, fine_tune

SHAPES = ("0.4", "0.5", "0.6", "2b", "4b", "224", "192", "224+0.3", "224+0.4", "224+2b", "224+2b+0.3")
GOAL_SPEED, GOAL_DROP = 1.5, 1.0
# Options that change nothing of the unpruned.
TUNING = ("minutes", "lr", "share", "importances", "price", "tune_threads")
STAGES = ("pruned", "tuned", "int8")
PORTION = 16  # photos at once
BLOCK_PHOTOS = 64  # that tell which blocks matter least

Answers = npt.NDArray[np.bool_]  # which photos were answered rightly
Trial = tuple[dict[str, Answers], bytes, dict[str, Any]]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("arch", nargs="?", default="lite0")
    p.add_argument("--shapes", type=Shape.parse, nargs="+", default=[Shape.parse(text) for text in SHAPES])
    p.add_argument("--minutes", type=float, default=6.0, help="of fine-tuning for each shape and fold")
    p.add_argument("--lr", type=float, default=FineTuneOptions.lr, help="of fine-tuning (default %(default)g)")
    p.add_argument("--share", type=float, default=1.0, help="side of the pictures that tuning takes, of the model's")
    p.add_argument("--importances", nargs="+", default=list(TRIED), choices=IMPORTANCES)
    p.add_argument("--price", default="macs", choices=("channels", "macs"))
    p.add_argument("--photos", type=int, default=256, help="that calibrate")
    p.add_argument("--folds", type=int, nargs="+", default=[0, 1], choices=(0, 1))
    p.add_argument("--threads", type=int, default=1, help="of the graphs whose latency is measured")
    p.add_argument("--tune-threads", type=int, help="of fine-tuning (default: all cores); 1 for two folds at once")
    p.add_argument("--rounds", type=int, default=300)
    p.add_argument("--reuse", action="store_true", help="take what an earlier run, finished or not, left in runs/")
    arguments = p.parse_args()
    shapes = tuple(dict.fromkeys((UNPRUNED, *arguments.shapes)))
    right: dict[str, dict[Shape, list[Answers]]] = {stage: {} for stage in STAGES}
    graphs: dict[Shape, bytes] = {}
    trials = []
    for fold in arguments.folds:
        for shape in shapes:
            by_stage, graph, record = kept(arguments, fold, shape)
            for stage, answers in by_stage.items():
                right[stage].setdefault(shape, []).append(answers)
            graphs.setdefault(shape, graph)
            trials.append({"fold": fold, "shape": str(shape), **record})
    speed = latency(graphs, arguments.threads, arguments.rounds)
    rows = [_row(shape, right, speed[shape]) for shape in shapes]
    for row in rows:
        print(f"{row['shape']:12}  float pruned {row['pruned']['value']:6.2f} %  tuned {row['tuned']['value']:6.2f} %  int8 "
              f"{row['int8']['value']:6.2f} % (drop {row['int8']['drop']:+.2f}, {row['int8']['interval'][0]:+.2f}…"
              f"{row['int8']['interval'][1]:+.2f})  {row['p50_ms']:6.2f} ms  {row['speedup']['median']:.2f}× the unpruned int8's speed")  # fmt: skip
    met = [row["shape"] for row in rows if row["meets_goal"]]
    print(f"goal of {GOAL_SPEED}× at {GOAL_DROP} point: {f'met at {met}' if met else 'missed'}")
    options = {name: str(value) for name, value in vars(arguments).items() if name != "shapes"}
    figures = {"arch": arguments.arch, "options": options, "goal": {"speed": GOAL_SPEED, "drop": GOAL_DROP, "met_at": met},
               "shapes": rows, "trials": trials}  # fmt: skip
    write_result(f"pruning-{arguments.arch}", figures)
    draw(rows, GOAL_SPEED, GOAL_DROP, RESULTS / f"pruning-{arguments.arch}.svg")


def _row(shape: Shape, right: Mapping[str, Mapping[Shape, list[Answers]]], speed: Mapping[str, Any]) -> dict[str, Any]:
    compared = {
        stage: paired_comparison(np.concatenate(answers[UNPRUNED]), np.concatenate(answers[shape]))
        for stage, answers in right.items()
    }
    meets = speed["speedup"]["median"] >= GOAL_SPEED and compared["int8"].drop <= GOAL_DROP
    by_fold = [
        100 * float(one.mean() - other.mean())
        for one, other in zip(right["int8"][UNPRUNED], right["int8"][shape], strict=True)
    ]
    return {
        "shape": str(shape),
        "kind": shape.kind,
        **{stage: asdict(paired) for stage, paired in compared.items()},
        "int8_drop_by_fold": by_fold,
        **speed,
        "meets_goal": meets,
    }


def kept(arguments: argparse.Namespace, fold: int, shape: Shape) -> Trial:
    """``one``, kept in runs/: a run of hours goes on where it was broken off."""
    path = RUNS / f"pruning-{arguments.arch}-{fold}-{shape}.npz"
    without = ("folds", "shapes", "rounds", "reuse", "threads", *(TUNING if shape == UNPRUNED else ()))
    asked = {k: v for k, v in vars(arguments).items() if k not in without}
    digest = hashlib.sha256((RUNS / f"oof-{arguments.arch}-{fold}.pt").read_bytes()).hexdigest()
    what = json.dumps({**asked, "checkpoint": digest})
    if arguments.reuse and path.is_file():
        with np.load(path, allow_pickle=False) as file:
            if str(file["options"]) == what:
                stages = {stage: file[f"right_{stage}"] for stage in STAGES}
                return stages, file["graph"].tobytes(), json.loads(str(file["record"]))
    by_stage, graph, record = one(arguments, fold, shape)
    rights_by_stage: dict[str, Any] = {f"right_{stage}": answers for stage, answers in by_stage.items()}
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez(
        unfinished,
        options=what,
        record=json.dumps(record, default=str),
        graph=np.frombuffer(graph, np.uint8),
        **rights_by_stage,
    )
    unfinished.replace(path)
    return by_stage, graph, record


def one(arguments: argparse.Namespace, fold: int, shape: Shape) -> Trial:
    """Prune, tune and quantize one fold's model: which validation photos are right at each stage, int8 graph, record."""
    name = f"oof-{arguments.arch}-{fold}"
    source = load_source(RUNS / f"{name}.pt", SourceOptions())
    if shape.size is not None:
        source = replace(source, spec=replace(source.spec, height=shape.size, width=shape.size))
    assert source.photos is not None
    trained = read_dataset(RUNS / f"{name}-train.txt", GROCERY / "classes.csv").with_labels(source.labels)
    compared = read_dataset(RUNS / f"{name}-test.txt", GROCERY / "classes.csv").with_labels(source.labels)
    measure = AnswerMeasure.of(source.task)
    packed = [CompilePhoto(q.data, q.label, "", classes=classes_of(q.label)) for q in source.photos.calibration]
    calibration = stratified_sample(packed, arguments.photos)
    tensors = list(prepared(calibration, source.spec))
    pruned, tuned, record = smaller(arguments, source, shape, np.concatenate(tensors), truths_of(calibration), trained)
    graphs = {"tuned": export_float(replace(source, module=tuned))[0]}
    graphs["pruned"] = graphs["tuned"] if pruned is tuned else export_float(replace(source, module=pruned))[0]
    int8 = graphs["int8"] = int8_candidate(calibrate(graphs["tuned"], tensors, measure, arguments.threads)).graph
    by_stage = {stage: rights(graphs[stage], compared, source.spec, measure) for stage in STAGES}
    figures = "  ".join(f"{stage} {100 * answers.mean():.2f} %" for stage, answers in by_stage.items())
    print(f"fold {fold}  {shape!s:12}  {figures}", flush=True)
    return by_stage, int8, record


def smaller(
    arguments: argparse.Namespace, source: SourceModel, shape: Shape, photos: npt.NDArray[np.float32],
    truths: Sequence[int] | None, trained: Dataset,
) -> tuple[nn.Module, nn.Module, dict[str, Any]]:  # fmt: skip
    """The network in this shape as cut, and tuned; and what was done. Channels go last: which ones matter is asked of the blocks that stay."""
    teacher = source.module
    assert teacher is not None
    if shape == UNPRUNED:
        return teacher, teacher, {}
    measure, record = AnswerMeasure.of(source.task), dict[str, Any]()
    tuning = FineTuneOptions(
        epochs=1000,
        minutes=max(arguments.minutes, 0.01),
        lr=arguments.lr,
        size_share=arguments.share,
        threads=arguments.tune_threads,
    )

    network, record["blocks"] = without_blocks(teacher, shape.blocks, photos[:BLOCK_PHOTOS], measure)
    if shape.ratio:
        options = PruneOptions(shape.ratio, importances=tuple(arguments.importances), prices=(arguments.price,))
        labels = None if truths is None else np.array(truths, np.int64)
        result = prune(network, photos, measure, options, labels=labels)
        network, record = result.network, {**record, **result.to_dict()}
    if not arguments.minutes:
        return network, network, record
    done = fine_tune(network, teacher, trained, source.spec, tuning)
    return network, done.network, {**record, "tuning": {"steps": done.steps, "seconds": done.seconds, "lr": tuning.lr}}


def rights(graph: bytes, dataset: Dataset, spec: PreprocessSpec, measure: AnswerMeasure) -> Answers:
    """Which photos an ONNX graph answers rightly."""
    photos = [CompilePhoto(path, None, "") for path in dataset.paths]
    answers = measure.evaluator.pseudo_truth(measure.run(graph, prepared(photos, spec, PORTION)))
    return np.asarray(np.array(answers) == dataset.truth)


def latency(graphs: Mapping[Shape, bytes], threads: int, rounds: int) -> dict[Shape, dict[str, Any]]:
    """Of each int8 graph in the engine that is quickest for the unpruned one: p50, and speed against the unpruned."""
    best: dict[Shape, dict[str, Any]] = {}
    for name in [engine for engine in ("openvino", "onnxruntime") if engine in available_engines()]:
        engines = {str(shape): open_engine(name, graph, EngineOptions(threads)) for shape, graph in graphs.items()}
        calls = {}
        for key, engine in engines.items():
            slot = engine.slots(1)[0]
            calls[key] = lambda engine=engine, slot=slot: engine.run(slot)
        samples = measure_interleaved(calls, rounds=rounds, warmup=20)
        found = {
            shape: {
                "engine": name,
                "p50_ms": samples[str(shape)].p50_ms,
                "speedup": asdict(paired_ratio(samples[str(UNPRUNED)], samples[str(shape)])),
                "graph_bytes": len(graphs[shape]),
            }
            for shape in graphs
        }
        for engine in engines.values():
            engine.close()
        if not best or found[UNPRUNED]["p50_ms"] < best[UNPRUNED]["p50_ms"]:
            best = found
    return best


if __name__ == "__main__":
    main()
