"""The record as a file: what is written is read, and what was not written so is refused in words."""

from __future__ import annotations

import base64
import errno
import json
import zlib
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from edgevision.bench import record_file
from edgevision.bench.record import Comparison, Doubt, Figure, Record, Result, TargetEntry
from edgevision.bench.record_file import dumps, ensure_place, loads, numbers_of, read_record, write_record
from edgevision.bench.scenarios.base import Block, Counters, Scenario
from edgevision.bench.targets.base import Allowance, Identity
from edgevision.errors import EdgeVisionError, InputError


def block(n: int, seed: int = 0) -> Block:
    random = np.random.default_rng(seed)
    return Block(
        "a", Scenario("fixed-rate", {"cameras": 2, "fps": 15.0}, 7), 3, 10**15, 10**9, random.integers(0, 2**62, n),
        random.integers(-1, 9, n), random.random(n) < 0.3, random.integers(0, 10**9, n), {"infer": random.integers(0, 99, n)},
        random.integers(0, 2, n), (1, 0), (20, 21), (0,), Counters(1, None, 3, 4),
    )  # fmt: skip


def record(*sizes: int) -> Record:
    scenario = Scenario("fixed-rate", {"cameras": 2, "fps": 15.0})
    identity = Identity(
        "onnx", "m.onnx", "ab" * 32, 9, "detect", "int8", "x 1", "CPU", 2, (1, 3, 640, 640), {"numpy": "2"}, ("a note",)
    )
    figure = Figure("p90", "ms", 1.5, None, float("inf"), 0.95, False, 12, "few")
    return Record(
        "0123", "edgevision bench", "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00", "complete", {"sha256": "cd", "count": 3},
        {"load": [0.1, None], "deep": {"x": {"y": True}}}, (TargetEntry("ä\ud800", "m.onnx", Allowance(2, 8), identity),
        TargetEntry("b", "none", Allowance(), None, "not there")),
        (Result("a", scenario, "complete", "", tuple(block(n, n) for n in sizes), (figure,), (Doubt("drift", "it does", True),)),),
        (Comparison("a", "b", scenario, "p50", 1.1, 0.0, float("inf"), 0.95, 10, "undecided", "budget"),),
    )  # fmt: skip


def equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if is_dataclass(a):
        return type(a) is type(b) and all(equal(getattr(a, one.name), getattr(b, one.name)) for one in fields(a))
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return a == b


@pytest.mark.parametrize("sizes", [(), (0,), (1, 64), (65, 3000)])
def test_what_is_written_is_read(tmp_path, sizes):
    path = tmp_path / "record.json"
    write_record(path, record(*sizes))
    assert equal(read_record(path), record(*sizes))


def test_few_numbers_are_readable_and_many_are_small():
    few = json.loads(dumps(record(3)))["results"][0]["blocks"][0]
    assert few["latency_ns"] == block(3, 3).latency_ns.tolist()
    assert few["switched"] == block(3, 3).switched.tolist()
    many = json.loads(dumps(record(5000)))["results"][0]["blocks"][0]
    packed = many["frames"]
    assert packed["int64"] == 5000
    found = np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), "<i8")
    assert np.array_equal(found, block(5000, 5000).frames)  # as anybody may read it
    assert len(packed["zlib"]) < 5000 * 2


def changed(**values: object) -> bytes:
    return json.dumps({**json.loads(dumps(record(70))), **values}).encode()


def with_block(**values: object) -> bytes:
    plain = json.loads(dumps(record(70)))
    plain["results"][0]["blocks"][0].update(values)
    return json.dumps(plain).encode()


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "this is no JSON"),
        (b"\xff\xfe", "this is no JSON"),
        (b"[" * 200_000, "this is no JSON"),
        (b"[]", "no record of 'edgevision bench'"),
        (b'{"format": "soak"}', "no record of 'edgevision bench'"),
        (changed(schema=2), "has the schema 2, and this version reads 1; measure again"),
        (changed(schema=2, conditions={"versions": {"edgevision": "9.1"}}), r"\(edgevision 9.1\)"),
        (changed(schema=True), "record.schema is bool"),
        (changed(status=3), "record.status is int, expected str"),
        (changed(odd=1), r"other fields than a record of schema 1 \(odd\)"),
        (changed(results={}), "record.results is dict, expected list"),
        (changed(results=[{}]), r"record.results\[0\] has other fields"),
        (with_block(round=1.5), r"blocks\[0\].round is float, expected int"),
        (with_block(round=True), r"blocks\[0\].round is bool, expected int"),
        (with_block(round=2**70), "does not fit into 64 bits"),
        (with_block(latency_ns=["1"]), r"latency_ns is str, expected int"),
        (with_block(latency_ns={"int64": 70}), "is no array of int64"),
        (with_block(latency_ns={"float64": 70, "zlib": ""}), "is no array of int64"),
        (with_block(latency_ns={"int64": -1, "zlib": ""}), "has -1 numbers"),
        (with_block(latency_ns={"int64": 3, "zlib": "??"}), "cannot be unpacked"),
        (with_block(latency_ns={"int64": 3, "zlib": packed(bytes(23))}), "another number of bytes than the 24"),
        (with_block(latency_ns={"int64": 3, "zlib": packed(bytes(10**7))}), "another number of bytes than the 24"),
        (with_block(latency_ns={"int64": 10**12, "zlib": packed(bytes(8))}), "more than"),
        (with_block(switched={"bool": 2, "zlib": packed(b"\1\2")}), "neither true nor false"),
    ],
)
def test_what_was_not_written_so_is_refused(tmp_path, data, told):
    with pytest.raises(InputError, match=told):
        loads(data)
    path = tmp_path / "record.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{path}"):
        read_record(path)


def test_files_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no file"):
        read_record(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="cannot read"):
        read_record(tmp_path)
    write_record(tmp_path / "record.json", record(3))
    monkeypatch.setattr(record_file, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="more than the 100 bytes"):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_NUMBERS"])
def test_nothing_is_written_that_would_not_be_read(tmp_path, monkeypatch, limit):
    path = tmp_path / "record.json"
    write_record(path, record(3))
    before = path.read_bytes()
    monkeypatch.setattr(record_file, limit, 1000)
    with pytest.raises(InputError, match="measure fewer rounds"):
        write_record(path, record(5000))
    assert path.read_bytes() == before


def test_what_a_run_may_measure_can_be_written():
    """Each number takes 8 bytes, and 4 letters stand for 3 bytes: noise does not get smaller, and zlib adds a thousandth."""
    assert record_file.ROOM * 8 * 4 / 3 * 1.001 < 0.98 * record_file.MOST_BYTES
    assert record_file.ROOM < record_file.MOST_NUMBERS
    assert numbers_of(block(100)) == 6 * 100


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_record(path, record(3))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EdgeVisionError, match="the disk is full"):
        write_record(path, record(4))
    assert len(read_record(path).results[0].blocks[0].latency_ns) == 3


def test_other_values_are_a_fault_of_ours():
    with pytest.raises(TypeError, match="plain values, got set"):
        dumps(replace(record(), conditions={"x": {1}}))
    with pytest.raises(TypeError, match="arrays"):
        dumps(replace(record(), conditions={"x": np.zeros((2, 2))}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda block: block["frames"].append(1), "another number of frames"),
        (lambda block: block["stages"]["infer"].append(1), "another number of infer"),
        (lambda block: block["switched"].append(True), "another number of switched"),
        (lambda block: block["offered"].append(1), "another number of cameras"),
        (lambda block: block["scenario"]["parameters"].pop("fps"), "no number for 'fps'"),
        (lambda block: block["scenario"]["parameters"].update(fps="15"), "no number for 'fps'"),
        (lambda block: block["scenario"]["parameters"].update(cameras=0), "no number for 'cameras'"),
        (lambda block: block["scenario"].update(name="density"), "the rule 'None', which is none"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(change, told):
    values = json.loads(dumps(record(5)))
    change(values["results"][0]["blocks"][0])
    with pytest.raises(InputError, match=told):
        loads(json.dumps(values).encode())


def test_only_a_record_is_replaced(tmp_path):
    path = tmp_path / "record.json"
    ensure_place(path)
    path.write_bytes(b"")
    ensure_place(path)
    write_record(path, record(2))
    ensure_place(path)
    for content in (b"PK\3\4 a bundle", b'{"format": "another"}'):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no record: it would be replaced"):
            ensure_place(path)
        assert path.read_bytes() == content
