"""The model hot swap: what is refused, what takes over, and what comes back, with models that misbehave when told to."""

from __future__ import annotations

import gc
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from spots import spot_picture, write_spot_finder
from stream_frames import PIXELS
from stream_items import threads_named, wait_until
from stream_models import Gate, ToyModel

import edgevision as ev
from edgevision.cascade import Cascade
from edgevision.errors import EdgeVisionError
from edgevision.streams.clock import FakeClock
from edgevision.streams.fates import Fate
from edgevision.streams.model_change import ModelChange, Step
from edgevision.streams.options import EVERY, StreamOptions, SwapOptions
from edgevision.streams.served_model import as_stream_model, misfit
from edgevision.streams.sources.push import PushSource
from edgevision.streams.stream import Stream
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.results import Label

# Calls of toys take microseconds, which says nothing of their speed.
QUICK = SwapOptions(frames=20, share=1.0, max_slowdown=1e6, watched_batches=10, within_s=60.0)
ALL_WELL = [Step.LOADING, Step.LOADED, Step.SHADOWING, Step.COMPARED, Step.SWITCHED, Step.KEPT]


class Model(ToyModel):
    """Notes that it is closed, and fails from then on."""

    def __init__(self, id: str, before: Callable[[object], None] = lambda frames: None, **more) -> None:
        super().__init__(before=before, id=id, **more)
        self.closed = False

    def predict_frames(self, frames):
        if self.closed:
            raise EdgeVisionError("the model is closed")
        return super().predict_frames(frames)

    def close(self) -> None:
        self.closed = True


class Shop:
    """A stream with a camera that sends all the time, and a loop that reads it."""

    def __init__(self, model, **options) -> None:
        self.stream = Stream(model, options=StreamOptions(warm_up=False, **options))
        self.till = PushSource("till", mode=EVERY, max_age_s=1000)
        self.stream.add(self.till)
        self.results = []
        self._over = threading.Event()

    def send(self) -> None:
        while not self._over.is_set():
            self.till.put(PIXELS, wait_s=0.1)

    def read(self) -> None:
        self.results.extend(self.stream)

    @property
    def changes(self) -> list[ModelChange]:
        return list(self.stream.model_changes)

    @property
    def steps(self) -> list[Step]:
        return [change.step for change in self.changes]

    def swap(self, model, options: SwapOptions = QUICK) -> ModelChange:
        """To its end."""
        before = len(self.changes)
        self.stream.swap(model, options=options)
        return self.ended(before)

    def ended(self, before: int = 0) -> ModelChange:
        wait_until(lambda: any(step.is_last for step in self.steps[before:]))
        return next(change for change in self.changes[before:] if change.step.is_last)

    def go_on(self, count: int = 20) -> None:
        """Some results more."""
        wanted = len(self.results) + count
        wait_until(lambda: len(self.results) >= wanted)


@contextmanager
def open_shop(model, **options) -> Iterator[Shop]:
    """At the end every frame has one fate, results are in order, and no thread is left."""
    shop = Shop(model, **options)
    del model  # whoever is replaced has to go
    threads = [threading.Thread(target=shop.send), threading.Thread(target=shop.read)]
    with shop.stream:
        for thread in threads:
            thread.start()
        try:
            shop.go_on()
            yield shop
        finally:
            shop._over.set()
            threads[0].join(30)
            assert shop.stream.stop(10)
            threads[1].join(30)
    account = shop.stream.ledger.account("till")
    assert account.balanced
    assert account.in_flight == 0
    sequences = [one.sequence for one in shop.results]
    assert sequences == sorted(set(sequences))
    assert account.fates[Fate.SERVED] == len(sequences)
    wait_until(lambda: not threads_named("edgevision-swap"))


def fails(frames) -> None:
    raise ArithmeticError("overflow")


# ---- all is well ----


def test_a_model_that_proves_itself_takes_over_and_the_old_one_is_freed():
    kept: list[bool] = []
    old, new = Model("old"), Model("new")
    weakref.finalize(old, lambda fields: kept.append(fields["closed"]), vars(old))
    with open_shop(old) as shop:
        last = shop.swap(new)
        assert shop.steps == ALL_WELL
        shop.go_on()
        assert not new.closed
        of_new = [frame for call in new.calls for frame in call]
        del old
        wait_until(lambda: gc.collect() >= 0 and bool(kept))
    assert kept == [True]  # closed before it was freed
    assert new.closed  # what a swap brought is the stream's to close
    assert {change.previous_id for change in shop.changes} == {"old"}
    assert re.fullmatch(r"new served \d\d batches without an error", last.words)
    assert last.report.agreement == 1.0
    assert last.report.frames >= 20
    ids = [one.model_id for one in shop.results]
    assert ids == sorted(ids, key=("old", "new").index)
    assert set(ids) == {"old", "new"}
    assert [one.result[1] for one in shop.results] == [one.sequence for one in shop.results]
    first = shop.results[ids.index("new")].sequence
    assert sum(sequence < first for _, sequence in of_new) >= 20  # in shadow
    assert shop.stream.ledger.counts("till").keys() <= {Fate.SERVED, Fate.STOPPED, Fate.OVERFLOW}


def test_each_step_reaches_the_sinks_as_plain_values():
    written = []

    class Sink:
        name, wants_frames = "list", False

        def open(self) -> None: ...

        def write(self, item) -> None:
            written.append(item)

        def close(self, timeout_s: float) -> None: ...

    with Stream(Model("old"), options=StreamOptions(warm_up=False), sinks=[Sink()]) as stream:
        stream.swap(Model("new"), options=SwapOptions(frames=0, watched_batches=0))
        wait_until(lambda: len(stream.model_changes) == 4)
    told = [one.to_dict() for one in written if isinstance(one, ModelChange)]
    assert [one["step"] for one in told] == ["loading", "loaded", "switched", "kept"]
    assert told[0].items() >= {"model_id": "new", "previous_id": "old", "report": None}.items()


def test_a_model_that_runs_more_calls_at_once_gets_the_threads_for_it():
    both = threading.Barrier(2)
    together = []

    def meet(frames) -> None:
        if not together:
            both.wait(30)
            together.append(1)

    with open_shop(Model("old", max_batch=1)) as shop:
        assert shop.swap(Model("new", max_batch=1, parallel=2, before=meet), SwapOptions(frames=0)).step is Step.KEPT


# ---- before the switch ----


@pytest.mark.parametrize(
    ("new", "options", "words"),
    [
        (Model("new", before=fails), {}, "new failed: ArithmeticError: overflow"),
        (Model("new", before=lambda frames: time.sleep(0.01)), {"max_slowdown": 1.5}, "times as long; 1.5 times is allowed"),
        (Model("new", before=lambda frames: time.sleep(1.0)), {}, "did not come back within 0.3 s"),
    ],
    ids=["fails", "slow", "hangs"],
)  # fmt: skip
def test_a_model_that_fails_in_shadow_is_refused_and_the_live_one_goes_on(new, options, words):
    live = Model("live")
    with open_shop(live, model_timeout_s=0.3) as shop:
        last = shop.swap(new, SwapOptions(**{**vars(QUICK), **options}))
        assert last.step is Step.REFUSED
        assert words in last.words
        assert "live goes on" in last.words
        wait_until(lambda: new.closed)
        shop.go_on()
    assert not live.closed  # the stream's first model stays its owner's
    assert {one.model_id for one in shop.results} == {"live"}
    assert Fate.POISON not in shop.stream.ledger.counts("till")


def test_a_model_that_answers_otherwise_is_refused():
    class Other(Model):
        def predict_frames(self, frames):
            return [("other", None) for _ in frames]

    class TooFew(Model):
        def predict_frames(self, frames):
            return []

    with open_shop(Model("live")) as shop:
        assert "agree by 0.0%" in shop.swap(Other("new")).words
        assert "it gave 0 results for " in shop.swap(TooFew("new")).words
        assert shop.swap(Other("new"), SwapOptions(**{**vars(QUICK), "min_agreement": 0.0})).step is Step.KEPT


def test_what_cannot_be_loaded_is_refused(tmp_path):
    (tmp_path / "new.edge").write_bytes(b"nothing")
    with open_shop(Model("live")) as shop:
        for path in (tmp_path / "new.edge", str(tmp_path / "none.edge")):
            last = shop.swap(path)
            assert last.step is Step.REFUSED
            assert "live goes on, for n" in last.words
        assert "without id, max_batch" in shop.swap(object()).words
        assert "it is the model that serves" in shop.swap(shop.stream._batcher.model).words
        shop.go_on()


def test_without_frames_to_compare_it_is_refused_when_the_time_is_over():
    clock = FakeClock()
    stream = Stream(Model("live"), options=StreamOptions(warm_up=False), clock=clock)
    new = Model("new")
    stream.swap(new, options=SwapOptions(within_s=60.0))
    wait_until(lambda: len(stream.model_changes) == 3)
    clock.wait_for_sleepers(1)
    clock.advance(59.0)
    assert stream.model_changes[-1].step is Step.SHADOWING
    clock.wait_for_sleepers(1)
    clock.advance(1.0)
    wait_until(lambda: new.closed)
    assert stream.model_changes[-1].step is Step.REFUSED
    assert "only 0 of 100 frames could be compared within 60 s" in stream.model_changes[-1].words
    assert stream.stop()


def test_where_there_is_no_time_to_spare_the_new_model_is_not_called_and_refused_in_time():
    """Its share is a billionth; batches come all the time."""
    new = Model("new")
    with open_shop(Model("live")) as shop:
        last = shop.swap(new, SwapOptions(**{**vars(QUICK), "share": 1e-9, "within_s": 0.2}))
        assert last.step is Step.REFUSED
        assert "only 0 of 20 frames could be compared within 0.2 s" in last.words
    assert new.calls == []


# ---- after the switch ----


def test_an_error_after_the_switch_brings_the_old_model_back():
    broken = threading.Event()

    def breaks(frames) -> None:
        if broken.is_set():
            raise ArithmeticError("overflow")

    live, new = Model("live"), Model("new", before=breaks)
    with open_shop(live) as shop:
        shop.stream.swap(new, options=SwapOptions(**{**vars(QUICK), "watched_batches": 10**9}))
        wait_until(lambda: Step.SWITCHED in shop.steps)
        shop.go_on()
        broken.set()
        last = shop.ended()
        assert last.step is Step.ROLLED_BACK
        assert "live serves again, for new failed in batch" in last.words
        assert "ArithmeticError: overflow" in last.words
        wait_until(lambda: new.closed)
        shop.go_on()
        assert shop.results[-1].model_id == "live"
    assert not live.closed
    ids = [one.model_id for one in shop.results]
    assert "new" in ids
    assert shop.stream.ledger.counts("till")[Fate.POISON] <= 8  # of one batch


def test_a_model_that_hangs_after_the_switch_is_replaced_by_the_old_one():
    gate = Gate()
    hangs = threading.Event()
    new = Model("new", before=lambda frames: gate(frames) if hangs.is_set() else None)
    with open_shop(Model("live"), model_timeout_s=0.2) as shop:
        shop.stream.swap(new, options=SwapOptions(**{**vars(QUICK), "watched_batches": 10**9}))
        wait_until(lambda: Step.SWITCHED in shop.steps)
        hangs.set()
        assert "did not come back within 0.2 s" in shop.ended().words
        shop.go_on()
        gate.let_go()
    assert shop.results[-1].model_id == "live"


def test_where_no_camera_gives_frames_it_is_not_watched_for_ever():
    clock = FakeClock()
    stream = Stream(Model("old"), options=StreamOptions(warm_up=False), clock=clock)
    stream.swap(Model("new"), options=SwapOptions(frames=0, within_s=60.0))
    wait_until(lambda: len(stream.model_changes) == 3)
    clock.wait_for_sleepers(1)
    clock.advance(60.0)
    wait_until(lambda: len(stream.model_changes) == 4)
    assert stream.model_changes[-1].step is Step.KEPT
    assert stream.stop()


# ---- two at once, and the end ----


def test_a_later_swap_replaces_one_that_has_not_switched():
    first, second, third = Model("first"), Model("second"), Model("third")
    with open_shop(Model("live")) as shop:
        shop.stream.swap(first, options=SwapOptions(**{**vars(QUICK), "frames": 10**9}))
        wait_until(lambda: Step.SHADOWING in shop.steps)
        shop.stream.swap(second, options=QUICK)
        shop.stream.swap(third, options=QUICK)
        wait_until(lambda: Step.KEPT in shop.steps)
        ends = {change.model_id: change.step for change in shop.changes if change.step.is_last}
        assert ends["first"] is Step.REPLACED
        assert ends["third"] is Step.KEPT
        assert ends.get("second", Step.REPLACED) is Step.REPLACED
        wait_until(lambda: first.closed)
    assert shop.results[-1].model_id == "third"


def test_a_later_swap_waits_for_one_that_has_switched():
    watched = SwapOptions(**{**vars(QUICK), "watched_batches": 200})
    with open_shop(Model("live")) as shop:
        shop.stream.swap(Model("first"), options=watched)
        wait_until(lambda: Step.SWITCHED in shop.steps)
        shop.stream.swap(Model("second"), options=QUICK)
        wait_until(lambda: shop.steps.count(Step.KEPT) == 2)
    assert [(one.step, one.model_id) for one in shop.changes] == [
        *((step, "first") for step in ALL_WELL), *((step, "second") for step in ALL_WELL),
    ]  # fmt: skip


def test_the_same_model_asked_for_twice_takes_over():
    new = Model("new")
    with open_shop(Model("live")) as shop:
        shop.stream.swap(new, options=replace(QUICK, frames=10**9))
        wait_until(lambda: Step.SHADOWING in shop.steps)
        shop.stream.swap(new, options=QUICK)  # the second replaces the first ...
        shop.stream.swap(new, options=QUICK)  # ... and the third the second, most often before that was begun
        wait_until(lambda: shop.steps[-1] in (Step.KEPT, Step.REFUSED))
        assert shop.steps[-1] is Step.KEPT
        shop.go_on()
    assert shop.results[-1].model_id == "new"


def test_a_way_back_to_the_old_model_may_be_asked_for_while_the_new_one_is_watched():
    old = Model("old")
    with open_shop(old) as shop:
        shop.stream.swap(Model("new"), options=replace(QUICK, watched_batches=200))
        wait_until(lambda: Step.SWITCHED in shop.steps)
        shop.stream.swap(old, options=QUICK)
        wait_until(lambda: shop.steps.count(Step.KEPT) == 2 or Step.REFUSED in shop.steps)
        assert shop.changes[-1].words.startswith("old served")
        assert not old.closed


def test_a_way_back_that_is_given_up_leaves_the_old_model_open_for_a_failure():
    old, failing = Model("old"), threading.Event()
    new = Model("new", before=lambda frames: fails(frames) if failing.is_set() else None)
    with open_shop(old) as shop:
        shop.stream.swap(new, options=replace(QUICK, watched_batches=10**9))
        wait_until(lambda: Step.SWITCHED in shop.steps)
        shop.stream.swap(old, options=QUICK)
        shop.stream.swap(Model("third"), options=replace(QUICK, frames=10**9))
        assert not old.closed
        failing.set()
        wait_until(lambda: Step.ROLLED_BACK in shop.steps)
        shop.go_on()
        assert not old.closed


def test_the_words_of_a_step_are_short_whatever_an_error_says():
    def talks(frames):
        raise ArithmeticError("x" * 100_000)

    with open_shop(Model("live")) as shop:
        words = shop.swap(Model("new", before=talks)).words
    assert words.startswith("live goes on, for new failed: ArithmeticError: xxx")
    assert len(words) <= 2000


def test_a_swap_that_waits_when_the_stream_ends_is_told_and_closed():
    waits = Model("waits")
    with open_shop(Model("live")) as shop:
        shop.stream.swap(Model("new"), options=SwapOptions(**{**vars(QUICK), "watched_batches": 10**9}))
        wait_until(lambda: Step.SWITCHED in shop.steps)
        shop.stream.swap(waits)
    assert [(one.step, one.model_id) for one in shop.changes[-2:]] == [(Step.KEPT, "new"), (Step.REFUSED, "waits")]
    assert waits.closed


@pytest.mark.parametrize("step", [Step.SHADOWING, Step.SWITCHED])
def test_stopping_ends_a_swap_and_closes_its_models(step):
    new = Model("new")
    forever = {"frames": 10**9} if step is Step.SHADOWING else {"watched_batches": 10**9}
    with open_shop(Model("live")) as shop:
        shop.stream.swap(new, options=SwapOptions(**{**vars(QUICK), **forever}))
        wait_until(lambda: step in shop.steps)
    assert shop.steps[-1].is_last
    assert new.closed
    with pytest.raises(EdgeVisionError, match="the stream was stopped"):
        shop.stream.swap(new)


# ---- real bundles ----

real = pytest.mark.filterwarnings(
    "ignore::edgevision.errors.UnprovenWarning", "ignore::edgevision.errors.DeviceWarning"
)


def renamed(manifest):
    """The same model, which calls "blue" by another number."""
    return replace(manifest, task=classify_spec([Label(10, "red"), Label(20, "green"), Label(31, "blue")]))


@real
def test_a_bundle_takes_over_from_another_on_live_frames(color_bundle):
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 2] = 200
    first = ev.load(color_bundle("first.edge"), engine="onnxruntime", threads=1)
    second = color_bundle("second.edge", manifest={"name": "second"})
    options = SwapOptions(**{**vars(QUICK), "max_slowdown": 1000.0, "frames": 5})
    got = []
    with Stream(first) as stream:
        till = PushSource("till", max_age_s=1000)
        stream.add(till)
        stream.swap(second, options=options, engine="onnxruntime", threads=1)
        while not stream.model_changes or not stream.model_changes[-1].step.is_last:
            till.put(red)
            got.append(next(stream))
    assert stream.model_changes[-1].step is Step.KEPT, stream.model_changes[-1].words
    assert {one.result.best.name for one in got} == {"red"}
    assert got[0].model_id != got[-1].model_id
    assert got[-1].model_id.startswith("second@")
    with pytest.raises(EdgeVisionError, match="the model is closed"):
        first.predict(red)


@real
@pytest.mark.requires("onnx")
@pytest.mark.parametrize(
    ("name", "threshold", "frames", "last", "words"),
    [
        ("live.edge", 0.9999, 5, Step.KEPT, "it is the model that serves, with threshold 0.9999 in place of 0.1, and is compared in speed alone"),
        ("live.edge", 0.9999, 0, Step.KEPT, "it is the model that serves, with threshold 0.9999 in place of 0.1"),
        ("live.edge", 0.1, 5, Step.KEPT, "is loaded and fits"),
        ("other.edge", 0.9999, 5, Step.REFUSED, "is loaded and fits"),
        ("other.edge", 0.1, 5, Step.KEPT, "is loaded and fits"),
    ],
)  # fmt: skip
def test_the_same_bundle_may_find_other_boxes_by_another_threshold_and_another_bundle_may_not(
    tmp_path, name, threshold, frames, last, words
):
    """Of two spots, one is weak: with the higher threshold half of the boxes are lost."""
    for bundle, stored in (("live.edge", 0.5), ("other.edge", 0.4)):
        write_spot_finder(tmp_path / bundle, threshold=stored)
    picture = spot_picture({(1, 2): (60, 60, 60), (3, 4): (250, 250, 250)})
    load = {"engine": "onnxruntime", "threads": 1}
    with ev.load(tmp_path / "live.edge", threshold=0.1, **load) as live, Stream(live) as stream:
        till = PushSource("till", max_age_s=1000)
        stream.add(till)
        stream.swap(tmp_path / name, options=replace(QUICK, frames=frames), threshold=threshold, **load)
        while not stream.model_changes or not stream.model_changes[-1].step.is_last:
            till.put(picture)
            result = next(stream)
        till.put(picture)
        result = next(stream)
    told = {change.step: change.words for change in stream.model_changes}
    assert list(told)[-1] is last, told
    assert told[Step.LOADED].endswith(words)
    assert len(result.result.boxes) == (1 if (name, threshold) == ("live.edge", 0.9999) else 2)


@real
def test_bundles_that_do_not_fit_are_refused(color_bundle):
    with (
        ev.load(color_bundle("live.edge"), engine="onnxruntime", threads=1) as one,
        ev.load(color_bundle("other.edge", manifest=renamed), engine="onnxruntime", threads=1) as two,
    ):
        live, other = as_stream_model(one), as_stream_model(two)
        assert misfit(live, live, keep_labels=True) == ""
        words = misfit(live, other, keep_labels=True)
        assert "does not know these labels of the live model by the same id: blue (30)" in words
        assert misfit(live, other, keep_labels=False) == ""
        assert misfit(live, ToyModel(), keep_labels=True) == ""


@real
@pytest.mark.requires("onnx")
def test_models_that_do_something_else_are_refused_and_two_parts_are_compared_each(color_bundle, tmp_path):
    finder, options = write_spot_finder(tmp_path / "spots.edge"), {"engine": "onnxruntime", "threads": 1}
    with (
        ev.load(color_bundle("one.edge"), **options) as one,
        ev.load(finder, **options) as spots,
        ev.load(finder, then=color_bundle("two.edge"), **options) as both,
        ev.load(finder, then=color_bundle("three.edge", manifest=renamed), **options) as other,
    ):
        models = [as_stream_model(model) for model in (one, spots, both, other)]
        words = [misfit(models[2], model, keep_labels=True) for model in models]
    assert words[0].startswith("it can classify, and the live model can detect, then classify")
    assert words[1].startswith("it can detect, and the live model can detect, then classify")
    assert words[2] == ""
    assert "blue (30)" in words[3]


@real
@pytest.mark.requires("onnx")
def test_what_the_old_and_the_new_cascade_share_stays_open(color_bundle, tmp_path):
    options = {"engine": "onnxruntime", "threads": 1}
    with ev.load(write_spot_finder(tmp_path / "spots.edge"), **options) as finder:
        old = Cascade(finder, ev.load(color_bundle("one.edge"), **options))
        new = Cascade(finder, ev.load(color_bundle("two.edge"), **options))
        with open_shop(old) as shop:
            assert shop.swap(new, replace(QUICK, frames=0)).step is Step.KEPT
            shop.go_on()
            with pytest.raises(EdgeVisionError, match="closed"):
                old.recogniser.predict(PIXELS)
            finder.predict(PIXELS)


@real
def test_a_bundle_whose_golden_frames_give_something_else_is_refused(color_bundle):
    spoiled = color_bundle("spoiled.edge", spoiled=["onnxruntime-int8", "onnxruntime-float"])
    with open_shop(Model("live")) as shop:
        last = shop.swap(spoiled)
        assert last.step is Step.REFUSED
        assert "golden" in last.words or "self-test" in last.words
