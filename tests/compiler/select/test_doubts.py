"""Which photos float's answers are looked at with, and which other preparations are tried."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.compiler.data.photos import CompilePhoto, DataSplits
from edgevision.errors import InputError
from edgevision.preprocess.spec import ColorOrder, PreprocessSpec, preset
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

PLAIN = PreprocessSpec(8, 8)  # RGB, pixels of 0…1
MEAN, STD = preset("imagenet").mean, preset("imagenet").std


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        (PLAIN, "channels in BGR order", {"color": ColorOrder.BGR}),
        (PLAIN, "pixels of 0…255", {"std": (1.0,) * 3}),
        (PLAIN, "pixels of −1…1", {"mean": (127.5,) * 3, "std": (127.5,) * 3}),
        (PLAIN, "ImageNet's mean and std", {"mean": MEAN, "std": STD}),
        (PLAIN, "pixels of 0…255 in BGR order", {"std": (1.0,) * 3, "color": ColorOrder.BGR}),
        # Each channel keeps its own mean and std.
        (
            PLAIN,
            "ImageNet's mean and std in BGR order",
            {"mean": MEAN[::-1], "std": STD[::-1], "color": ColorOrder.BGR},
        ),
        (replace(PLAIN, color=ColorOrder.BGR), "channels in RGB order", {"color": ColorOrder.RGB}),
        (
            PreprocessSpec(8, 8, color=ColorOrder.GRAY, mean=(0.0,), std=(255.0,)),
            "pixels of 0…255",
            {"std": (1.0,)},
        ),
    ],
)
def test_other_preparations(spec, name, expected):
    from edgevision.compiler.select.doubts import other_preparations

    ways = other_preparations(spec)
    assert ways[name] == replace(spec, **expected)
    assert spec not in ways.values()
    assert len(set(ways.values())) == len(ways)
    if spec.color is ColorOrder.GRAY:
        assert {one.color for one in ways.values()} == {ColorOrder.GRAY}


def photos(n, truth, name):
    return tuple(CompilePhoto(b"", truth, f"{name}{i}", classes=() if truth is None else (truth,)) for i in range(n))


@pytest.mark.parametrize(
    ("calibration", "validation", "n", "labelled"),
    [
        (photos(20, 0, "a"), photos(20, 1, "b"), 40, 40),
        (photos(20, None, "a"), photos(20, 1, "b"), 20, 20),
        (photos(20, 0, "a"), photos(20, None, "b"), 20, 20),
        (photos(20, None, "a"), photos(20, None, "b"), 32, 0),
        (photos(2000, 0, "a"), photos(400, 1, "b"), 256, 256),
        ((), (), 0, 0),
    ],
)
def test_labelled_photos_are_looked_at_where_there_are_any(calibration, validation, n, labelled):
    from types import SimpleNamespace

    from edgevision.compiler.select.doubts import _photos

    taken = _photos(SimpleNamespace(splits=DataSplits(calibration, validation, "")))
    assert len(taken) == n
    assert sum(photo.truth is not None for photo in taken) == labelled
    by_class = [sum(photo.truth == place for photo in taken) for place in (0, 1)]
    if n == 256:
        assert by_class == [128, 128]  # the same share of each class


# ---- preparations that only cost points ----

HEAD = "r = Constant<value = int64[2] {2, 3}>() m = ReduceMean<keepdims=0>(input, r)"
# Is it reddish? Magenta is, in either order of the channels.
REDDISH = f"{HEAD} w = Constant<value = float[3,2] {{10.0, 0.0, 0.0, 7.0, 0.0, 7.0}}>() output = MatMul(m, w)"
# Is it bright?
BRIGHT = (
    f"{HEAD} w = Constant<value = float[3,2] {{3.333, 0.0, 3.333, 0.0, 3.334, 0.0}}>() b = Constant<value = float[2] {{0.0, 5.0}}>() "
    "p = MatMul(m, w) output = Add(p, b)"
)
RED, GREEN, BLUE, MAGENTA = (200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 0, 200)
WHITE, LIGHT, DARK = (220,) * 3, (140,) * 3, (40,) * 3


def shown(*kinds):
    """Photos of one colour each: (RGB, how many, class)."""
    from edgevision.decode import encode_png

    made = []
    for place, (color, n, truth) in enumerate(kinds):
        for i in range(n):
            image = np.full((8, 8, 3), color[::-1], np.uint8)
            image[0, 0] = i % 30  # every photo is another
            made.append(CompilePhoto(encode_png(image), truth, f"{i:03d}{place}", classes=(truth,)))
    return tuple(made)


def looked_at(body, photos, spec, kind="ONNX", **more):
    """What ``check_answers`` gives for the graph on these photos."""
    import onnx

    from edgevision.compiler.answers import AnswerMeasure
    from edgevision.compiler.job import make_job
    from edgevision.compiler.options import CompileOptions
    from edgevision.compiler.progress import silent
    from edgevision.compiler.select.doubts import check_answers
    from edgevision.compiler.sources.source import SourceKind, SourceModel
    from edgevision.tasks.classify import classify_spec

    shape = "float[batch,3,8,8] input) => (float[batch,2] output"
    graph = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> net ({shape}) {{ {body} }}')
    task = classify_spec((Label(0, "yes"), Label(1, "no")))
    model = SourceModel(SourceKind[kind], spec, task, {"name": "net.onnx"})
    splits = DataSplits(photos[::2], photos[1::2], "here")
    job = make_job(
        CompileOptions(threads=1, **more.pop("options", {})), model, AnswerMeasure.of(task, spec), splits, silent
    )
    return check_answers(job, graph.SerializeToString(), **more)


SWAPPED = replace(PLAIN, color=ColorOrder.BGR)


def colours(turned: int):
    """``turned``: how many of red and of blue photos, which exchanged channels turn."""
    return shown((MAGENTA, 60, 0), (RED, turned, 0), (GREEN, 60, 1), (BLUE, turned, 1))


def test_swapped_channels_that_cost_many_points_are_refused():
    with pytest.raises(InputError, match="prepared in another way than in training") as caught:
        looked_at(REDDISH, colours(20), SWAPPED)
    assert "with channels in RGB order the float model's top1 on 160 labelled photos is 100.0 %" in str(caught.value)
    assert "and 75.0 % as --preprocess has it" in str(caught.value)
    assert "--force" in str(caught.value)
    (note,) = looked_at(REDDISH, colours(20), SWAPPED, options={"force": True})
    assert "75.0 % as --preprocess has it (--force)" in note


def test_those_that_cost_few_are_a_note():
    (note,) = looked_at(REDDISH, colours(6), SWAPPED)
    assert "with channels in RGB order" in note
    assert "is 100.0 %, and 90.9 % as --preprocess has it, which is more than chance" in note


@pytest.mark.parametrize(
    ("photos", "spec"),
    [
        (colours(20), PLAIN),  # as it is in training
        (colours(3), SWAPPED),  # 6 of 126: may be chance
        (colours(1), SWAPPED),
        # Wrong on a fifth, and in every other order of the channels on more.
        (shown((RED, 60, 0), (GREEN, 60, 1), (RED, 15, 1), (GREEN, 15, 0)), PLAIN),
    ],
)
def test_what_may_be_chance_is_not_said(photos, spec):
    assert looked_at(REDDISH, photos, spec) == ()


def test_another_scale_is_found_too():
    imagenet = replace(PLAIN, mean=MEAN, std=STD)
    with pytest.raises(InputError, match="with pixels of 0…1 the float model's top1 on 150 labelled photos is 100"):
        looked_at(BRIGHT, shown((WHITE, 50, 0), (LIGHT, 40, 0), (DARK, 60, 1)), imagenet)


def test_our_checkpoint_is_believed_and_so_is_a_photo_without_a_label():
    assert looked_at(REDDISH, colours(20), SWAPPED, kind="CHECKPOINT") == ()
    unlabelled = tuple(replace(one, truth=None, classes=()) for one in colours(20))
    assert looked_at(REDDISH, unlabelled, SWAPPED) == ()


@pytest.mark.parametrize(("shifted", "tried"), [(False, 1), (True, 7)])
def test_photos_unlike_the_trainings_are_worth_any_time(monkeypatch, shifted, tried):
    """The likeliest way is tried first, and by then the time is over."""
    from edgevision.compiler.select import doubts

    ways = []
    answers = doubts._answers
    monkeypatch.setattr(
        doubts,
        "_answers",
        lambda job, graph, photos, spec, *more: ways.append(spec) or answers(job, graph, photos, spec, *more),
    )
    monkeypatch.setattr(doubts, "SEARCH_S", 0.0)
    wrong = shown((RED, 60, 0), (GREEN, 60, 1), (RED, 15, 1), (GREEN, 15, 0))
    assert looked_at(REDDISH, wrong, PLAIN, shifted=shifted) == ()
    assert ways[:2] == [PLAIN, SWAPPED]
    assert len(ways) == 1 + tried


# ---- which way is named, on figures that are given ----

WAYS = {"first": "1", "second": "2", "third": "3"}


def judged(monkeypatch, figures, doubtful=()):
    """A job whose photos are answered as well as ``figures`` say, by the way they are prepared ("as it is" too). Answers are
    the name of the way; those of ``doubtful`` make no sense."""
    from types import SimpleNamespace

    from edgevision.compiler.select import doubts

    monkeypatch.setattr(doubts, "other_preparations", lambda spec: WAYS)
    monkeypatch.setattr(doubts, "_answers", lambda job, graph, photos, spec: spec)
    monkeypatch.setattr(doubts, "doubts_of", lambda evaluator, answers, truth: answers in doubtful)
    measure = SimpleNamespace(
        evaluator=SimpleNamespace(metric="top1"), accuracy=lambda answers, truth: figures.get(answers, 0.0)
    )
    return SimpleNamespace(measure=measure, model=SimpleNamespace(spec="as it is"))


@pytest.mark.parametrize(
    ("figures", "doubtful", "expected"),
    [
        ({"as it is": 40.0, "2": 60.0}, (), "With second the top1 of 5 photos would be 60.0 %"),
        ({"as it is": 40.0, "2": 59.9}, (), "Check the order of --labels"),  # not 20 points better
        ({"as it is": 40.0, "1": 70.0, "2": 80.0, "3": 80.0}, (), "With second "),  # the best; of equals the likelier
        ({"as it is": 40.0, "1": 70.0, "2": 80.0}, ("2",), "With first "),  # one whose answers make no sense is none
        ({"as it is": 40.0, "1": 70.0}, ("1",), "Check the order of --labels"),
        ({"as it is": 90.0}, (), "Check the order of --labels"),
    ],
)
def test_a_way_is_named_that_is_twenty_points_better_and_makes_sense(monkeypatch, figures, doubtful, expected):
    from edgevision.compiler.select.doubts import _other_preparation

    assert _other_preparation(judged(monkeypatch, figures, doubtful), b"", photos(5, 0, "a")).startswith(expected)


def test_without_labels_no_way_can_be_told_from_another(monkeypatch):
    from edgevision.compiler.select.doubts import _other_preparation

    said = _other_preparation(judged(monkeypatch, {"1": 100.0}), b"", photos(5, None, "a"))
    assert said.startswith("Check the order of --labels")


@pytest.mark.parametrize(
    ("figures", "limit_s", "expected"),
    [
        ({"as it is": 40.0, "2": 40.5, "3": 40.2}, 10.0, "second"),
        ({"as it is": 40.0, "2": 40.0}, 10.0, None),  # no better than it is
        ({"as it is": 40.0, "1": 50.0, "2": 50.0}, 10.0, "first"),
        # Each way takes a second: after the first, and after the second, the time is over or not.
        ({"as it is": 40.0, "1": 50.0, "2": 60.0, "3": 70.0}, 0.5, "first"),
        ({"as it is": 40.0, "1": 50.0, "2": 60.0, "3": 70.0}, 1.0, "second"),
        ({"as it is": 40.0, "1": 50.0, "2": 60.0, "3": 70.0}, 2.0, "third"),
    ],
)
def test_the_best_way_of_those_that_there_is_time_for(monkeypatch, figures, limit_s, expected):
    from edgevision.compiler.select import doubts

    job = judged(monkeypatch, figures)
    seconds = iter(range(100))
    monkeypatch.setattr(doubts.time, "monotonic", lambda: float(next(seconds)))
    assert doubts._best_way(job, b"", photos(5, 0, "a"), "as it is", WAYS, limit_s) == expected


@pytest.mark.parametrize(
    ("batch_s", "looked_at"),
    [
        (0.0, 160),
        (7.5, 160),  # the fourth batch ends at 30 s, which is not beyond
        (7.6, 128),  # at 30.4 s
        (100.0, 64),  # so many at least
    ],
)
def test_large_networks_are_looked_at_with_fewer_photos_but_64(monkeypatch, batch_s, looked_at):
    from types import SimpleNamespace

    from edgevision.compiler.select import doubts

    clock = [0.0]
    monkeypatch.setattr(doubts.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(doubts, "prepared", lambda photos, spec: (np.zeros((32, 1)) for _ in range(len(photos) // 32)))

    def run(graph, tensors, threads):
        seen = 0
        for batch in tensors:
            seen += len(batch)
            clock[0] += batch_s
        return seen

    job = SimpleNamespace(measure=SimpleNamespace(run=run), threads=1)
    assert doubts._answers(job, b"", photos(160, 0, "a"), PLAIN) == looked_at


@pytest.mark.parametrize(("accuracy", "tried"), [(96.9, True), (97.0, True), (97.1, False), (100.0, False)])
def test_where_float_misses_less_than_three_points_no_other_way_is_tried(monkeypatch, accuracy, tried):
    from types import SimpleNamespace

    from edgevision.compiler.select import doubts

    asked = []
    monkeypatch.setattr(doubts, "_best_way", lambda *given: asked.append(given))
    measure = SimpleNamespace(evaluator=None, accuracy=lambda answers, truth: accuracy)
    job = SimpleNamespace(measure=measure, model=SimpleNamespace(kind=None, spec=PLAIN))
    assert doubts._better_preparation(job, b"", photos(5, 0, "a"), {}, 1.0) == ()
    assert bool(asked) == tried
