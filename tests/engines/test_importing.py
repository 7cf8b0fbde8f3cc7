"""Engines are imported with their telemetry off and leave no other trace; an import that fails is an error of ours.

Each case runs in a process of its own, most with packages that are made here and say what happens to them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = ("ORT_DISABLE_TELEMETRY", "EDGEVISION_ENGINE_TELEMETRY")

PACKAGES = {
    "onnxruntime": """
        import os
        print("onnxruntime sees", os.environ.get("ORT_DISABLE_TELEMETRY"))
        class InferenceSession: pass
        def disable_telemetry_events(): print("events disabled")
        """,
    "openvino": """
        try:
            import openvino_telemetry
            print("openvino reports")
        except ImportError:
            print("openvino reports nothing")
        class Core: pass
        """,
    "openvino_telemetry": "",
}


def run(code: str, packages: dict[str, str], folder: Path, **settings: str) -> str:
    """What a program prints that finds ``packages`` (their text by name) before those that are installed."""
    for name, text in packages.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(textwrap.dedent(text))
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), **settings}
    done = subprocess.run([sys.executable, "-B", "-c", textwrap.dedent(code)], capture_output=True, text=True,
                          check=False, env=environment, cwd=ROOT)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- telemetry ----

IMPORT = "from edgevision.engines import importing\n"
TOLD = """
for one in importing.describe_telemetry():
    print(one.engine, "on:" if one.on else "off:", one.reason)
"""


@pytest.mark.parametrize(
    ("settings", "sees", "disabled", "told"),
    [
        ({}, "1", True, "off: edgevision sets ORT_DISABLE_TELEMETRY=1"),
        ({"ORT_DISABLE_TELEMETRY": ""}, "1", True, "off: edgevision sets ORT_DISABLE_TELEMETRY=1"),
        ({"ORT_DISABLE_TELEMETRY": "yes"}, "yes", True, "off: ORT_DISABLE_TELEMETRY=yes is set"),
        ({"ORT_DISABLE_TELEMETRY": "0"}, "0", False, "on: ORT_DISABLE_TELEMETRY=0 is set"),
        ({"EDGEVISION_ENGINE_TELEMETRY": "1"}, "None", False, "on: EDGEVISION_ENGINE_TELEMETRY=1 is set"),
        ({"EDGEVISION_ENGINE_TELEMETRY": "0"}, "1", True, "off: edgevision sets ORT_DISABLE_TELEMETRY=1"),
        (
            {"EDGEVISION_ENGINE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1"}, "1", True,
            "off: ORT_DISABLE_TELEMETRY=1 is set",
        ),
    ],
)  # fmt: skip
def test_onnxruntime_is_switched_off_before_it_is_imported(tmp_path, settings, sees, disabled, told):
    code = f"{IMPORT}importing.import_onnxruntime()\nimporting.import_onnxruntime(){TOLD}"
    lines = run(code, PACKAGES, tmp_path, **settings).splitlines()
    expected = [f"onnxruntime sees {sees}", *["events disabled"] * disabled, f"onnxruntime {told}"]
    assert lines[: len(expected)] == expected


def test_onnxruntime_that_the_program_imported_before(tmp_path):
    """What is left to do is done, and that it is too late is told; programs that this one starts are switched off."""
    code = f"import onnxruntime, os\n{IMPORT}importing.import_onnxruntime(){TOLD}print(os.environ['ORT_DISABLE_TELEMETRY'])"
    lines = run(code, PACKAGES, tmp_path).splitlines()
    assert lines[:2] == ["onnxruntime sees None", "events disabled"]
    assert lines[2].startswith("onnxruntime on: the program imported onnxruntime before edgevision did")
    assert lines[-1] == "1"


@pytest.mark.parametrize(
    ("before", "settings", "expected"),
    [
        ("", {}, ["openvino reports nothing", "openvino off: edgevision hides openvino_telemetry from openvino"]),
        ("import openvino_telemetry", {},
         ["openvino reports nothing", "openvino off: edgevision hides openvino_telemetry from openvino"]),
        ("", {"EDGEVISION_ENGINE_TELEMETRY": "1"},
         ["openvino reports", "openvino on: EDGEVISION_ENGINE_TELEMETRY=1 is set"]),
        ("import openvino", {},
         ["openvino reports", "openvino on: the program imported openvino before edgevision did: let edgevision load its "
                              "model first, or uninstall openvino_telemetry"]),
    ],
)  # fmt: skip
def test_openvino_finds_no_sender(tmp_path, before, settings, expected):
    code = f"{before}\n{IMPORT}importing.import_openvino()\nimporting.import_openvino(){TOLD}"
    lines = run(code, PACKAGES, tmp_path, **settings).splitlines()
    assert [line for line in lines if line.startswith("openvino")] == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "import openvino_telemetry"),
        ("import openvino_telemetry as own", "import openvino_telemetry; assert openvino_telemetry is own"),
        ("sys.modules['openvino_telemetry'] = None", "assert sys.modules['openvino_telemetry'] is None"),
    ],
    ids=["not imported", "imported", "refused by the program"],
)
@pytest.mark.parametrize("openvino", [PACKAGES["openvino"], "raise ImportError"], ids=["whole", "broken"])
def test_the_sender_is_hidden_from_nobody_else(tmp_path, before, after, openvino):
    code = f"""
import contextlib, sys
from edgevision.errors import EngineError
{IMPORT}
{before}
with contextlib.suppress(EngineError):
    importing.import_openvino()
{after}
"""
    run(code, {**PACKAGES, "openvino": openvino}, tmp_path)


@pytest.mark.parametrize("value", ["", "0", "TRUE", "yes", "On", "2"])
def test_what_a_value_is_said_to_do_is_what_onnxruntime_does(tmp_path, value):
    """The installed ONNX Runtime is asked: where it reports, it keeps an identifier in the home folder."""
    leaves = {}
    for name, setting in (("by default", {}), ("as set", {"ORT_DISABLE_TELEMETRY": value})):
        home = tmp_path / name
        home.mkdir()
        run("import onnxruntime", {}, tmp_path, HOME=str(home), XDG_CACHE_HOME="", **setting)
        leaves[name] = any(home.rglob("*"))
    if not leaves["by default"]:
        pytest.skip("this version of ONNX Runtime reports nothing")
    told = run(f"{IMPORT}{TOLD}", {}, tmp_path, ORT_DISABLE_TELEMETRY=value).splitlines()[0]
    expected = leaves["as set"] and value != ""  # an empty one is no setting: ours counts
    assert told.startswith("onnxruntime on:" if expected else "onnxruntime off:")


# ---- imports that fail ----

OPEN = """
import sys
{before}
from edgevision.engines import open_engine
from edgevision.errors import EngineError, MissingExtraError
try:
    open_engine({engine!r}, open("tests/data/color.onnx", "rb").read())
except (EngineError, MissingExtraError) as error:
    print(type(error).__name__, error)
"""
BROKEN = [
    ("raise ImportError('libtbb.so.12: cannot open shared object file')",
     "is installed and cannot be imported (ImportError: libtbb.so.12: cannot open shared object file); install it again"),
    ("import package_that_is_gone", "(ModuleNotFoundError: No module named 'package_that_is_gone'); install it again"),
    ("raise RuntimeError('Could not determine home directory.')", "(RuntimeError: Could not determine home directory.)"),
    ("raise OSError(8, 'Exec format error')", "(OSError: [Errno 8] Exec format error)"),
    ("def", "(SyntaxError: "),
    ("", "is installed in part only: it has no "),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("text", "told"), BROKEN, ids=[text[:30] for text, _ in BROKEN])
def test_a_broken_package_is_an_error_that_gives_the_cause(tmp_path, engine, text, told):
    printed = run(OPEN.format(before="", engine=engine), {engine: text}, tmp_path)
    assert printed.startswith("EngineError ")
    assert f"{engine} is installed " in printed
    assert told in printed


@pytest.mark.parametrize(
    ("engine", "cure"), [("onnxruntime", "pip install onnxruntime"), ("openvino", "pip install 'edgevision[openvino]'")]
)
def test_a_missing_package_is_an_error_that_says_how_to_install_it(tmp_path, engine, cure):
    printed = run(OPEN.format(before=f"sys.modules[{engine!r}] = None", engine=engine), {}, tmp_path)
    assert printed.startswith("MissingExtraError ")
    assert printed.rstrip().endswith(f"Install it with: {cure}")


def test_a_bundle_goes_on_with_the_engine_that_is_whole(tmp_path, color_bundle):
    bundle = color_bundle(
        variants=(("openvino-int8", "openvino", "int8"), ("onnxruntime-float", "onnxruntime", "float"))
    )
    code = f"""
        import warnings
        import edgevision as ev
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with ev.load({str(bundle)!r}) as model:
                print(model.variant.engine)
        print(*(one.message for one in told if one.category is ev.errors.DeviceWarning))
        """
    printed = run(code, {"openvino": "raise ImportError('libtbb.so.12: cannot open')"}, tmp_path).splitlines()
    assert printed[0] == "onnxruntime"
    assert "openvino is installed and cannot be imported (ImportError: libtbb.so.12: cannot open)" in printed[1]
