"""``python graph_mutants.py BUNDLE FOLDER FIRST LAST``: bundles with sound hashes and changed graphs, loaded by both engines.

Prints a line of JSON for each mutant and engine: seed, engine, outcome ("answers", or the class of what was raised),
whether that is an EdgeVisionError of one line, seconds, peak memory in MiB. Mutants hang on their seeds alone.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "data"
SIZES = [0, 1, 2, 3, 255, 1000, 65_536, 10**6, 2**31 - 1, 2**31, 10**10, 2**44, 2**62, 2**63 - 1, -1, -(2**63)]


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(kind: str, inputs: list[str], outputs: list[str]) -> bytes:
    names = b"".join(field(1, name.encode()) for name in inputs) + b"".join(field(2, name.encode()) for name in outputs)
    return names + field(4, kind.encode())


def ints(name: str, values: list[int]) -> bytes:
    raw = np.array(values, np.int64).tobytes()
    return field(1, varint(len(values))) + varint(2 << 3) + varint(7) + field(8, name.encode()) + field(9, raw)


def with_part(data: bytes, part: bytes) -> bytes:
    """The model with more in its graph (field 7, the whole of which lies in the middle)."""
    at = data.index(b"\x3a")  # what is before it is an int or text without a colon
    size, end, shift = 0, at + 1, 0
    while True:
        byte = data[end]
        size |= (byte & 0x7F) << shift
        shift, end = shift + 7, end + 1
        if byte < 0x80:
            break
    graph = part + data[end : end + size]
    return data[:at] + field(7, graph) + data[end + size :]


def mutant(seed: int) -> bytes:
    """Bytes changed, cut out, doubled or spliced; numbers made huge; nodes put in front that make tensors of any size."""
    choose = random.Random(seed)
    data = (DATA / choose.choice(["color.onnx", "color-int8.onnx"])).read_bytes()
    if choose.random() < 0.4:
        kind = choose.choice(
            ["ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "Loop", "Upsample", "Gather"]
        )
        sizes = [min(abs(choose.choice(SIZES)), 2**63 - 1) for _ in range(choose.choice([1, 2, 4]))]
        inputs = {"ConstantOfShape": ["size"], "Range": ["zero", "size", "one"]}.get(kind, ["input", "size"])
        part = field(1, node(kind, inputs, ["extra"])) + field(5, ints("size", sizes)) + field(5, ints("zero", [0]))
        part += field(5, ints("one", [1]))
        if choose.random() < 0.5:
            part += field(1, node("ReduceMean", ["extra"], ["less"]))
        data = with_part(data, part)
    changed = bytearray(data)
    for _ in range(choose.choice([0, 1, 1, 2, 4])):
        at = choose.randrange(len(changed))
        change = choose.randrange(4)
        if change == 0:
            changed[at] = choose.randrange(256)
        elif change == 1:
            del changed[at : at + choose.randrange(1, 9)]
        elif change == 2:
            changed[at:at] = changed[at : at + choose.randrange(1, 65)]
        else:
            changed[at : at + 1] = varint(choose.choice(SIZES))
    return bytes(changed)


def hostile_bundle(template: Path, target: Path, graph: bytes) -> None:
    """The bundle with another float graph, and hashes that are right."""
    import zipfile

    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle

    with open_bundle(template) as bundle, zipfile.ZipFile(template) as archive:
        entries = {name: archive.read(name) for name in bundle.manifest.entries}
        manifest = bundle.manifest
    write_bundle(target, manifest, {**entries, "graphs/float.onnx": graph})


def peak_mib() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


def main(template: str, folder: str, first: str, last: str) -> None:
    import edgevision as ev

    warnings.simplefilter("ignore")
    picture = np.zeros((8, 8, 3), np.uint8)
    for seed in range(int(first), int(last)):
        target = Path(folder) / f"{first}.edge"
        hostile_bundle(Path(template), target, mutant(seed))
        for engine in ("onnxruntime", "openvino"):
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            began, ours, outcome = time.perf_counter(), True, "answers"
            try:
                with ev.load(target, variant=f"{engine}-float", threads=1, self_test=False) as model:
                    model.predict(picture)
            except Exception as error:
                ours = isinstance(error, ev.errors.EdgeVisionError) and "\n" not in str(error)
                outcome = type(error).__name__
            seconds = time.perf_counter() - began
            row = {"seed": seed, "engine": engine, "outcome": outcome, "ours": ours, "s": seconds, "mib": peak_mib()}
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
