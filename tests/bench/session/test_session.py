"""Runs of made-up targets on a made-up clock, and one of real processes."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_made_up import Clock, MadeUp, QuietWatcher, parts, workload

from edgevision.bench.record import Record, Result
from edgevision.bench.record_file import dumps, read_record, write_record
from edgevision.bench.session import results, session
from edgevision.bench.session.options import BenchOptions
from edgevision.bench.session.session import Parts, run_bench
from edgevision.errors import EdgeVisionError, InputError, TargetError, UnwrittenRecordError


def options(*names: str, **more: object) -> BenchOptions:
    given = {"scenarios": ("single-stream",), "threads": 1, "minutes": 2.0, **more}
    return BenchOptions(tuple(f"python:made:{name}" for name in names), **given)  # type: ignore[arg-type]


def result(record: Record, name: str, scenario: str = "single-stream") -> Result:
    (found,) = (one for one in record.results if one.target.endswith(name) and one.scenario.name == scenario)
    return found


def verdicts(record: Record) -> dict[str, str]:
    return {f"{one.a[-1]} {one.figure}": one.verdict for one in record.comparisons}


# ---- what is found ----


def test_who_is_slower_is_decided_and_then_it_ends():
    clock = Clock()
    targets = {
        "a": MadeUp(clock, 10, seed=1),
        "b": MadeUp(clock, 11, seed=2),
        "c": MadeUp(clock, 10, seed=3),
        "d": MadeUp(clock, 8, seed=4),
    }
    record = run_bench(options("a", "b", "c", "d", minutes=30), parts=parts(clock, targets))
    assert verdicts(record) == {
        "b p50": "higher",
        "c p50": "equal",
        "d p50": "lower",
        "b p90": "higher",
        "c p90": "equal",
        "d p90": "lower",
    }
    assert {one.ended_by for one in record.comparisons} == {"decided"}
    assert clock.now_s < 0.5 * 30 * 60
    assert record.status == "complete"
    assert [one.status for one in record.results] == ["complete"] * 4
    (p50,) = (figure for figure in result(record, "b").figures if figure.name == "p50")
    assert p50.low <= 11.1 <= p50.high * 1.02
    assert all(target.closed == 1 and target.killed == 0 for target in targets.values())


def test_rounds_are_in_random_order_with_the_same_seeds_for_all():
    clock = Clock()
    order: list[tuple[str, int]] = []
    targets = {
        name: MadeUp(clock, 10, seed=ord(name), on_block=lambda scenario, round, name=name: order.append((name, round)))
        for name in "abc"
    }  # fmt: skip
    run_bench(options("a", "b", "c", minutes=1, most_rounds=20, least_difference=1e-4), parts=parts(clock, targets))
    rounds = [
        [name for name, round in order if round == number][-3:] for number in range(4, 10)
    ]  # after the windows of warm-up
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 2
    for number in range(4, 10):
        seeds = {scenario.seed for target in targets.values() for scenario, round in target.asked if round == number}
        assert len(seeds) == 1


def test_a_run_is_repeated_by_its_seed():
    records = []
    for _ in range(2):
        clock = Clock()
        records.append(
            run_bench(
                options("a", "b"), parts=parts(clock, {"a": MadeUp(clock, 10, seed=1), "b": MadeUp(clock, 11, seed=2)})
            )
        )
    assert verdicts(records[0]) == verdicts(records[1])
    assert [one.figures for one in records[0].results] == [one.figures for one in records[1].results]


@pytest.mark.parametrize(
    ("scenarios", "minutes"),
    [(("single-stream",), 0.1), (("single-stream", "multi-stream", "server", "offline"), 0.5), (("density",), 0.5),
     (("single-stream", "offline", "fixed-rate", "density", "density-mean"), 1.0)],
)  # fmt: skip
@pytest.mark.parametrize("ms", [0.01, 20, 900])
def test_the_time_is_kept(scenarios, minutes, ms):
    clock = Clock()
    longest = 0.0

    def note(scenario, round):
        nonlocal longest
        longest = max(longest, float(scenario.parameters["seconds"]))

    targets = {name: MadeUp(clock, ms, capacity=300, seed=ord(name), on_block=note) for name in "ab"}
    asked = options("a", "b", scenarios=scenarios, minutes=minutes, rounds=50, least_difference=1e-4, most_rounds=10**5)
    record = run_bench(asked, parts=parts(clock, targets))
    assert clock.now_s <= minutes * 60 * 1.1 + longest
    for one in record.results:
        assert one.status in ("complete", "interrupted")
        if one.status == "interrupted":
            assert "the time was spent" in one.reason
    assert any(one.blocks for one in record.results)


def test_too_short_for_enough_rounds_says_so():
    clock = Clock()
    record = run_bench(options("a", rounds=100, minutes=0.2), parts=parts(clock, {"a": MadeUp(clock, 10)}))
    assert "of at least 100 rounds were measured; the time was spent: 0.2 minutes" in result(record, "a").reason


# ---- density ----


@pytest.mark.parametrize(("capacity", "cameras"), [(15.1, 1), (100, 6), (1000, 66), (14, 0), (10**6, 256)])
@pytest.mark.parametrize("rule", ["density", "density-mean"])
def test_density_is_found(capacity, cameras, rule):
    """Share 1: of cameras that 45 frames are due of, not one frame may be missing."""
    clock = Clock()
    targets = {"a": MadeUp(clock, 5, capacity=capacity)}
    record = run_bench(options("a", scenarios=(rule,), minutes=60, share=1.0), parts=parts(clock, targets))
    found = result(record, "a", "density")
    assert found.status == "complete"
    assert found.figures[0].value == cameras
    assert found.figures[0].low == cameras
    assert found.figures[0].high == (None if cameras == 256 else cameras)
    assert all(block.scenario.name == "fixed-rate" for block in found.blocks)


def test_old_results_are_no_density():
    clock = Clock()
    record = run_bench(
        options("a", scenarios=("density", "density-mean"), minutes=60),
        parts=parts(clock, {"a": MadeUp(clock, 201, capacity=1e6)}),
    )
    values = {one.scenario.parameters["rule"]: one.figures[0].value for one in record.results}
    assert values == {"every-stream": 0, "mean": 256}


def test_a_search_that_does_not_end_says_so():
    clock = Clock()
    record = run_bench(
        options("a", scenarios=("density",), minutes=0.6), parts=parts(clock, {"a": MadeUp(clock, 100, capacity=1e5)})
    )
    found = result(record, "a", "density")
    assert found.status == "interrupted"
    assert "did not come to its end; the time was spent" in found.reason
    assert "the search did not end in time" in found.figures[0].note


# ---- what goes wrong ----


def failing(after: int, text: str = "it broke"):
    def on_block(scenario, round):
        if round >= after and scenario.name == "single-stream":
            raise TargetError(text)

    return on_block


def test_a_target_that_fails_does_not_take_others_with_it():
    clock = Clock()
    targets = {
        "a": MadeUp(clock, 10, on_block=failing(12)), "b": MadeUp(clock, 11), "c": TargetError("its package is missing", unsupported=True),
        "d": MadeUp(clock, 12),
    }  # fmt: skip
    record = run_bench(
        options("a", "b", "c", "d", scenarios=("single-stream", "offline"), least_difference=1e-3),
        parts=parts(clock, targets),
    )
    assert (result(record, "a").status, result(record, "a").reason) == ("failed", "it broke")
    assert len(result(record, "a").blocks) == 12
    assert result(record, "a", "offline").status == "failed"
    assert (result(record, "c").status, result(record, "c").reason) == ("unsupported", "its package is missing")
    assert record.targets[2].unsupported == "its package is missing"
    assert [result(record, name).status for name in "bd"] == ["complete", "complete"]
    assert targets["a"].killed == 1
    assert record.status == "complete"


def test_the_others_are_compared_where_the_reference_is_not_there():
    clock = Clock()
    targets = {"a": TargetError("gone", unsupported=True), "b": MadeUp(clock, 10), "c": MadeUp(clock, 12)}
    record = run_bench(options("a", "b", "c"), parts=parts(clock, targets))
    assert [(one.a[-1], one.b[-1], one.verdict) for one in record.comparisons if one.figure == "p50"] == [
        ("c", "b", "higher")
    ]


def test_nothing_could_be_measured():
    clock = Clock()
    record = run_bench(options("a"), parts=parts(clock, {"a": TargetError("gone", unsupported=True)}))
    assert record.status == "failed"
    assert result(record, "a").status == "unsupported"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"others_before_cores": 1.5}, "1.5 of 2 cores before the run"),
        ({"steal_share": 0.2}, "20.0% of this machine's time"),
    ],
)
def test_a_busy_machine_is_refused_unless_it_is_forced(values, told):
    clock = Clock()
    busy = parts(clock, {"a": MadeUp(clock, 10)}, watcher=QuietWatcher(values))
    with pytest.raises(EdgeVisionError, match=f"{told}.*--force"):
        run_bench(options("a"), parts=busy)
    record = run_bench(options("a", force=True), parts=busy)
    assert {doubt.code for doubt in record.doubts} & {"noisy-machine", "steal"}


def test_more_threads_than_cores_is_a_doubt(monkeypatch):
    monkeypatch.setattr(session, "usable_cores", lambda: 2)
    for threads, address, codes in (
        (2, "python:made:a", []),
        (3, "python:made:a", ["threads"]),
        (1, "python:made:a@threads=4", ["threads"]),
    ):
        clock = Clock()
        asked = replace(options("a", minutes=0.1, threads=threads), targets=(address,))
        record = run_bench(asked, parts=parts(clock, {"a": MadeUp(clock, 10)}))
        assert [doubt.code for doubt in record.doubts] == codes
        assert all("2 cores" in doubt.text for doubt in record.doubts)


def interrupted(at: int):
    """SIGINT in this process while block ``at`` runs, and its remote's ``interrupt`` awaited."""

    def on_block(scenario, round):
        if round == at and scenario.name == "single-stream":
            os.kill(os.getpid(), signal.SIGINT)

    return on_block


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    clock = Clock()
    path = tmp_path / "record.json"
    targets = {"a": MadeUp(clock, 10, on_block=interrupted(6)), "b": MadeUp(clock, 11)}
    record = run_bench(
        options("a", "b", scenarios=("single-stream", "offline", "density"), output=path), parts=parts(clock, targets)
    )
    assert record.status == "interrupted"
    assert {one.status for one in record.results} == {"interrupted"}
    assert all("Ctrl-C" in one.reason for one in record.results)
    blocks = result(record, "a").blocks
    assert blocks[-1].round == 6  # the one that ran
    assert len(blocks) == 7
    assert len(read_record(path).results[0].blocks) == 7
    assert sum(target.killed for target in targets.values()) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_between_blocks_keeps_them_too():
    clock = Clock()

    def tell(step, done, total):
        if step == "measure" and done > 1:
            os.kill(os.getpid(), signal.SIGINT)

    tell.expect = lambda seconds: None
    record = run_bench(options("a"), tell, parts(clock, {"a": MadeUp(clock, 10)}))
    assert record.status == "interrupted"
    assert len(result(record, "a").blocks) > 1


@pytest.mark.parametrize("where", ["close", "finish", "write", "again and again"])
def test_ctrl_c_at_the_end_loses_nothing(tmp_path, monkeypatch, where):
    clock = Clock()
    path = tmp_path / "record.json"
    targets = {"a": MadeUp(clock, 10), "b": MadeUp(clock, 11)}

    def interrupt(original):
        def interrupted(*arguments, **named):
            os.kill(os.getpid(), signal.SIGINT)
            return original(*arguments, **named)

        return interrupted

    if where == "close":
        targets["a"].close = interrupt(targets["a"].close)
    if where in ("finish", "again and again"):
        monkeypatch.setattr(results, "doubts_of", interrupt(results.doubts_of))
    if where in ("write", "again and again"):
        monkeypatch.setattr("edgevision.bench.record_file.dumps", interrupt(dumps))
    if where == "again and again":
        targets["a"].on_block = interrupted(6)
        targets["a"].kill = interrupt(targets["a"].kill)
    record = run_bench(options("a", "b", output=path), parts=parts(clock, targets))
    assert record.status == ("complete" if where == "finish" else "interrupted")
    assert [len(one.blocks) for one in read_record(path).results] == [len(one.blocks) for one in record.results]
    assert all(one.figures for one in record.results)
    assert all(target.closed or target.killed for target in targets.values())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_before_anything_is_measured_leaves_the_record_that_it_would_go_on_with(tmp_path):
    path = tmp_path / "record.json"
    first_half(path)
    before = path.read_bytes()
    clock = Clock()
    targets = {"a": MadeUp(clock, 10), "b": MadeUp(clock, 11)}

    def tell(step, done, total):
        if step == "open targets" and done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    tell.expect = lambda seconds: None
    with pytest.raises(KeyboardInterrupt):
        run_bench(options("a", "b", scenarios=("single-stream", "offline"), resume=path), tell, parts(clock, targets))
    assert path.read_bytes() == before
    assert targets["a"].killed == 1


# ---- the file ----


def full(path, record):
    raise EdgeVisionError(f"cannot write {path}: the disk is full; free some space, or choose another place")


def test_a_full_disk_does_not_end_the_run_and_the_record_goes_elsewhere(tmp_path, monkeypatch):
    clock = Clock()
    path = tmp_path / "here" / "record.json"
    path.parent.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written = session.Keeper

    def write(where, record):
        if Path(where) == path:
            full(where, record)
        write_record(where, record)

    monkeypatch.setattr(session, "Keeper", lambda where: written(where, write))
    with pytest.raises(
        UnwrittenRecordError, match=f"cannot write {path}: the disk is full.*was written to {tmp_path}"
    ) as caught:
        run_bench(options("a", output=path), parts=parts(clock, {"a": MadeUp(clock, 10)}))
    assert result(caught.value.record, "a").status == "complete"
    assert len(read_record(caught.value.elsewhere).results) == 1
    monkeypatch.setattr(session, "Keeper", lambda where: written(where, full))
    with pytest.raises(UnwrittenRecordError, match="Nor can it be written to the temporary folder") as caught:
        run_bench(options("a", output=path), parts=parts(clock, {"a": MadeUp(clock, 10)}))
    assert result(caught.value.record, "a").blocks
    assert caught.value.elsewhere is None


def test_a_place_that_cannot_be_written_is_told_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="the folder does not exist"):
        run_bench(options("a", output=tmp_path / "none" / "record.json"), parts=parts(Clock(), {}))


def test_a_record_that_is_full_ends_the_run(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(session, "ROOM", 2000)
    record = run_bench(
        options("a", "b", rounds=100), parts=parts(clock, {"a": MadeUp(clock, 1), "b": MadeUp(clock, 1)})
    )
    assert [doubt.code for doubt in record.doubts] == ["record-full"]
    assert "the record is full" in result(record, "a").reason


def test_the_record_is_written_while_the_run_goes_on(tmp_path):
    clock = Clock()
    path = tmp_path / "record.json"
    seen = []

    def look(scenario, round):
        if scenario.name == "fixed-rate" and not seen:
            seen.append(read_record(path))

    record = run_bench(
        options("a", scenarios=("single-stream", "density"), output=path),
        parts=parts(clock, {"a": MadeUp(clock, 10, on_block=look)}),
    )
    assert seen[0].status == "interrupted"
    assert result(seen[0], "a").status == "complete"
    assert result(seen[0], "a", "density").status == "interrupted"
    assert read_record(path).id == record.id


# ---- going on ----


def first_half(path: Path, **more: object) -> Record:
    clock = Clock()
    targets = {"a": MadeUp(clock, 10, seed=1, on_block=interrupted(6)), "b": MadeUp(clock, 11, seed=2)}
    return run_bench(
        options("a", "b", scenarios=("single-stream", "offline"), output=path, **more), parts=parts(clock, targets)
    )


def test_an_interrupted_run_goes_on(tmp_path):
    path = tmp_path / "record.json"
    first = first_half(path)
    clock = Clock()
    asked = options("a", "b", scenarios=("single-stream", "offline"), resume=path)
    record = run_bench(asked, parts=parts(clock, {"a": MadeUp(clock, 10, seed=3), "b": MadeUp(clock, 11, seed=4)}))
    assert record.status == "complete"
    for name in "ab":
        rounds = [block.round for block in result(record, name).blocks]
        assert rounds == sorted(set(rounds))
        assert len(rounds) >= 10
    old = result(first, "a").blocks
    assert [block.latency_ns.tolist() for block in result(record, "a").blocks[: len(old)]] == [
        block.latency_ns.tolist() for block in old
    ]
    assert verdicts(record)["b p50"] == "higher"
    assert read_record(path).id == record.id
    assert record.conditions["before"][0]["id"] == first.id
    # And what is complete is not measured again.
    clock = Clock()
    targets = {"a": MadeUp(clock, 10), "b": MadeUp(clock, 11)}
    again = run_bench(asked, parts=parts(clock, targets))
    assert [len(one.blocks) for one in again.results] == [len(one.blocks) for one in record.results]
    assert verdicts(again) == verdicts(record)
    assert [one["id"] for one in again.conditions["before"]] == [first.id, record.id]


def test_an_interrupted_search_goes_on(tmp_path):
    path = tmp_path / "record.json"
    clock = Clock()
    asked = options("a", scenarios=("density",), minutes=0.6, share=1.0, output=path)
    first = run_bench(asked, parts=parts(clock, {"a": MadeUp(clock, 100, capacity=1000)}))
    assert result(first, "a", "density").status == "interrupted"
    target = MadeUp(clock, 100, capacity=1000)
    record = run_bench(replace(asked, minutes=10, resume=path), parts=parts(clock, {"a": target}))
    found = result(record, "a", "density")
    assert (found.status, found.figures[0].value) == ("complete", 66)
    assert len([one for one, _ in target.asked if one.name == "fixed-rate"]) == len(found.blocks) - len(
        result(first, "a", "density").blocks
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 5}, "its seed is 0, now it is 5"),
        ({"batch": 3}, "its batch is 8, now it is 3"),
        ({"scenarios": ("single-stream",)}, r"its scenarios is \['single-stream', 'offline'\]"),
        ({"targets": ("python:made:b", "python:made:a")}, "its targets is"),
    ],
)
def test_other_options_are_another_run(tmp_path, change, told):
    path = tmp_path / "record.json"
    first_half(path)
    asked = replace(options("a", "b", scenarios=("single-stream", "offline"), resume=path), **change)
    with pytest.raises(InputError, match=told):
        run_bench(asked, parts=parts(Clock(), {}))


@pytest.mark.parametrize(
    ("machine", "told"), [({"cores": 4}, "cores 2 → 4"), ({"cores": 2, "cpu": "B"}, "cpu None → B")]
)
def test_blocks_of_another_machine_are_another_run(tmp_path, machine, told):
    path = tmp_path / "record.json"
    first_half(path)
    before = path.read_bytes()
    asked = options("a", "b", scenarios=("single-stream", "offline"), resume=path)
    elsewhere = parts(Clock(), {}, watcher=QuietWatcher({"machine": machine}))
    with pytest.raises(InputError, match=f"another machine: .*{told}"):
        run_bench(replace(asked, force=True), parts=elsewhere)
    assert path.read_bytes() == before


def test_other_frames_and_files_are_another_run(tmp_path):
    path = tmp_path / "record.json"
    first_half(path)
    clock = Clock()
    asked = options("a", "b", scenarios=("single-stream", "offline"), resume=path)
    with pytest.raises(InputError, match="its workload"):
        run_bench(asked, parts=parts(clock, {}, frames_seed=1))
    targets = {"a": MadeUp(clock, 10), "b": MadeUp(clock, 11, sha256="bb")}
    with pytest.raises(InputError, match=r"its sha256 of .*b is aa, now it is bb"):
        run_bench(asked, parts=parts(clock, targets))
    assert sum(target.killed for target in targets.values()) == 2  # and no process is left


# ---- real processes ----


def test_known_truth_in_processes(tmp_path, monkeypatch):
    """Five targets of which it is known what they do, in a few seconds: each is found."""
    support = Path(__file__).parents[2] / "support"
    monkeypatch.setattr(sys, "path", [str(support), *sys.path])
    from edgevision.bench.process.remote import RemoteTarget

    random = np.random.default_rng(1)
    frames = [random.integers(0, 256, (12, 80, 3), np.uint8) for _ in range(4)]
    made = workload().__class__("noise", frames, ((80, 12),) * 4)
    names = ("sleeps@ms=2", "sleeps@ms=5", "cached@ms=3", "lies@honest=4,every=1", "dies@after=90")
    asked = BenchOptions(
        tuple(f"python:bench_targets:{name}" for name in names), ("single-stream",), threads=1, minutes=0.15, force=True,
        output=tmp_path / "record.json",
    )  # fmt: skip
    record = run_bench(asked, parts=Parts(lambda _: made, RemoteTarget, QuietWatcherOpen))
    found = {one.target.split(":")[-1]: one for one in record.results}
    assert found["dies@after=90"].status == "failed"
    assert "status 7" in found["dies@after=90"].reason
    assert "cached" in {doubt.code for doubt in found["cached@ms=3"].doubts}
    assert "output-wrong" in {doubt.code for doubt in found["lies@honest=4,every=1"].doubts}
    assert not {"cached", "output-wrong"} & {doubt.code for doubt in found["sleeps@ms=2"].doubts}
    (slower,) = (one for one in record.comparisons if one.figure == "p50" and one.a.endswith("ms=5"))
    assert slower.ratio > 1.2
    assert len(read_record(tmp_path / "record.json").results) == 5


class QuietWatcherOpen(QuietWatcher):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None
