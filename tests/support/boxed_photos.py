"""Photos with rectangles of three colours, whose boxes are known because they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COLOURS = {"blue": (200, 60, 40), "green": (40, 200, 60), "red": (60, 40, 200)}  # BGR
HEIGHT, WIDTH = 60, 80
SLOT = WIDTH // 3  # each has its own, so that none covers another


def write_boxed(folder: Path, count: int, seed: int) -> Path:
    """``folder/images/<n>.png`` and ``folder/labels/<n>.txt`` as YOLO has them, and ``folder/data.yaml``: one to three
    rectangles on noise."""
    import cv2

    random = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        picture = random.integers(0, 40, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        rows = []
        for slot, label in enumerate(random.permutation(3)[: random.integers(1, 4)].tolist()):
            w, h = int(random.integers(14, SLOT + 1)), int(random.integers(16, 34))
            x, y = SLOT * slot + int(random.integers(SLOT - w + 1)), int(random.integers(HEIGHT - h + 1))
            picture[y : y + h, x : x + w] = list(COLOURS.values())[label]
            rows.append(f"{label} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}")
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames: {list(COLOURS)}\n")
    return folder
