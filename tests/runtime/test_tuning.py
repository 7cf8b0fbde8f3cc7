from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from latencies import noisy

import edgevision as ev
from edgevision import files
from edgevision.bundle.reader import open_bundle
from edgevision.errors import CacheWarning, DeviceWarning, EngineError, InputError, SelfTestError
from edgevision.latency import Samples
from edgevision.machine import usable_cores
from edgevision.runtime import tuning, tuning_cache

INT8, FLOAT = "onnxruntime-int8", "onnxruntime-float"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_latencies(monkeypatch, values):
    """``values``: milliseconds of the rounds of each variant."""

    def measure(runs, rounds, warmup):
        return {name: Samples(np.array(values[name]) * 1_000_000) for name in runs}

    monkeypatch.setattr(tuning, "measure_interleaved", measure)


def test_measures_every_variant_and_remembers(color_bundle, cache):
    path = color_bundle()
    result = tuning.tune(path, rounds=5)
    assert result.threads == usable_cores()
    assert [row.variant for row in result.rows] == [INT8, FLOAT]
    assert all(row.p50_ms > 0 for row in result.rows)
    assert result.variant in (INT8, FLOAT)
    assert [row.variant for row in result.rows if row.message == "chosen"] == [result.variant]
    assert str(cache) in result.cache
    with open_bundle(path) as bundle:
        choice = tuning_cache.read_choice(bundle)
    assert choice.variants[0] == result.variant
    assert set(choice.variants) == {INT8, FLOAT}
    assert choice.threads == result.threads
    assert json.loads(json.dumps(result.to_dict()))["variant"] == result.variant


@pytest.mark.parametrize(
    ("medians", "noise", "order"),
    [
        ({"a": 1.0, "b": 2.0, "c": 3.0}, 0.0, ["a", "b", "c"]),
        ({"a": 3.0, "b": 2.0, "c": 1.0}, 0.0, ["c", "b", "a"]),
        ({"a": 1.02, "b": 1.0, "c": 5.0}, 0.0, ["b", "a", "c"]),  # 2 % beyond doubt are slower
        ({"a": 1.02, "b": 1.0, "c": 5.0}, 0.01, ["b", "a", "c"]),
        ({"a": 1.05, "b": 1.0, "c": 5.0}, 0.2, ["a", "b", "c"]),  # within the noise: the bundle's order
        ({"a": 1.01, "b": 1.0, "c": 1.02}, 0.2, ["c", "a", "b"]),  # … after the chosen one
        ({"b": 1.0}, 0.0, ["b"]),
    ],
)
def test_what_lies_within_the_noise_goes_to_the_chosen_variant_then_to_the_bundles_order(medians, noise, order):
    measured = {name: noisy(ms, noise, seed) for seed, (name, ms) in enumerate(medians.items())}
    assert tuning._rank(measured, "c") == order


def test_the_quickest_by_median_is_chosen(color_bundle, monkeypatch):
    fake_latencies(monkeypatch, {INT8: [9] * 36 + [1] * 4, FLOAT: [5] * 36 + [900] * 4})
    result = tuning.tune(color_bundle())
    assert result.variant == FLOAT
    assert [row.p50_ms for row in result.rows] == [9.0, 5.0]


def test_each_variant_runs_once_a_round(color_bundle, monkeypatch):
    calls = Counter()
    launcher = tuning._launcher

    def counted(runner):
        launch, graph = launcher(runner), id(runner)
        return lambda: (calls.update([graph]), launch())

    monkeypatch.setattr(tuning, "_launcher", counted)
    tuning.tune(color_bundle(), rounds=7)
    assert list(calls.values()) == [7 + tuning.WARMUP_ROUNDS] * 2


def test_variants_that_fail_are_left_out_with_the_reason(color_bundle, monkeypatch):
    fake_latencies(monkeypatch, {INT8: [1], FLOAT: [2]})
    result = tuning.tune(color_bundle(spoiled=[INT8]))
    assert result.variant == FLOAT
    assert result.rows[0].p50_ms is None
    assert "self-test failed: golden frame" in result.rows[0].message


def test_nothing_left_raises(color_bundle):
    with pytest.raises(SelfTestError, match="no variant runs on this machine"):
        tuning.tune(color_bundle(spoiled=[INT8, FLOAT]))
    with pytest.raises(EngineError, match="as it is written"):
        tuning.tune(color_bundle(variants=[("bf16", "onnxruntime", "float", "bfloat16")]))


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"rounds": 0}])
def test_refuses_to_measure_nothing(color_bundle, arguments):
    with pytest.raises(InputError, match="at least 1"):
        tuning.tune(color_bundle(), **arguments)


def test_a_cache_that_cannot_be_written_is_a_warning(color_bundle, tmp_path, monkeypatch):
    blocker = tmp_path / "blocker"
    blocker.write_text("a file where a folder is needed")
    monkeypatch.setenv("EDGEVISION_CACHE", str(blocker / "cache"))
    with pytest.warns(CacheWarning, match="cannot be remembered.*EDGEVISION_CACHE"):
        result = tuning.tune(color_bundle(), rounds=1)
    assert result.cache is None


def test_a_read_only_cache_is_a_warning(color_bundle, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tuning_cache, "atomic_write", refuse)
    with pytest.warns(CacheWarning, match="Permission denied"):
        assert tuning.tune(color_bundle(), rounds=1).cache is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '"x"', '{"variants": []}', "[" * 9999, '{"variants": 1, "threads": 1}',
     '{"variants": ["onnxruntime-int8"], "threads": "2"}', '{"variants": ["onnxruntime-int8"], "threads": 0}',
     '{"variants": ["gone", 3], "threads": 1}'],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the tuning cache:edgevision.errors.CacheWarning")
def test_a_broken_cache_is_no_cache(color_bundle, content):
    with open_bundle(color_bundle()) as bundle:
        path = tuning_cache.choice_file(bundle)
        path.parent.mkdir(parents=True)
        path.write_text(content)
        assert tuning_cache.read_choice(bundle) is None


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_cache_that_cannot_be_read_is_a_warning_and_costs_nothing_but_the_choice(color_bundle, content):
    path = color_bundle()
    with open_bundle(path) as bundle:
        file = tuning_cache.choice_file(bundle)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with (
        pytest.warns(CacheWarning, match=f"{file} cannot be read; run: edgevision tune") as caught,
        ev.load(path) as model,
    ):
        assert model.variant.id == INT8
    assert len(caught) == 1
    assert not issubclass(CacheWarning, DeviceWarning)  # answers and speed are as they would be without a cache
    tuning.tune(path, threads=1, rounds=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev.load(path).close()


def test_a_cache_in_a_folder_that_may_not_be_read_is_a_warning(color_bundle, monkeypatch):
    path = color_bundle()
    with open_bundle(path) as bundle:
        tuning_cache.choice_file(bundle).mkdir(
            parents=True
        )  # a folder where the file should be: an OSError for root too
    with pytest.warns(CacheWarning, match="cannot be read"):
        ev.load(path).close()


def test_a_cache_of_another_machine_or_bundle_is_not_found(color_bundle, monkeypatch):
    fake_latencies(monkeypatch, {INT8: [1], FLOAT: [2]})
    first = color_bundle()
    tuning.tune(first)
    with open_bundle(color_bundle("other.edge", manifest={"name": "other"})) as other:
        assert tuning_cache.read_choice(other) is None
    with open_bundle(first) as bundle:
        assert tuning_cache.read_choice(bundle) is not None
        monkeypatch.setattr(tuning_cache, "available_engines", lambda: {"onnxruntime": "99.0"})
        assert tuning_cache.read_choice(bundle) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EDGEVISION_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/edgevision"),
        ({"HOME": "/c"}, "/c/.cache/edgevision"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, expected):
    for name in ("EDGEVISION_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert files.cache_folder().as_posix() == expected


def test_what_load_measures_counts_where_it_cannot_be_remembered(color_bundle, monkeypatch):
    """The slower variant of the manifest's order is quicker here: it runs, though nothing could be written."""
    monkeypatch.setattr(tuning, "write_choice", lambda *_: None)
    path = color_bundle()
    with open_bundle(path) as bundle:
        chosen = bundle.manifest.chosen
    other = {INT8: FLOAT, FLOAT: INT8}[chosen]
    monkeypatch.setattr(tuning, "_rank", lambda measured, _: [other, chosen])
    with ev.load(path, tune="now", threads=1) as model:
        assert model.variant.id == other


# ---- several processes ----

TUNED_BESIDE_OTHERS = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from edgevision.latency import Samples
from edgevision.runtime import tuning

bundle, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

def measure(runs, rounds, warmup):
    # As on a real machine: alone, int8 is quicker; beside others it is not.
    mine = folder / f"{os.getpid()}.measuring"
    mine.touch()
    disturbed = 0
    for _ in range(20):
        time.sleep(0.05)
        disturbed += len(list(folder.glob("*.measuring"))) > 1
    mine.unlink()
    (folder / f"{os.getpid()}.measured").touch()
    slow = "int8" if disturbed else "float"
    return {name: Samples(np.full(40, 2_000_000 if slow in name else 1_000_000)) for name in runs}

tuning.measure_interleaved = measure
(folder / f"{os.getpid()}.ready").touch()
while len(list(folder.glob("*.ready"))) < count:
    time.sleep(0.01)
said = []
more = {} if "say" not in tuning.tune.__kwdefaults__ else {"say": said.append}
result = tuning.tune(bundle, threads=1, **more)
print(json.dumps([result.variant, [row.p50_ms for row in result.rows], said]))
"""


def test_of_four_processes_that_tune_at_once_one_measures_and_all_use_it(color_bundle, cache, tmp_path):
    pytest.importorskip("fcntl")
    folder = tmp_path / "processes"
    folder.mkdir()
    path = color_bundle()
    command = [sys.executable, "-c", TUNED_BESIDE_OTHERS, str(path), str(folder), "4"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [answer[0] for answer in answers] == [INT8] * 4
    assert [answer[1] for answer in answers] == [[1.0, 2.0]] * 4
    with open_bundle(path) as bundle:
        assert tuning_cache.read_choice(bundle).variants == (INT8, FLOAT)
    assert len(list(folder.glob("*.measured"))) == 1
    assert sorted(bool(answer[2]) for answer in answers) == [False, True, True, True]


def test_who_cannot_wait_longer_measures_and_keeps_nothing(color_bundle, cache, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    fake_latencies(monkeypatch, {INT8: [1], FLOAT: [2]})
    path = color_bundle()
    first = tuning.tune(path, threads=1)
    monkeypatch.setattr(tuning, "WAIT_S", 0.0)
    fake_latencies(monkeypatch, {INT8: [3], FLOAT: [2]})
    with (cache / "tuning" / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.warns(CacheWarning, match="still measuring after 0 s"):
            result = tuning.tune(path, threads=1)
    assert (result.variant, result.cache) == (FLOAT, None)
    with open_bundle(path) as bundle:
        assert tuning_cache.read_choice(bundle).variants == first.order
    assert tuning.tune(path, threads=1).variant == FLOAT  # the lock went with its holder


@pytest.mark.parametrize("left_out", [None, INT8])
def test_what_another_process_found_is_taken_with_what_does_not_run(color_bundle, monkeypatch, left_out):
    path = color_bundle()
    ran = tuple(name for name in (INT8, FLOAT) if name != left_out)

    @contextmanager
    def after_another(wait_s, on_wait):
        with open_bundle(path) as bundle:
            tuning_cache.write_choice(bundle, tuning_cache.Choice(ran, 1, dict.fromkeys(ran, 4.0)))
        yield True

    monkeypatch.setattr(tuning, "measuring_alone", after_another)
    fake_latencies(monkeypatch, {})  # nothing is measured
    result = tuning.tune(path, threads=1)
    assert result.order == ran
    rows = {row.variant: row for row in result.rows}
    assert [rows[name].p50_ms for name in ran] == [4.0] * len(ran)
    assert [name for name, row in rows.items() if "does not run here" in row.message] == (
        [left_out] if left_out else []
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_measuring_again_is_measuring(color_bundle, monkeypatch, threads):
    """What another process found counts only where it was found while this one waited."""
    path = color_bundle()
    fake_latencies(monkeypatch, {INT8: [1], FLOAT: [2]})
    tuning.tune(path, threads=1)
    fake_latencies(monkeypatch, {INT8: [2], FLOAT: [1]})
    assert tuning.tune(path, threads=threads).variant == FLOAT


# ---- something else in place of a file ----


def fifo(path):
    os.mkfifo(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(1 << 40)


IN_PLACE_OF_A_FILE = """
import sys, warnings
import edgevision as ev
from edgevision.runtime import tuning
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ev.load(sys.argv[1], threads=1).close()
    if sys.argv[2] == "tune":
        tuning.tune(sys.argv[1], threads=1, rounds=1)
print(*{warning.category.__name__ for warning in caught})
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("make", [fifo, Path.mkdir, huge, lambda path: path.symlink_to("/dev/zero")],
                         ids=["a pipe", "a folder", "a terabyte", "a device"])  # fmt: skip
@pytest.mark.parametrize("place", ["choice", "lock"])
def test_what_is_no_file_in_the_cache_neither_hangs_nor_fills_memory(color_bundle, cache, make, place):
    path = color_bundle()
    with open_bundle(path) as bundle:
        file = tuning_cache.choice_file(bundle) if place == "choice" else cache / "tuning" / "lock"
    file.parent.mkdir(parents=True)
    make(file)
    done = subprocess.run(
        [sys.executable, "-c", IN_PLACE_OF_A_FILE, str(path), "load" if place == "choice" else "tune"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == (["CacheWarning"] if place == "choice" else [])
