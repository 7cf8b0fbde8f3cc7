"""Which task a model has: what the file carries, what the options say, and what neither may contradict."""

from __future__ import annotations

import json

import pytest
from measures import raw_spec, register_raw

from edgevision.compiler.sources.asking import SourceOptions, resolve_metadata, resolve_task
from edgevision.compiler.sources.metadata import ModelMetadata
from edgevision.errors import InputError, ModelFileError
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks import registry
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.registry import ModelFacts, TaskType
from edgevision.tasks.results import Label
from edgevision.tensors import TensorInfo

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(32, 24)
LABELS = (Label(7, "apple"), Label(9, "pear"))
SCORES = TensorInfo("output", "float32", (None, 2))
BOXES = TensorInfo("boxes", "float32", (None, 100, 4))


@pytest.fixture(autouse=True)
def raw(monkeypatch):
    register_raw(monkeypatch)


class TestResolveTask:
    def test_classify_is_the_default(self):
        assert resolve_task("net", "classify", ModelFacts((SCORES,), LABELS, "probabilities")) == classify_spec(
            LABELS, "probabilities"
        )

    def test_another_task_reads_the_outputs_by_their_names(self):
        task = resolve_task("net", "raw", ModelFacts((BOXES, SCORES), LABELS))
        assert task == raw_spec("boxes", "output")

    def test_what_an_output_means_is_never_guessed(self):
        with pytest.raises(
            ModelFileError, match=r"^net\.onnx: --output is one of \['logits', 'probabilities'\], got None"
        ):
            resolve_task("net.onnx", "classify", ModelFacts((SCORES,), LABELS))

    def test_outputs_with_more_than_one_reading_are_an_error_of_the_file(self, monkeypatch):
        def resolve(facts):
            raise InputError(f"either of {[output.name for output in facts.outputs]} could be it")

        kinds = {**registry._registered, "torn": TaskType("torn", lambda spec: spec, resolve)}
        monkeypatch.setattr(registry, "_registered", kinds)
        with pytest.raises(ModelFileError, match=r"^net\.pt: either of \['boxes', 'output'\] could be it$") as caught:
            resolve_task("net.pt", "torn", ModelFacts((BOXES, SCORES), LABELS))
        assert caught.value.exit_status == 2

    def test_a_task_that_nobody_brings(self):
        with pytest.raises(
            ModelFileError, match=r"nothing here knows the task 'juggle'; known are classify, detect, .*raw"
        ):
            resolve_task("net.pt", "juggle", ModelFacts((SCORES,), LABELS))


class TestResolveMetadata:
    CARRIED = ModelMetadata(SPEC, classify_spec(LABELS, "probabilities", temperature=2.0))

    def resolve(self, carried, **options):
        return resolve_metadata("net", carried, SourceOptions(**options), None, None)

    def test_what_the_file_carries_is_taken_whole(self):
        described = self.resolve(self.CARRIED)
        assert (described.spec, described.task, described.labels) == (SPEC, self.CARRIED.task, LABELS)

    @pytest.mark.parametrize("said", [{"output": "probabilities"}, {"task": "classify"}, {"preprocess": SPEC}])
    def test_saying_the_same_is_no_contradiction(self, said):
        assert self.resolve(self.CARRIED, **said).task == self.CARRIED.task

    @pytest.mark.parametrize(
        ("said", "option"),
        [
            ({"output": "logits"}, "--output"),
            ({"task": "raw"}, "--task"),
            ({"preprocess": PreprocessSpec(16, 16)}, "--preprocess"),
        ],
    )
    def test_contradictions_are_refused_by_the_name_of_the_option(self, said, option):
        with pytest.raises(InputError, match=f"net carries its own {option[2:]}, and {option} says otherwise"):
            self.resolve(self.CARRIED, **said)

    def test_layouts_are_those_of_the_task(self):
        with pytest.raises(InputError, match=r"--output is one of \['plain'\], got 'logits'"):
            self.resolve(None, task="raw", output="logits", preprocess=SPEC, labels=LABELS)
        with pytest.raises(InputError, match=r"--output is one of \['logits', 'probabilities'\], got 'plain'"):
            self.resolve(None, output="plain", preprocess=SPEC, labels=LABELS)

    def test_a_task_whose_outputs_tell_needs_no_output(self):
        described = self.resolve(None, task="raw", preprocess=SPEC, labels=LABELS)
        assert (described.task, described.labels) == (None, LABELS)  # the task waits for the outputs

    def test_what_is_missing_is_asked_for_with_the_task(self):
        with pytest.raises(ModelFileError, match="how a photo becomes its input") as caught:
            self.resolve(None, task="raw", labels=LABELS)
        assert "--task raw" in str(caught.value)
        assert "--output" not in str(caught.value)
        with pytest.raises(ModelFileError, match=r"--output logits\|probabilities"):
            self.resolve(None, preprocess=SPEC, labels=LABELS)

    def test_how_pictures_are_prepared_may_stand_in_the_file(self):
        written = {"author": "Ultralytics", "task": "detect", "imgsz": "[64, 96]"}
        for said, expected in (
            (SourceOptions(task="detect"), (64, 96)),
            (SourceOptions(task="detect", preprocess=SPEC), (32, 24)),
        ):
            spec = resolve_metadata("net", None, said, None, None, written).spec
            assert (spec.height, spec.width) == expected  # what the user says is stronger

    def test_a_task_that_nobody_brings(self):
        with pytest.raises(InputError, match="nothing here knows the task 'juggle'"):
            self.resolve(None, task="juggle", preprocess=SPEC, labels=LABELS)


@pytest.mark.parametrize(
    ("mean", "std", "refused"),
    [
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], True),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], True),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], False),  # pixels as they are
        ([0.0, 0.0, 0.0], [255.0, 255.0, 255.0], False),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], False),
    ],
)
def test_a_mean_in_units_of_0_to_1_is_refused(tmp_path, mean, std, refused):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**SPEC.to_dict(), "mean": mean, "std": std}))
    options = SourceOptions(preprocess=str(path), labels=LABELS, output="logits")
    if not refused:
        assert resolve_metadata("x.onnx", None, options, None, None).spec.std == tuple(std)
        return
    with pytest.raises(InputError, match="pixel units") as caught:
        resolve_metadata("x.onnx", None, options, None, None)
    assert f'"std": {[round(255 * value, 3) for value in std]}' in str(caught.value)
