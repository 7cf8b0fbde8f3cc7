"""``--on-bad-photo`` of the commands that read many photos: all bad ones named together, or left out and counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def damaged(photos, tmp_path) -> Path:
    """The photos, 12 of them damaged."""
    shutil.copytree(photos, tmp_path / "damaged")
    for number in range(12):
        path = tmp_path / "damaged" / "red" / f"{number}.png"
        path.write_bytes(path.read_bytes()[:40])
    return tmp_path / "damaged"


@pytest.mark.parametrize(
    "command", ["eval", pytest.param("compile", marks=pytest.mark.requires("torch", "onnx")),
                pytest.param("train", marks=pytest.mark.requires("torch"))],
)  # fmt: skip
def test_bad_photos_are_named_together(edgevision, color_bundle, onnx_model, damaged, tmp_path, command):
    given = {
        "eval": [color_bundle(), "--data", damaged],
        "compile": [*onnx_model, "--data", damaged, "-o", tmp_path / "out.edge"],
        "train": ["--data", damaged, "-o", tmp_path / "out.pt"],
    }[command]
    done = edgevision(command, *given)
    assert done.status == 2
    lines = done.err.splitlines()
    assert f"12 photos of {damaged} cannot be read:" in lines[0]
    assert sum(str(damaged / "red") in line for line in lines) == 10
    assert "and 2 more (--json lists all)" in lines[-2]
    assert "--on-bad-photo skip" in lines[-1]
    assert not list(tmp_path.glob("out.*"))
    data = edgevision(command, *given, "--json").json
    assert sorted(row["photo"] for row in data["bad_photos"]) == sorted(
        str(damaged / "red" / f"{number}.png") for number in range(12)
    )
    assert all(row["reason"] for row in data["bad_photos"])


def test_eval_leaves_bad_photos_out_where_it_may(edgevision, color_bundle, damaged):
    done = edgevision("eval", color_bundle(), "--data", damaged, "--on-bad-photo", "skip")
    assert (done.status, done.err) == (0, "")
    assert f"Note: 12 photos of {damaged} cannot be read, and were left out:" in done.out
    data = edgevision("eval", color_bundle(), "--data", damaged, "--on-bad-photo", "skip", "--json").json
    assert data["models"][0]["metrics"]["n"] == 48
    assert len(data["bad_photos"]) == 12
    assert data["notes"][0].startswith("12 photos")


@pytest.mark.requires("torch", "onnx")
def test_compile_leaves_bad_photos_out_and_says_so(edgevision, onnx_model, damaged, quick, tmp_path):
    path = tmp_path / "skipped.edge"
    given = ["--precision", "float", "--data", damaged, "-o", path, "--on-bad-photo", "skip", "--json"]
    done = edgevision("compile", *onnx_model, *given)
    assert done.status == 0
    assert any(note.startswith(f"12 photos of {damaged}") for note in done.json["notes"])
    assert edgevision("inspect", path, "--json").json["data"]["bad_photos"] == 12


@pytest.mark.requires("torch")
def test_train_leaves_bad_photos_out_and_says_so(edgevision, damaged, tmp_path):
    path = tmp_path / "model.pt"
    given = ["--data", damaged, "-o", path, "--scratch", "--size", 32, "--epochs", 0.05, "--threads", 1, "--no-photos"]
    done = edgevision("train", *given, "--on-bad-photo", "skip", "--json")
    assert done.status == 0, done.err
    assert len(done.json["bad_photos"]) == 12
    assert any(note.startswith(f"12 photos of {damaged}") for note in done.json["notes"])
