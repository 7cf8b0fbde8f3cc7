"""What OpenVINO compiled, in our cache: the same answers, whole or not used, nobody else's, and within bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgevision.engines import EngineOptions, blob_cache, open_engine
from edgevision.engines.blob_cache import SIZE_VARIABLE, BlobCache
from edgevision.errors import CacheWarning

GRAPHS = Path(__file__).parents[1] / "data"
MB = 1_000_000
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs owners and pipes")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(SIZE_VARIABLE, raising=False)
    return tmp_path / "cache" / "openvino"


def kept(folder: Path, blob: bytes = b"blob", key: int = 0) -> Path:
    """The file of a blob that was kept."""
    BlobCache({"graph": key}).keep(1, blob)
    (file,) = set(folder.glob("*.blob"))
    return file


def read(key: int = 0) -> bytes | None:
    return BlobCache({"graph": key}).read(1)


# ---- files ----


@pytest.mark.filterwarnings("error")
def test_what_is_kept_is_read_for_its_own_key_and_batch():
    cache = BlobCache({"graph": "a", "config": {"threads": 1}})
    assert cache.read(1) is None
    cache.keep(1, b"one")
    cache.keep(8, b"eight")
    assert [cache.read(batch) for batch in (1, 8, 2)] == [b"one", b"eight", None]
    assert BlobCache({"graph": "a", "config": {"threads": 2}}).read(1) is None
    assert BlobCache({"config": {"threads": 1}, "graph": "a"}).read(1) == b"one"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1], lambda content: content + b"x", lambda content: b"", lambda content: b"blob",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]), lambda content: content[:20] + b"\0" + content[21:],
        lambda content: b"E" + content[1:],
    ],
    ids=["cut", "longer", "empty", "the blob alone", "a bit", "its hash", "its first byte"],
)  # fmt: skip
def test_an_altered_file_is_not_used_and_is_replaced(folder, damage):
    file = kept(folder)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(CacheWarning, match="was altered, and is compiled again"):
        assert read() is None
    kept(folder)
    assert read() == b"blob"


def test_a_blob_under_another_ones_name_is_not_used(folder):
    first = kept(folder, b"first", key=1)
    content = first.read_bytes()
    first.unlink()
    kept(folder, b"second", key=2).write_bytes(content)
    with pytest.warns(CacheWarning, match="altered"):
        assert read(2) is None


@posix
def test_only_the_user_may_write(folder):
    folder.parent.mkdir()
    before = os.umask(0)
    try:
        file = kept(folder)
    finally:
        os.umask(before)
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@posix
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda folder, file: folder.chmod(0o770), "other users may write to it"),
        (lambda folder, file: folder.chmod(0o707), "other users may write to it"),
        (lambda folder, file: file.chmod(0o620), "other users may write to it"),
        (lambda folder, file: folder.parent.chmod(0o777), "everybody may write to"),
        (lambda folder, file: (folder.rename(folder.with_name("x")), folder.symlink_to("x")), "not a folder, or a link"),
        (lambda folder, file: (file.rename(folder / "x"), file.symlink_to("x")), "symbolic link"),
        (lambda folder, file: (file.unlink(), os.mkfifo(file)), "not a regular file"),
        (lambda folder, file: (file.unlink(), file.mkdir()), "not a regular file"),
        (lambda folder, file: os.truncate(file, 1 << 40), "more than the 512000000 bytes"),
    ],
    ids=["group", "others", "file", "above", "folder is a link", "file is a link", "pipe", "folder", "huge"],
)  # fmt: skip
def test_what_others_may_have_written_and_what_is_no_file_is_not_used(folder, change, why):
    change(folder, kept(folder))
    with pytest.warns(CacheWarning, match=why):
        assert read() is None


@posix
@pytest.mark.parametrize("owned", ["folder", "file"])
def test_another_users_cache_is_not_used(folder, monkeypatch, owned):
    file = kept(folder)
    if os.geteuid() == 0:
        os.chown(folder if owned == "folder" else file, 12345, -1)
    elif owned == "folder":
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    else:
        pytest.skip("needs root")
    with pytest.warns(CacheWarning, match="belongs to another user"):
        assert read() is None


@posix
def test_everybodys_folder_is_fine_where_nobody_can_rename(folder):
    """As /tmp is."""
    folder.parent.mkdir()
    folder.parent.chmod(0o1777)
    kept(folder)
    assert read() == b"blob"


def test_what_cannot_be_written_is_a_warning(folder):
    folder.parent.write_bytes(b"a file where a folder is needed")
    with pytest.warns(CacheWarning, match=rf"cannot be kept.*EDGEVISION_CACHE.*{SIZE_VARIABLE}=0"):
        BlobCache({}).keep(1, b"blob")


# ---- bounds ----


def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "1")
    caches = {name: BlobCache({"graph": name}) for name in "abcd"}
    for place, name in enumerate("abc"):
        caches[name].keep(1, bytes(300_000))
        os.utime(max(folder.glob("*.blob"), key=lambda file: file.stat().st_mtime_ns), ns=(place, place))
    left = folder / ".edgevision-0123456789abcdef.tmp"  # of a writer that was killed
    left.write_bytes(b"x")
    os.utime(left, ns=(0, 0))
    (folder / "notes.txt").write_bytes(bytes(2 * MB))  # not ours
    assert caches["a"].read(1)  # used now
    caches["d"].keep(1, bytes(300_000))
    assert [name for name, cache in caches.items() if cache.read(1)] == ["a", "c", "d"]
    assert not left.exists()
    assert sum(file.stat().st_size for file in folder.glob("*.blob")) <= MB


def test_what_is_larger_than_the_bound_is_not_kept(folder, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "1")
    BlobCache({}).keep(1, bytes(MB))
    assert not folder.exists()


def test_nought_switches_it_off(folder, monkeypatch):
    kept(folder)
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    assert read() is None
    BlobCache({"graph": 1}).keep(1, b"blob")
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("given", ["-1", "a lot", "1.5", "²"])
def test_a_bound_that_is_no_number_is_said(monkeypatch, given):
    monkeypatch.setenv(SIZE_VARIABLE, given)
    with pytest.warns(CacheWarning, match=r"whole number of megabytes.*; 512 are used"):
        assert BlobCache({})._limit == 512 * MB


# ---- in the engine ----


def run(graph: bytes, threads: int = 1, cache: bool = True) -> tuple[list[np.ndarray], set[tuple[str, str]]]:
    """Outputs for batches of 1 and 3, and its layers; anything said of the cache is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        with open_engine("openvino", graph, EngineOptions(threads, cache=cache)) as engine:
            outputs = []
            for batch in (1, 3):
                slot = engine.slots(batch)[0]
                slot.inputs["input"][...] = np.random.default_rng(batch).random(slot.inputs["input"].shape)
                engine.run(slot)
                outputs.append(np.array(slot.outputs["output"]))
            return outputs, {(layer.kind, layer.precision) for layer in engine.layers()}


@pytest.mark.requires("openvino")
@pytest.mark.parametrize("name", ["color.onnx", "color-int8.onnx"])
def test_answers_and_layers_are_the_same_from_the_cache(folder, monkeypatch, name):
    graph = (GRAPHS / name).read_bytes()
    expected, layers = run(graph, cache=False)
    assert not folder.exists()  # nothing is kept unless it is asked for
    run(graph)
    assert len(list(folder.glob("*.blob"))) == 2  # batches of 1 and 4
    monkeypatch.setattr(blob_cache.BlobCache, "keep", lambda *_: pytest.fail("compiled again"))
    found, layers_found = run(graph)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert layers_found == layers


@pytest.mark.requires("openvino")
def test_another_graph_or_number_of_threads_is_compiled_anew(folder):
    color, int8 = ((GRAPHS / name).read_bytes() for name in ("color.onnx", "color-int8.onnx"))
    for count, (graph, threads) in enumerate([(color, 1), (color, 2), (int8, 1)], start=1):
        run(graph, threads)
        assert len(list(folder.glob("*.blob"))) == 2 * count


@pytest.mark.requires("openvino")
@pytest.mark.parametrize("content", [b"", b"not a blob", bytes(1000)])
def test_a_whole_blob_that_openvino_does_not_take_is_passed_over(folder, monkeypatch, content):
    """Such as one of a CPU that calls itself the same and can less."""
    graph = (GRAPHS / "color.onnx").read_bytes()
    expected, _ = run(graph)
    with monkeypatch.context() as patch:
        patch.setattr(BlobCache, "read", lambda *_: content)
        with pytest.warns(CacheWarning, match="is passed over, and compiled again"):
            opened = open_engine("openvino", graph, EngineOptions(cache=True))
        with opened as engine:
            slot = engine.slots(1)[0]
            slot.inputs["input"][...] = np.random.default_rng(1).random(slot.inputs["input"].shape)
            engine.run(slot)
            np.testing.assert_array_equal(slot.outputs["output"], expected[0])


class Interrupted(TimeoutError):  # noqa: N818 - not an error
    """An OSError, as files raise it, and an Exception, as engines do."""


@pytest.mark.requires("openvino")
@pytest.mark.parametrize("at", ["import_model", "read_regular", "atomic_write"])
def test_what_a_signal_handler_raises_comes_through(folder, monkeypatch, at):
    """It is no fault of the cache: no warning, and no going on as if nothing had been raised."""
    graph = (GRAPHS / "color.onnx").read_bytes()
    if at != "atomic_write":
        run(graph)

    def handler(signum, frame):
        raise Interrupted

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, handler)
    try:
        with warnings.catch_warnings(), open_engine("openvino", graph, EngineOptions(cache=True)) as engine:
            warnings.simplefilter("error", CacheWarning)
            (slot,) = engine.slots(3)
            if at == "import_model":
                monkeypatch.setattr(engine, "_core", SimpleNamespace(import_model=interrupted))
            else:
                monkeypatch.setattr(blob_cache, at, interrupted)
            with pytest.raises(Interrupted):
                engine.run(slot)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.requires("openvino")
def test_processes_that_start_at_once_all_answer(folder):
    code = (
        "import sys, numpy; from pathlib import Path; from edgevision.engines import *\n"
        "with open_engine('openvino', Path(sys.argv[1]).read_bytes(), EngineOptions(cache=True)) as engine:\n"
        "    slot = engine.slots(1)[0]; slot.inputs['input'][...] = 0.5; engine.run(slot)\n"
        "    print(slot.outputs['output'].tobytes().hex())"
    )
    command = [sys.executable, "-W", "error::edgevision.errors.CacheWarning", "-c", code, str(GRAPHS / "color.onnx")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate(timeout=120)[0] for process in processes}) == 1
    assert all(process.returncode == 0 for process in processes)
    assert [file.suffix for file in folder.iterdir()] == [".blob"]


@pytest.mark.requires("openvino")
def test_load_uses_it_and_tuning_does_not(folder, color_bundle, monkeypatch):
    import edgevision as ev
    from edgevision.runtime.tuning import tune

    path = color_bundle(variants=[("openvino-float", "openvino", "float")])
    tune(path, threads=1, rounds=1)
    assert not folder.exists()
    ev.load(path, threads=1).close()
    assert list(folder.glob("*.blob"))
    monkeypatch.setattr(blob_cache.BlobCache, "keep", lambda *_: pytest.fail("compiled again"))
    ev.load(path, threads=1).close()
