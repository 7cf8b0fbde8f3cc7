"""The same call without HTTP, for ``serve_load``: ``predict`` of a picture's bytes, in a process of its own. Asked by lines of JSON, as ``serve_client``."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import edgevision as ev


def main(bundle: str, engine: str, threads: str) -> None:
    warnings.simplefilter("ignore")
    with ev.load(bundle, engine=engine or None, threads=int(threads)) as model:
        described = {"variant": model.variant.id, "threads": model.threads}
        print(json.dumps(described), flush=True)
        for line in sys.stdin:
            told = json.loads(line)
            pictures = [Path(name).read_bytes() for name in told["pictures"]]
            answers = [model.predict(picture).to_dict() for picture in pictures]
            latency_ns: list[int] = []
            began_ns, used_ns = time.monotonic_ns(), time.process_time_ns()
            turn = 0
            while (asked_ns := time.monotonic_ns()) < began_ns + 1e9 * told["seconds"]:
                model.predict(pictures[turn % len(pictures)])
                latency_ns.append(time.monotonic_ns() - asked_ns)
                turn += 1
            wall_ns = time.monotonic_ns() - began_ns
            used_ns = time.process_time_ns() - used_ns
            answer = {
                "latency_ns": latency_ns, "wall_ns": wall_ns, "began_ns": began_ns, "cpu_ns": used_ns, "answers": answers,
            }  # fmt: skip
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
