"""What pruning costs and brings, out of fold: prune, fine-tune on the half it was trained on, compare on the other half.

    .venv/bin/python -m benchmarks.out_of_fold lite0      # trains the two halves' checkpoints
    .venv/bin/python -m benchmarks.pruning lite0 --minutes 6
    .venv/bin/python -m benchmarks.pruning lite0 --minutes 6 --reuse    # measures latency anew, on a quiet machine say

For each ratio: accuracy in float after pruning, after fine-tuning (the unpruned model teaches), and in int8, photo by
photo against the unpruned int8; and the int8 graph's latency in the quickest engine, all ratios interleaved in one run.
The goal: at least 1.5 times as fast as the unpruned int8, at 1 point or less. Whether it was met is written down.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from benchmarks.common import GROCERY, RUNS, classes_of, write_result
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import CompilePhoto, prepared, stratified_sample, truths_of
from edgevision.compiler.prune.importance import IMPORTANCES
from edgevision.compiler.prune.pruner import PruneOptions, PruneResult, prune
from edgevision.compiler.prune.statistics import outputs_of
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

UNPRUNED = 0.0
GOAL_SPEED, GOAL_DROP = 1.5, 1.0
PORTION = 64


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("arch", nargs="?", default="lite0")
    p.add_argument("--ratios", type=float, nargs="+", default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    p.add_argument("--minutes", type=float, default=6.0, help="of fine-tuning for each ratio and fold")
    p.add_argument("--steps", type=int, default=1, help="of pruning and tuning; the minutes are divided among them")
    p.add_argument("--importances", nargs="+", default=list(IMPORTANCES), choices=IMPORTANCES)
    p.add_argument("--price", default="channels", choices=("channels", "macs"))
    p.add_argument("--photos", type=int, default=256, help="that calibrate")
    p.add_argument("--folds", type=int, nargs="+", default=[0, 1], choices=(0, 1))
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--rounds", type=int, default=300)
    p.add_argument("--reuse", action="store_true", help="take what an earlier run, finished or not, left in runs/")
    arguments = p.parse_args()
    right: dict[str, dict[float, list[npt.NDArray[np.bool_]]]] = {"pruned": {}, "tuned": {}, "int8": {}}
    graphs: dict[float, bytes] = {}
    trials = []
    for fold in arguments.folds:
        for ratio in (UNPRUNED, *arguments.ratios):
            by_stage, graph, record = kept(arguments, fold, ratio)
            for stage, answers in by_stage.items():
                right[stage].setdefault(ratio, []).append(answers)
            graphs.setdefault(ratio, graph)
            trials.append({"fold": fold, "ratio": ratio, **record})
    speed = latency(graphs, arguments.threads, arguments.rounds)
    rows = []
    for ratio in (UNPRUNED, *arguments.ratios):
        compared = {
            stage: paired_comparison(np.concatenate(answers[UNPRUNED]), np.concatenate(answers[ratio]))
            for stage, answers in right.items()
        }
        row = {
            "ratio": ratio,
            **{stage: asdict(paired) for stage, paired in compared.items()},
            **speed[ratio],
            "meets_goal": speed[ratio]["speedup"]["median"] >= GOAL_SPEED and compared["int8"].drop <= GOAL_DROP,
        }
        rows.append(row)
        print(f"ratio {ratio:.2f}  float pruned {compared['pruned'].value:6.2f} %  tuned {compared['tuned'].value:6.2f} %  int8 "
              f"{compared['int8'].value:6.2f} % (drop {compared['int8'].drop:+.2f})  {row['p50_ms']:6.2f} ms  "
              f"{row['speedup']['median']:.2f}× the unpruned int8's speed")  # fmt: skip
    met = [row["ratio"] for row in rows if row["meets_goal"]]
    print(f"goal of {GOAL_SPEED}× at {GOAL_DROP} point: {f'met at {met}' if met else 'missed'}")
    figures = {"arch": arguments.arch, "options": vars(arguments), "goal": {"speed": GOAL_SPEED, "drop": GOAL_DROP, "met_at": met},
               "ratios": rows, "trials": trials}  # fmt: skip
    write_result(f"pruning-{arguments.arch}", figures)


Trial = tuple[dict[str, npt.NDArray[np.bool_]], bytes, dict[str, Any]]


def kept(arguments: argparse.Namespace, fold: int, ratio: float) -> Trial:
    """``one``, kept in runs/: a run of hours goes on where it was broken off."""
    path = RUNS / f"pruning-{arguments.arch}-{fold}-{ratio:g}.npz"
    what = json.dumps(
        {k: v for k, v in vars(arguments).items() if k not in ("folds", "ratios", "rounds", "reuse", "threads")}
    )
    if arguments.reuse and path.is_file():
        with np.load(path, allow_pickle=False) as file:
            if str(file["options"]) == what:
                stages = [name for name in file.files if name.startswith("right_")]
                by_stage = {name.removeprefix("right_"): file[name] for name in stages}
                return by_stage, file["graph"].tobytes(), json.loads(str(file["record"]))
    by_stage, graph, record = one(arguments, fold, ratio)
    rights_by_stage: dict[str, Any] = {f"right_{stage}": answers for stage, answers in by_stage.items()}
    np.savez(
        path,
        options=what,
        record=json.dumps(record, default=str),
        graph=np.frombuffer(graph, np.uint8),
        **rights_by_stage,
    )
    return by_stage, graph, record


def one(arguments: argparse.Namespace, fold: int, ratio: float) -> Trial:
    """Prune, tune and quantize one fold's model: which validation photos are right at each stage, int8 graph, record."""
    name = f"oof-{arguments.arch}-{fold}"
    source = load_source(RUNS / f"{name}.pt", SourceOptions())
    assert source.photos is not None
    assert source.module is not None
    trained = read_dataset(RUNS / f"{name}-train.txt", GROCERY / "classes.csv").with_labels(source.labels)
    compared = read_dataset(RUNS / f"{name}-test.txt", GROCERY / "classes.csv").with_labels(source.labels)
    measure = AnswerMeasure.of(source.task)
    packed = [CompilePhoto(q.data, q.label, "", classes=classes_of(q.label)) for q in source.photos.calibration]
    calibration = stratified_sample(packed, arguments.photos)
    tensors = list(prepared(calibration, source.spec))
    pruned, tuned, record = source.module, source.module, {}
    if ratio:
        result = pruned_by(arguments, source, ratio, np.concatenate(tensors), truths_of(calibration), trained)
        pruned, tuned, record = result.network, result.network, result.to_dict()
        if arguments.minutes and arguments.steps == 1:
            options = FineTuneOptions(epochs=1000, minutes=arguments.minutes)
            done = fine_tune(pruned, source.module, trained, source.spec, options)
            tuned, record = done.network, {**record, "tuning": {"steps": done.steps, "seconds": done.seconds}}
    graph, _ = export_float(replace(source, module=tuned))
    int8 = int8_candidate(calibrate(graph, tensors, measure, arguments.threads)).graph
    by_stage = {
        stage: rights(network, compared, source.spec, measure)
        for stage, network in (("pruned", pruned), ("tuned", tuned))
    }
    by_stage["int8"] = rights(int8, compared, source.spec, measure)
    print(f"fold {fold}  ratio {ratio:.2f}  " + "  ".join(f"{k} {100 * v.mean():.2f} %" for k, v in by_stage.items()))
    return by_stage, int8, record


def pruned_by(
    arguments: argparse.Namespace, source: SourceModel, ratio: float, photos: npt.NDArray[np.float32],
    truths: Sequence[int] | None, trained: Dataset,
) -> PruneResult:  # fmt: skip
    """Pruned; with several steps tuned after each, else not yet."""
    teacher = source.module
    assert teacher is not None
    options = PruneOptions(
        ratio, importances=tuple(arguments.importances), prices=(arguments.price,), steps=arguments.steps
    )
    tuning = FineTuneOptions(epochs=1000, minutes=max(arguments.minutes, 0.01) / arguments.steps)

    def tune(network: nn.Module, _step: int, _steps: int) -> nn.Module:
        return fine_tune(network, teacher, trained, source.spec, tuning).network

    labels = None if truths is None else np.array(truths, np.int64)
    measure = AnswerMeasure.of(source.task)
    return prune(teacher, photos, measure, options, labels=labels, tune=tune if arguments.steps > 1 else None)


def rights(
    model: nn.Module | bytes, dataset: Dataset, spec: PreprocessSpec, measure: AnswerMeasure
) -> npt.NDArray[np.bool_]:
    """Which photos a network, or an ONNX graph, answers rightly."""
    answers: list[int] = []
    for tensor in _tensors(dataset, spec):
        if isinstance(model, bytes):
            digest = measure.run(model, [tensor])
        else:
            digest = measure.digest_of_array(outputs_of(model, tensor))
        answers += measure.evaluator.pseudo_truth(digest)
    return np.asarray(np.array(answers) == dataset.truth)


def _tensors(dataset: Dataset, spec: PreprocessSpec) -> Iterator[npt.NDArray[np.float32]]:
    yield from prepared([CompilePhoto(path, None, "") for path in dataset.paths], spec, PORTION)


def latency(graphs: dict[float, bytes], threads: int, rounds: int) -> dict[float, dict[str, Any]]:
    """Of each int8 graph in the engine that is quickest for the unpruned one: p50, and speed against the unpruned."""
    best: dict[float, dict[str, Any]] = {}
    for name in [engine for engine in ("openvino", "onnxruntime") if engine in available_engines()]:
        engines = {str(ratio): open_engine(name, graph, EngineOptions(threads)) for ratio, graph in graphs.items()}
        calls = {}
        for key, engine in engines.items():
            slot = engine.slots(1)[0]
            calls[key] = lambda engine=engine, slot=slot: engine.run(slot)
        samples = measure_interleaved(calls, rounds=rounds, warmup=20)
        found = {
            ratio: {
                "engine": name,
                "p50_ms": samples[str(ratio)].p50_ms,
                "speedup": asdict(paired_ratio(samples[str(UNPRUNED)], samples[str(ratio)])),
                "graph_bytes": len(graphs[ratio]),
            }
            for ratio in graphs
        }
        for engine in engines.values():
            engine.close()
        if not best or found[UNPRUNED]["p50_ms"] < best[UNPRUNED]["p50_ms"]:
            best = found
    return best


if __name__ == "__main__":
    main()
