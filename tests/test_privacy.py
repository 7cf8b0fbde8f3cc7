"""Nothing leaves the machine, and nothing is written but the cache, the output and temporary files: seen by strace.

Run with an empty home folder, and without one.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from traced import Seen, trace

pytestmark = pytest.mark.requires("strace")

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "tests" / "data" / "schema1.edge"
HOMES = ("empty", "unset", "unknown")


def run(code: str, folder: Path, home: str, *arguments: object) -> Seen:
    """Run ``code`` traced, in ``folder/out``, with a home folder that is ``empty``, not told (``unset``), or cannot be found
    (``unknown``: a user of whom the system knows no more than a number, as containers have it)."""
    out, temporary, cache = (folder / name for name in ("out", "tmp", "cache"))
    for path in (out, temporary, folder / "home"):
        path.mkdir()
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("XDG_", "EDGEVISION_", "ORT_", "MPL", "TORCH", "CI", "HOME"))}  # fmt: skip
    kept |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
    kept |= {"HOME": str(folder / "home")} if home == "empty" else {"EDGEVISION_CACHE": str(cache)}
    if home == "unknown":
        nobody = "import pwd\ndef getpwuid(uid):\n    raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
        code = nobody + textwrap.dedent(code)
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return trace(command, folder / "traces", out, kept)


def wrong(seen: Seen, folder: Path, allowed_programs: str = "", allowed_files: str = "") -> dict[str, list[str]]:
    """What was seen and must not be.

    ``allowed_programs``: a pattern that the arguments of a started program may match; ``allowed_files``: one that the path
    of a written file may.
    """
    inside = (
        folder / "out",
        folder / "tmp",
        folder / "cache",
        folder / "home" / ".cache" / "edgevision",
        Path("/dev/null"),
    )
    found = {
        "written": [
            one for one in seen.written_outside(*inside) if not (allowed_files and re.search(allowed_files, one))
        ],
        "network": list(seen.network),
        "started": [one for one in seen.started if not (allowed_programs and re.search(allowed_programs, one))],
    }
    return {what: each for what, each in found.items() if each}


# ---- a device ----

PREDICT = """
import sys, warnings
import numpy as np
import edgevision as ev
warnings.simplefilter("ignore")
with ev.load(sys.argv[1], engine=sys.argv[2]) as model:
    print(model.predict(np.full((40, 40, 3), (0, 0, 200), np.uint8)).best.name)
"""


# engines/child.py: the first to open a graph on a machine
CHILD = r'"-c", ".*from edgevision\.engines\.footprint import main'


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.requires("openvino"))])
def test_a_bundle_is_loaded_and_predicts_in_silence(tmp_path, engine, home):
    seen = run(PREDICT, tmp_path, home, BUNDLE, engine)
    assert seen.printed == "red\n"
    assert wrong(seen, tmp_path, CHILD) == {}
    assert len(seen.started) == 1  # so what the child did was seen too


# ---- where models are made ----

# Who starts them, and why it is left so:
#   CHILD: compile opens each variant in a process of its own first
#   ldconfig -p: NVIDIA's cuda-pathfinder, which PyTorch imports, looks for a library
#   fc-list: matplotlib asks which fonts there are, once; its list is then in the cache
MAKERS_START = CHILD + r'|"/sbin/ldconfig", "-p"|\["fc-list", "--'
# PyTorch's export makes a progress bar where tqdm is installed, and tqdm a semaphore, whose name it takes away at once.
MAKERS_WRITE = r"^/dev/shm/sem\."

MAKE = """
import json, pathlib, sys
import torch
from torch import nn
from edgevision.cli.main import main

network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
dynamic = ({0: torch.export.Dim("batch", min=1, max=64)},)
torch.export.save(torch.export.export(network.eval(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=dynamic), "network.pt2")
spec = {"height": 32, "width": 32, "mean": [0, 0, 0], "std": [255, 255, 255], "fit": "stretch"}
pathlib.Path("spec.json").write_text(json.dumps(spec))
pathlib.Path("labels.txt").write_text("blue\\ngreen\\nred")
commands = (
    "train -o trained.pt --arch lite0 --scratch --size 32 --epochs 1 --batch 20",
    "compile network.pt2 -o model.edge --skip-validation --max-drop 100 --preprocess spec.json --labels labels.txt "
    "--output logits --report report --force",  # its weights are random
)
sys.exit(max(main([*command.split(), "--data", sys.argv[1], "--threads", "1"]) for command in commands))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders blue, green and red, of 20 photos each."""
    from edgevision.decode import encode_png

    folder = tmp_path_factory.mktemp("photos")
    for channel, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir()
        for place in range(20):
            patches = np.random.default_rng((channel, place)).integers(0, 120, (6, 8, 3), dtype=np.uint8)
            image = np.kron(patches, np.ones((4, 4, 1), np.uint8))  # plain noise would be refused
            image[..., channel] += 120
            (folder / name / f"{place}.png").write_bytes(encode_png(image))
    return folder


@pytest.mark.requires("torch", "onnx", "matplotlib")
@pytest.mark.parametrize("home", ["empty", pytest.param("unknown", marks=pytest.mark.slow)])
def test_train_and_compile_keep_to_their_folders(tmp_path, home, photos):
    seen = run(MAKE, tmp_path, home, photos)
    assert {"trained.pt", "model.edge", "report"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert wrong(seen, tmp_path, MAKERS_START, MAKERS_WRITE) == {}
    cache = {"empty": tmp_path / "home" / ".cache" / "edgevision", "unknown": tmp_path / "cache"}[home]
    assert list((cache / "matplotlib").glob("fontlist*"))  # there it was written, so matplotlib was at work


# ---- the tracing itself ----


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))", "network", "connect("),
        ("import socket; socket.getaddrinfo('edgevision.invalid', 80)", "network", "/etc/"),
        ("import pathlib; (pathlib.Path.home() / 'mine').write_text('x')", "written", "/home/mine"),
        ("import pathlib; (pathlib.Path.home() / '.cache').mkdir()", None, ""),
        ("import pathlib; (pathlib.Path.home() / '.cache' / 'edgevision').mkdir(parents=True)", None, ""),
        ("import pathlib; (pathlib.Path.home() / '.config').mkdir()", "written", "/home/.config"),
        ("import os; os.symlink('../home', 'there'); open('there/mine', 'w').close()", "written", "/home/mine"),
        ("import os; os.rename('../home', '../house')", "written", "/house"),
        ("import subprocess; subprocess.run(['true'])", "started", '["true"]'),
        ("import os; os.fork() or os.execvp('true', ['true', 'indeed']); os.wait()", "started", '["true", "indeed"]'),
        ("import threading; t = threading.Thread(target=open, args=('../home/mine', 'w')); t.start(); t.join()",
         "written", "/home/mine"),
        ("import tempfile; tempfile.NamedTemporaryFile().close(); open('mine', 'w').close()", None, ""),
    ],
)  # fmt: skip
def test_what_must_not_be_would_be_seen(tmp_path, code, kind, expected):
    program = f"try:\n    {code}\nexcept OSError:\n    pass"
    found = wrong(run(program, tmp_path, "empty"), tmp_path)
    assert list(found) == ([kind] if kind else [])
    assert expected in str(found)
