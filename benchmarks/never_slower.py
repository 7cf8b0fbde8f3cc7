"""Is what `compile` chooses ever slower than what a user would take instead? Static batches, equal threads, one run.

    python -m benchmarks.never_slower [MODEL...] --nncf-python ENVIRONMENT/bin/python    # see nncf_quantize.py
    python -m benchmarks.never_slower [MODEL...] --reuse    # measures graphs that an earlier run, or --prepare, left

For each model, number of threads and batch, two interleaved measurements in this process:

1. a survey of everything: our variants, of which `compile`'s rule chooses one, and the peers: float in both engines,
   OpenVINO's bfloat16, onnxruntime's ``quantize_static`` (in onnxruntime, and in OpenVINO), NNCF in OpenVINO;
2. the choice, in a session of its own, against every peer within 1.5 times the quickest one's time. Reported is the
   median of the per-round ratios, ours / quickest peer, with its bootstrap 95 % interval. Never slower: its upper end is
   at most 1.03.

Beside the times: what every candidate's answers have in common with float's on photos that calibrated nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import RESULTS, RUNS, shorten, write_result
from benchmarks.networks import CLASSES, NAMES, float_graph, measure_of, network
from benchmarks.peers_int8 import NNCF_PRESETS, nncf_quantize, open_graph, quantize_static, with_static_batch
from edgevision.bundle.manifest import Verdict
from edgevision.compiler.answers import AnswerMeasure
from edgevision.compiler.data.photos import prepared, truths_of
from edgevision.compiler.options import CompileOptions, Objective, Precision
from edgevision.compiler.quantize.recipes import calibrate, for_dialect, int8_candidates
from edgevision.compiler.quantize.targets import DIALECT_ENGINES, cpu_target
from edgevision.compiler.select import choose
from edgevision.compiler.select.measure import open_each
from edgevision.compiler.select.run_photos import run_all
from edgevision.compiler.select.verdict import ScoredVariant, ValidationTruth, verdict
from edgevision.compiler.variants import REFERENCE, Candidate, VariantMeasurement
from edgevision.engines import Engine, EngineOptions, available_engines
from edgevision.errors import EngineError
from edgevision.latency import Samples, measure_interleaved, paired_ratio
from edgevision.machine import describe_machine, package_versions, usable_cores
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import SCORES
from edgevision.tensors import Outputs

RESULT = "never-slower"
FOLDER = RUNS / RESULT
OURS = "ours"
FLOAT_PEERS = ("onnxruntime-float", "openvino-float", "openvino-bf16")
BOXES = 4  # leading channels of the detector's output that are pixels; the others are scores
SURVEY_SECONDS, SURVEY_ROUNDS = 5.0, (4, 60)
FINAL_ROUNDS = (15, 2000)
NEAR = 1.5
BOUND = 1.03  # of the interval's upper end: what the noise of one run may add


@dataclass(frozen=True)
class Session:
    """Something to run: a graph (a file: ONNX, or OpenVINO's IR) in an engine, with ``EngineOptions.precision``."""

    id: str
    engine: str
    precision: str
    graph: Path

    def open(self, threads: int, batch: int) -> Engine:
        """Load it, its batch fixed. (OpenVINO's engine fixes the batch itself.)"""
        graph: bytes | Path = self.graph
        if self.engine == "onnxruntime":
            graph = with_static_batch(self.graph.read_bytes(), batch)
        return open_graph(self.engine, graph, EngineOptions(threads, self.precision))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model's graphs on disk. ``ours``: the variants that compile would measure; ``peers``: the others, and float.

    ``tensors`` [photos, c, h, w]: to check with. ``record``: how it was made.
    """

    name: str
    ours: tuple[Session, ...]
    peers: tuple[Session, ...]
    tensors: npt.NDArray[np.float32]
    record: dict[str, Any]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", default=list(NAMES), metavar="MODEL", help=f"of {', '.join(NAMES)}")
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    p.add_argument("--rounds", type=int, help="of the deciding measurement (default: as many as --seconds hold)")
    p.add_argument("--seconds", type=float, default=12.0, help="of it, for each number of threads and batch")
    p.add_argument("--photos", type=int, help="that calibrate, at most (default: 300; detector 32)")
    p.add_argument("--nncf-python", type=Path, help="Python of an environment with NNCF; only to prepare graphs")
    p.add_argument("--reuse", action="store_true", help="measure the graphs that an earlier run prepared")
    p.add_argument("--prepare", action="store_true", help="only prepare the graphs")
    arguments = p.parse_args()
    if unknown := set(arguments.models) - set(NAMES):
        p.error(f"models are {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
    for name in arguments.models:
        folder = FOLDER / name
        if not (arguments.reuse and (folder / "record.json").is_file()):
            if arguments.nncf_python is None:
                p.error(f"the graphs of {name} are not prepared: give --nncf-python (see benchmarks/nncf_quantize.py)")
            prepare(name, folder, arguments.nncf_python, arguments.photos)
        if not arguments.prepare:
            save(name, benchmark(read(name, folder), arguments))


def prepare(name: str, folder: Path, nncf_python: Path, photos: int | None) -> None:
    """Write the float graph, our int8 graphs and the peers' of one model, all calibrated on the same photos."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)
    seconds: dict[str, float] = {}
    made, threads = network(name, photos), usable_cores()
    source = made.source
    tensors = list(prepared(made.calibration, source.spec))
    graph = float_graph(made)

    start = time.perf_counter()
    present = available_engines()
    first, *others = [d for d in cpu_target().dialects if any(engine in present for engine in DIALECT_ENGINES[d.name])]
    calibrated = [calibrate(graph, tensors, made.measure, threads, dialect=first)]
    calibrated += [for_dialect(calibrated[0], dialect) for dialect in others]
    candidates = [Candidate("float", graph, "float32", "float"), *int8_candidates(calibrated)]
    seconds[OURS] = time.perf_counter() - start
    for candidate in candidates:
        (folder / f"{candidate.key}.onnx").write_bytes(candidate.graph)

    start = time.perf_counter()
    (folder / "quantize-static.onnx").write_bytes(quantize_static(graph, tensors, {}))
    seconds["quantize_static"] = time.perf_counter() - start
    np.save(folder / "calibration.npy", np.concatenate(tensors))
    versions: dict[str, str] = {}
    for preset in NNCF_PRESETS:
        start = time.perf_counter()
        versions = nncf_quantize(
            nncf_python, folder / "float.onnx", folder / "calibration.npy", folder / f"nncf-{preset}.xml", preset
        )
        seconds[f"nncf {preset}"] = time.perf_counter() - start
    (folder / "calibration.npy").unlink()
    np.save(folder / "check.npy", np.concatenate(list(prepared(made.check, source.spec))))
    truth = truths_of(made.check) if made.proven else None
    record = {
        "calibration_photos": len(made.calibration), "check_photos": len(made.check),
        "truth": truth, "task": source.task.to_dict(),
        "detector": made.is_detector, "source": dict(source.info),
        "candidates": [{"key": c.key, "precision": c.precision, "dialect": c.dialect, "recipe": c.recipe} for c in candidates],
        "seconds": seconds, "nncf_environment": versions,
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record, indent=1))


def read(name: str, folder: Path) -> Prepared:
    """What ``prepare`` left."""
    record = json.loads((folder / "record.json").read_text())
    candidates = [
        Candidate(c["key"], (folder / f"{c['key']}.onnx").read_bytes(), c["precision"], c["dialect"], c["recipe"])
        for c in record["candidates"]
    ]
    found = open_each(candidates, 1).variants
    ours = tuple(Session(v.id, v.engine, v.precision, folder / f"{v.candidate.key}.onnx") for v in found)
    quantized = folder / "quantize-static.onnx"
    rest = [
        Session("quantize_static-onnxruntime", "onnxruntime", "float32", quantized),
        Session("quantize_static-openvino", "openvino", "float32", quantized),
        *(Session(f"nncf-{preset}", "openvino", "float32", folder / f"nncf-{preset}.xml") for preset in NNCF_PRESETS),
    ]
    peers = (*(session for session in ours if session.id in FLOAT_PEERS), *filter(_loads, rest))
    return Prepared(name, ours, peers, np.load(folder / "check.npy", mmap_mode="r"), record)


def _loads(session: Session) -> bool:
    try:
        session.open(1, 1).close()
    except EngineError as error:
        print(f"{session.id} is left out: {error}", file=sys.stderr)
        return False
    return True


def benchmark(model: Prepared, arguments: argparse.Namespace) -> dict[str, Any]:
    """Check every candidate, then measure at each number of threads and batch."""
    print(f"\n{model.name}")
    answers = check(model)
    for id, answer in answers.items():
        print(f"  {id:28s} {answer['text']:58s} {_brief(answer['layers'])}")
    poor = {id for id, answer in answers.items() if not answer.get("within_budget", True)}
    offered = [session for session in model.ours if session.id not in poor]
    settings = [
        measure(model, offered, poor, threads, batch, arguments)
        for threads in arguments.threads
        for batch in arguments.batch
    ]
    return {
        "candidates": answers, "settings": settings, "never_slower": all(s["never_slower"] for s in settings),
        "prepared": {key: model.record[key] for key in model.record if key not in ("task", "truth")},
    }  # fmt: skip


def check(model: Prepared) -> dict[str, dict[str, Any]]:
    """By session: how its answers compare with float's, in figures and words, and its layers by precision."""
    sessions = {session.id: session for session in (*model.ours, *model.peers)}
    record, found = model.record, {}
    measure = measure_of(TaskSpec.from_dict(record["task"]), record["detector"])
    with ExitStack() as stack:
        engines = {id: stack.enter_context(session.open(usable_cores(), 1)) for id, session in sessions.items()}
        answers = run_all(engines, [model.tensors], measure)
        layers = {id: engine.layer_precisions() for id, engine in engines.items()}
    reference = answers[REFERENCE]
    for id, own in answers.items():
        figures: dict[str, Any] = {}
        if record["detector"]:
            (boxes, scores), (own_boxes, own_scores) = parts_of(reference), parts_of(own)
            figures["boxes_sqnr_db"] = sqnr_db(boxes, own_boxes)
            figures["scores_sqnr_db"] = sqnr_db(scores, own_scores)
            text = f"boxes {figures['boxes_sqnr_db']:5.1f} dB  scores {figures['scores_sqnr_db']:5.1f} dB"
        else:
            figures["agreement_percent"] = measure.agreement(reference, own)
            figures["sqnr_db"] = sqnr_db(reference[SCORES], own[SCORES])
            text = f"agreement {figures['agreement_percent']:5.1f} %  {figures['sqnr_db']:5.1f} dB"
        if record["truth"] is not None:
            said = verdict_on(measure, reference, own, record["truth"])
            figures |= {"top1_percent": said.value, "drop_points": said.drop, "within_budget": said.passed}
            text += f"  top-1 {said.value:.2f} %" + ("" if said.passed else ", over the budget")
        finite = {
            key: None if value == float("inf") else value for key, value in figures.items()
        }  # JSON has no infinity
        found[id] = {**finite, "photos": len(model.tensors), "layers": layers[id], "text": text}
    return found


def verdict_on(measure: AnswerMeasure, reference: Outputs, own: Outputs, truth: Sequence[int]) -> Verdict:
    """On answers against float's, by compile's default budget: drop and classes. Nothing was fitted for any of the
    candidates, so their calibration errors are not compared.
    """
    before, after = (ScoredVariant(measure.evaluator.scores(answers, truth), None) for answers in (reference, own))
    return verdict(measure, before, after, ValidationTruth(truth, True, False), CompileOptions())


def parts_of(answers: Outputs) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The detector's boxes [n, 4, anchors] and scores [n, classes, anchors]."""
    channels = answers[SCORES].reshape(len(answers[SCORES]), BOXES + CLASSES, -1)
    return channels[:, :BOXES], channels[:, BOXES:]


def sqnr_db(reference: npt.NDArray[np.float32], output: npt.NDArray[np.float32]) -> float:
    """Signal-to-quantization-noise ratio in dB; infinite where they are equal."""
    expected = reference.astype(np.float64)
    noise = float(np.sum((expected - output) ** 2))
    return 10 * float(np.log10(np.sum(expected**2) / noise)) if noise else float("inf")


def measure(
    model: Prepared, offered: list[Session], poor: set[str], threads: int, batch: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """The survey, the choice among ``offered``, and the choice against the quickest peers.

    ``poor``: what is over the accuracy budget. As a peer it counts all the same, and the result says so.
    """
    every = {session.id: session for session in (*offered, *model.peers)}
    item = np.array(model.tensors[:1])
    with ExitStack() as stack:
        calls = {id: _call(stack, session, threads, batch, item) for id, session in every.items()}
        first = measure_interleaved(calls, rounds=1, warmup=1)
        rounds = _rounds(SURVEY_SECONDS, SURVEY_ROUNDS, first.values())
        survey = measure_interleaved(calls, rounds=rounds, warmup=1, seed=1)
        chosen = _chosen(offered, survey, threads, batch)
        quickest = min(survey[peer.id].p50_ms for peer in model.peers)
        near = [peer for peer in model.peers if survey[peer.id].p50_ms <= NEAR * quickest]
        final_calls = {OURS: _call(stack, chosen, threads, batch, item), **{peer.id: calls[peer.id] for peer in near}}
        once = [survey[session.id] for session in (chosen, *near)]
        rounds = arguments.rounds or _rounds(arguments.seconds, FINAL_ROUNDS, once)
        final = measure_interleaved(final_calls, rounds=rounds, warmup=3, seed=2)
    ours = final[OURS]
    best = min(near, key=lambda peer: final[peer.id].p50_ms)
    ratio = paired_ratio(ours, final[best.id])
    result = {
        "threads": threads, "batch": batch, "chosen": chosen.id, "best_peer": best.id, "ratio": asdict(ratio),
        "best_peer_over_budget": best.id in poor, "never_slower": ratio.high <= BOUND, "same_as_peer": chosen.id in FLOAT_PEERS, "rounds": rounds,
        "p50_ms": {id: samples.p50_ms for id, samples in final.items()},
        "against": {peer.id: asdict(paired_ratio(ours, final[peer.id])) for peer in near},
        "survey": {
            "rounds": survey[chosen.id].n, "p50_ms": {id: samples.p50_ms for id, samples in survey.items()},
            "against": {peer.id: asdict(paired_ratio(survey[chosen.id], survey[peer.id])) for peer in model.peers},
        },
        "undisturbed": ours.undisturbed,
    }  # fmt: skip
    _print(result)
    return result


def _call(stack: ExitStack, session: Session, threads: int, batch: int, item: npt.NDArray[np.float32]) -> Any:
    engine = stack.enter_context(session.open(threads, batch))
    slot = engine.slots(batch)[0]
    slot.inputs[engine.inputs[0].name][...] = item
    return lambda: engine.run(slot)


def _rounds(seconds: float, limits: tuple[int, int], once: Iterable[Samples]) -> int:
    """As many rounds of calls as ``once`` as fit into the time, within limits."""
    return int(np.clip(1000 * seconds / sum(samples.p50_ms for samples in once), *limits))


def _chosen(offered: list[Session], survey: Mapping[str, Samples], threads: int, batch: int) -> Session:
    """By compile's own rule (``--precision auto``)."""
    measurements = [
        VariantMeasurement(
            s.id, s.graph.stem, s.engine, s.precision, s.graph.stat().st_size,
            {(threads, batch): survey[s.id]},
        )
        for s in offered
    ]  # fmt: skip
    best = choose.ranked(measurements, Precision.AUTO, Objective.LATENCY, threads, batch)[0]
    return next(session for session in offered if session.id == best.id)


def _brief(layers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {precision}" for precision, count in sorted(layers.items(), key=lambda item: -item[1]))


def _print(result: dict[str, Any]) -> None:
    ratio, p50 = result["ratio"], result["p50_ms"]
    finding = "never slower" if result["never_slower"] else "SLOWER, or not sure"
    same = " (over the budget)" if result["best_peer_over_budget"] else ""
    same += ", the same graph" if result["same_as_peer"] and result["chosen"] == result["best_peer"] else ""
    print(f"  {result['threads']} threads, batch {result['batch']}: {result['chosen']} {p50[OURS]:.2f} ms, best peer "
          f"{result['best_peer']} {p50[result['best_peer']]:.2f} ms{same}: ratio {ratio['median']:.3f} "
          f"[{ratio['low']:.3f}…{ratio['high']:.3f}] of {ratio['n']} rounds, {finding}")  # fmt: skip
    times = sorted(result["survey"]["p50_ms"].items(), key=lambda item: item[1])
    print("    survey: " + "  ".join(f"{id} {ms:.2f}" for id, ms in times))


def save(name: str, figures: dict[str, Any]) -> None:
    """Put one model's figures into the result file, beside what it holds of the others."""
    path = RESULTS / f"{RESULT}.json"
    models = json.loads(path.read_text())["models"] if path.is_file() else {}
    made = {
        "command": shlex.join(shorten(word) for word in sys.orig_argv),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": asdict(describe_machine()),
        "load_average": os.getloadavg(),
        "versions": package_versions(("onnxruntime", "openvino", "torch")) | {"nncf": figures["prepared"]["nncf_environment"]["nncf"]},
    }  # fmt: skip
    models[name] = {**made, **figures}
    ordered = {model: models[model] for model in NAMES if model in models}
    write_result(RESULT, {"models": ordered, "bound": BOUND})


if __name__ == "__main__":
    main()
