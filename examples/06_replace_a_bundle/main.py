"""A new bundle for a program that runs: no answer is lost, and a bad file changes nothing.

python examples/06_replace_a_bundle/main.py [BUNDLE]

`Recogniser` is what to copy. The rest plays the part of a program that is always asking, and of whoever brings new files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

import edgevision as ev
from edgevision.demo.scene import SceneKind, render, sample_scene


class Recogniser:
    """A model that can be replaced while others call ``predict``."""

    def __init__(self, path: Path) -> None:
        self._model = ev.load(path)
        self._replacing = threading.Lock()

    def predict(self, picture: object) -> ev.Classification:
        """As ``Model.predict``."""
        while True:
            model = self._model
            try:
                return model.predict(picture)
            except ev.errors.EdgeVisionError:
                if model is self._model:
                    raise
                # The model was closed between the two lines above: the new one is there, so ask it.

    def replace(self, path: Path) -> None:
        """Go over to the bundle at ``path``. On any error the old model stays in use, and the error is raised."""
        with self._replacing:
            fresh = ev.load(path)  # hashes and golden frames are checked here, while the old model works
            old, self._model = self._model, fresh
        old.close()  # waits for the predictions that are running

    def close(self) -> None:
        """Close the model in use."""
        self._model.close()


def install(source: Path, target: Path) -> None:
    """Put a file in place of another, so that ``target`` is whole at every instant. Never write over a bundle in use."""
    beside = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, beside)
    beside.replace(target)


def main(bundle: str = "runs/demo/model.edge") -> None:
    picture = render(sample_scene(np.random.default_rng(3), SceneKind.LISTED))
    with tempfile.TemporaryDirectory() as folder:
        live, damaged = Path(folder, "live.edge"), Path(folder, "damaged.edge")
        install(Path(bundle), live)
        data = bytearray(live.read_bytes())
        data[len(data) // 2] ^= 1  # one bit is wrong
        damaged.write_bytes(data)

        recogniser = Recogniser(live)
        answers: list[str] = []
        errors: list[Exception] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    answers.append(recogniser.predict(picture).best.name)
                except Exception as error:
                    errors.append(error)

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        try:
            try:
                recogniser.replace(damaged)
            except ev.errors.BundleError as error:
                print(f"refused: {str(error).replace(folder, '…')}")
            before = len(answers)
            for _ in range(3):
                install(Path(bundle), live)
                recogniser.replace(live)
            print(f"replaced 3 times, {len(answers) - before} answers meanwhile: {len(answers) > before}")
        finally:
            stop.set()
            for thread in asking:
                thread.join()
            recogniser.close()
    print(f"{len(answers)} answers in all, {len(errors)} errors, answers differ: {len(set(answers)) > 1}")


if __name__ == "__main__":
    main(*sys.argv[1:])
