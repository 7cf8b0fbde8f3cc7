"""What only a process of its own can show: ``python -m``, closed pipes, signals, full disks, a messy working folder."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def start(
    *arguments: object, cwd: Path | None = None, limit_bytes: int = 0, on_sigint=signal.default_int_handler,
    python: tuple[str, ...] = (), **more,
) -> subprocess.Popen:  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}

    def prepare() -> None:
        signal.signal(signal.SIGINT, on_sigint)  # a shell's background jobs ignore it, and hand that on
        if limit_bytes:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does: the write fails instead
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, *python, "-m", "edgevision", *map(str, arguments)], cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare, **more,  # noqa: PLW1509 - no threads here
    )  # fmt: skip


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def without_progress(err: str) -> list[str]:
    """The lines of stderr but those that a slow machine sees after ten seconds: ``edgevision: [10 s] …``."""
    return [line for line in err.splitlines() if not line.startswith("edgevision: [")]


def test_python_m_edgevision():
    import edgevision

    assert finish(start("--version")) == (0, edgevision.__version__ + "\n", "")
    status, out, err = finish(start("inspect", "nope.edge"))
    assert (status, out) == (2, "")
    assert err.startswith("edgevision: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--json"], ["--labels"]])
def test_a_closed_pipe_is_no_fault(color_bundle, arguments):
    process = start("inspect", color_bundle(), *arguments)
    process.stdout.close()  # as `| head -0` does
    process.stdout = None
    status, _, err = finish(process)
    assert err == ""
    assert status == 1


@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_the_terminal_cannot_show(color_bundle, photos, tmp_path, monkeypatch, encoding, more):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    name = tmp_path / os.fsdecode(b"\xff \xc3\xbc.png")
    try:
        name.write_bytes((photos / "red" / "1.png").read_bytes())
    except OSError:
        pytest.skip("this file system has no such names")
    status, out, err = finish(start("predict", color_bundle(), name, *more))
    assert (status, err) == (0, "")
    assert "red" in out
    assert finish(start("inspect", color_bundle()))[0] == 0


@pytest.mark.requires("torch", "onnx")
def test_a_full_disk_leaves_the_old_bundle(onnx_model, photos, tmp_path):
    """The limit lets the small files of measuring through, and stops the bundle."""
    target = tmp_path / "out" / "model.edge"  # a folder of its own: the cache is in tmp_path
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    given = ("compile", *onnx_model, "--data", photos, "--precision", "float", "-o", target)
    status, out, err = finish(start(*given, limit_bytes=20_000))
    assert status == 1, err
    assert out == ""
    (line,) = without_progress(err)
    assert "the file is larger than the limit here" in line
    assert target.read_bytes() == b"the old one"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.requires("torch", "onnx")
def test_compile_in_a_folder_whose_files_are_called_as_modules(onnx_model, photos, tmp_path):
    """Relative paths, a target in another folder, and modules in the way of whoever looks here first."""
    for name in ("json", "numpy", "onnxruntime", "queue"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported from the working folder')\n")
    (tmp_path / "out").mkdir()
    here = [os.path.relpath(a, tmp_path) if isinstance(a, Path) else a for a in (*onnx_model, "--data", photos)]
    # As the installed command starts: without the working folder on the path.
    code = "import sys; sys.path.remove(''); from edgevision.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-c", code, "compile", *here, "-o", "out/model.edge", "--int8"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.edge").is_file()
    assert "Wrote out/model.edge" in done.stdout


@pytest.mark.requires("torch", "onnx")
def test_ctrl_c(onnx_model, photos, tmp_path):
    """Whenever it comes, the target is not there or whole."""
    target = tmp_path / "model.edge"
    process = start("compile", *onnx_model, "--data", photos, "-o", target, start_new_session=True)
    while not _children(process.pid) and process.poll() is None:  # it is measuring: a child holds an engine
        os.sched_yield()
    os.killpg(process.pid, signal.SIGINT)
    status, _, err = finish(process)
    assert status == 130, err
    assert without_progress(err) == STOPPED
    assert list(tmp_path.iterdir()) == []


STOPPED = ["edgevision: stopped by the user; nothing is left half-written"]


def interrupted_at(place: int, *arguments: object, **more) -> tuple[int, list[str]]:
    """Status and stderr of a command that gets SIGINT when it has imported so many modules since its entry: Python tells of each."""
    process = start(*arguments, python=("-X", "importtime"), **more)
    for line in process.stderr:
        if line.endswith(" edgevision.cli.entry\n"):
            break
    for _ in range(place):
        process.stderr.readline()
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    return status, [line for line in without_progress(err) if not line.startswith("import time:")]


# The last ones are in the midst of NumPy, OpenCV and ONNX Runtime, where C++ initialises itself.
@pytest.mark.parametrize("place", [1, 2, 5, 20, 60, 130, 200, 260])
def test_ctrl_c_while_a_command_is_still_importing(color_bundle, photos, place):
    assert interrupted_at(place, "predict", color_bundle(), photos) == (130, STOPPED)


@pytest.mark.requires("torch", "onnx")
@pytest.mark.parametrize("place", [400, 900])
def test_ctrl_c_while_torch_is_imported(onnx_model, photos, tmp_path, place):
    given = ("compile", *onnx_model, "--data", photos, "-o", tmp_path / "model.edge")
    assert interrupted_at(place, *given) == (130, STOPPED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [1, 60])
def test_a_job_in_the_background_is_not_interrupted(color_bundle, photos, place):
    assert interrupted_at(place, "predict", color_bundle(), photos, on_sigint=signal.SIG_IGN) == (0, [])


def _children(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
    except OSError:
        return ""
