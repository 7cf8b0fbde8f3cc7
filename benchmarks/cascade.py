"""What a product costs in a cascade, beside the second model's own cost for as many pictures in one call.

    python -m benchmarks.cascade DETECTOR.edge CLASSIFIER.edge [--products 20]

The detector is asked for exactly so many boxes in a frame of 1920×1080. In turns: the cascade, the detector alone, and the
classifier on the same products, cut out before. Of each round: (cascade - detector) / classifier; the median has a bootstrap
95 % interval. The answers have to be those that the classifier gives for the same regions of the frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import edgevision as ev
from benchmarks.beverages import make_frames
from benchmarks.common import write_result
from edgevision.cascade import regions
from edgevision.frames import Frame
from edgevision.latency import Samples, measure_interleaved, paired_ratio
from edgevision.runtime.preparation import Item

RESULT = "cascade"
GOAL = 1.15


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("detector", type=Path)
    p.add_argument("classifier", type=Path)
    p.add_argument("--products", type=int, default=20)
    p.add_argument("--rounds", type=int, default=40)
    arguments = p.parse_args()
    rows = [measure(arguments, threads) for threads in (1, 2)]
    write_result(RESULT, {"products": arguments.products, "goal": GOAL, "rows": rows})
    for row in rows:
        print(
            f"{row['threads']} threads: {row['cascade_ms']:.1f} ms, of which the detector {row['detector_ms']:.1f}; a product "
            "costs {:.3f} times its share of a batch ({:.3f}…{:.3f})".format(*row["ratio"])  # type: ignore[misc]
        )


def measure(arguments: argparse.Namespace, threads: int) -> dict[str, object]:
    """One row: everything with so many threads."""
    count = arguments.products
    detector = ev.load(
        arguments.detector, threads=threads, threshold=0.0, parameters={"max_detections": count, "iou": 1.0}
    )
    with ev.load(arguments.classifier, threads=threads, max_batch=16) as classifier, detector:
        cascade = ev.Cascade(detector, classifier)
        image = make_frames()[0]
        frame = Frame.from_array(image)
        products = cascade.predict(frame)
        if len(products) != count:
            raise SystemExit(f"the detector gives {len(products)} boxes of the {count} that were asked for")
        places = regions(products.detections.boxes, frame, cascade.margin)
        crops = [np.ascontiguousarray(image[r.y : r.y + r.height, r.x : r.x + r.width]) for r in places]
        alone = classifier.predict_items([Item(frame, place) for place in places])
        assert [one.top for one in products.results] == [one.top for one in alone]
        samples = measure_interleaved(
            {
                "cascade": lambda: cascade.predict(frame),
                "detector": lambda: detector.predict(frame),
                "classifier": lambda: classifier.predict(crops),
            },
            rounds=arguments.rounds,
        )
        cost = Samples(samples["cascade"].ns - samples["detector"].ns)
        ratio = paired_ratio(cost, samples["classifier"])
    return {
        "threads": threads, "detector": detector.variant.id, "classifier": classifier.variant.id,
        "cascade_ms": samples["cascade"].p50_ms, "detector_ms": samples["detector"].p50_ms,
        "classifier_ms": samples["classifier"].p50_ms, "ratio": [ratio.median, ratio.low, ratio.high],
    }  # fmt: skip


if __name__ == "__main__":
    main()
