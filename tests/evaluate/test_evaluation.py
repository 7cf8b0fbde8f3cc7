"""What `eval` does with a task that it has never heard of: how light is a photo?"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from edgevision.decode import encode_png
from edgevision.errors import DataError, InputError
from edgevision.evaluate import registry
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.evaluate.evaluation import compare, evaluate
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec


@dataclass(frozen=True)
class Seen:
    """What the evaluator was given."""

    evaluator: object
    name: str
    digest: dict
    truth: list
    ood: dict | None

    @property
    def scores(self):
        return self.digest["light"]


class LightEvaluator:
    def __init__(self, spec, preprocess):
        self.task, self.preprocess = SimpleNamespace(spec=spec), preprocess

    def truth(self, dataset):
        return [None if "unsure" in photo.path.stem else int(photo.path.stem) for photo in dataset]

    def paired(self, reference, other, confidence=0.95, seed=0):
        return ("paired", reference.tolist(), other.tolist(), confidence)

    def evaluate(self, name, digest, truth, ood):
        return Seen(self, name, digest, truth, ood)


class Light:
    """A model: its answer is the grey level times ``gain``."""

    def __init__(self, gain, kind="light"):
        self.preprocess = PreprocessSpec(8, 8)
        self.gain, self.task = gain, SimpleNamespace(spec=TaskSpec(kind, (), (), {"gain": gain}))

    def digest(self, images):
        return {"light": self.gain * np.array([[image.mean()] for image in images])}


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {"light": LightEvaluator, "dark": LightEvaluator})


@pytest.fixture
def shelf(tmp_path):
    def make(folder, *names):
        (tmp_path / folder).mkdir()
        for name in names:
            grey = int(name) if name.isdigit() else 0
            (tmp_path / folder / f"{name}.png").write_bytes(encode_png(np.full((3, 5, 3), grey, np.uint8)))
        return read_dataset(tmp_path / folder)

    return make


def test_the_evaluator_of_the_models_spec_is_given_digest_and_truth_of_all_photos(shelf):
    steps = []
    made = evaluate("m", Light(2), shelf("a", *map(str, range(10, 31))), None, lambda *step: steps.append(step))
    assert made.name == "m"
    assert made.truth == list(range(10, 31))
    assert made.digest["light"].tolist() == [[2 * grey] for grey in range(10, 31)]
    assert made.ood is None
    assert made.evaluator.task.spec.parameters == {"gain": 2}
    assert steps == [("m: photos", 8, 21), ("m: photos", 16, 21), ("m: photos", 21, 21)]


def test_photos_of_what_it_does_not_know_need_no_truth(shelf):
    made = evaluate("m", Light(3), shelf("a", "10"), shelf("b", "unsure", "40"))
    assert made.digest["light"].tolist() == [[30]]
    assert sorted(made.ood["light"].tolist()) == [[0], [120]]


def test_a_photo_whose_truth_is_not_known_is_refused_before_the_model_runs(shelf, tmp_path):
    model = Light(1)
    model.digest = None
    for photos in (shelf("a", "10", "unsure"), shelf("b", "unsure")):
        with pytest.raises(DataError, match="needs a class for each photo"):  # this data set has no labels at all
            evaluate("m", model, photos)
    (tmp_path / "a" / "list.csv").write_text("10.png,x\nunsure.png,y\n")
    with pytest.raises(DataError, match=r"the truth of each photo, and .* lacks it for 1 of 2"):
        evaluate("m", model, read_dataset(tmp_path / "a" / "list.csv"))


def test_comparing_is_the_evaluators_with_the_reference_first(shelf):
    photos = shelf("a", "10", "20")
    one, other = (evaluate(str(gain), Light(gain), photos) for gain in (1, 2))
    assert compare(one, other) == ("paired", [[10], [20]], [[20], [40]], 0.95)


def test_models_of_different_tasks_are_not_compared(shelf):
    photos = shelf("a", "10")
    with pytest.raises(InputError, match="expected two models of one task, got a: light, b: dark"):
        compare(evaluate("a", Light(1), photos), evaluate("b", Light(1, "dark"), photos))
