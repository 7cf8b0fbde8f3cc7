"""Models of attributes on the command line: predicted, drawn, as the second of a cascade; trained, compiled and evaluated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from spots import spot_picture, write_spot_finder

import edgevision as ev
from edgevision.decode import encode_png, read_image
from edgevision.errors import UnprovenWarning
from edgevision.tasks.attributes import attributes_spec

SPEC = attributes_spec({"colour": ("red", "green", "blue")})


@pytest.fixture
def bundle(color_bundle):
    """The colour bundle as one of a single attribute, which is known from 0.5 on."""

    def changed(manifest):
        parameters = {"temperatures": {"colour": 1.0}, "thresholds": {"colour": 0.5}}
        variants = tuple(replace(variant, parameters=parameters) for variant in manifest.variants)
        return replace(manifest, task=SPEC, variants=variants)

    return color_bundle("look.edge", manifest=changed)


@pytest.fixture
def pictures(tmp_path):
    for name, rgb in (("blue", (10, 20, 240)), ("grey", (128, 128, 128))):
        (tmp_path / f"{name}.png").write_bytes(encode_png(np.full((40, 60, 3), rgb[::-1], np.uint8)))
    return tmp_path


def test_predict_says_every_attribute(edgevision, bundle, pictures):
    done = edgevision("predict", bundle, pictures / "blue.png", pictures / "grey.png")
    assert (done.status, done.err) == (0, "")
    blue, grey = done.out.splitlines()
    assert blue.startswith(f"{pictures / 'blue.png'}: colour blue 99.")
    assert grey == f"{pictures / 'grey.png'}: colour unknown (closest: red 33.3%)"
    (row,) = edgevision("predict", bundle, pictures / "blue.png", "--json").json
    assert row["attributes"][0]["value"] == "blue"
    assert row["attributes"][0]["known"] is True


def test_a_threshold_of_the_users_is_for_all_attributes(edgevision, bundle, pictures):
    assert "colour unknown" in edgevision("predict", bundle, pictures / "blue.png", "--threshold", 1).out
    assert "colour red 33.3%" in edgevision("predict", bundle, pictures / "grey.png", "--threshold", 0).out


def test_the_answer_is_drawn(edgevision, bundle, pictures):
    assert edgevision("predict", bundle, pictures / "blue.png", "--draw", pictures / "drawn").status == 0
    (drawn,) = (pictures / "drawn").iterdir()
    assert (read_image(drawn)[-10:] != (240, 20, 10)).any()


@pytest.mark.requires("onnx")
def test_it_is_the_second_of_a_cascade(edgevision, bundle, tmp_path):
    finder = write_spot_finder(tmp_path / "spots.edge")
    picture = spot_picture({(2, 2): (255, 10, 10), (0, 4): (10, 10, 230)}, 4)
    with ev.load(finder, then=bundle) as cascade:
        found = {tuple(product.result.values.items()) for product in cascade.predict(picture)}
    assert found == {(("colour", "red"),), (("colour", "blue"),)}
    (tmp_path / "spots.png").write_bytes(encode_png(picture))
    lines = edgevision("predict", finder, tmp_path / "spots.png", "--then", bundle).out.splitlines()
    assert "2 found" in lines[0]
    assert {line.split()[1] for line in lines[1:]} == {"red", "blue"}


@pytest.mark.slow
@pytest.mark.requires("torch", "onnx")
def test_from_a_table_to_a_bundle(edgevision, tmp_path, monkeypatch):
    """Colours that a network of a hundred weights can tell: trained, compiled to int8, proven, evaluated."""
    from footprints import opened_here

    from edgevision.compiler.select import measure
    from edgevision.train import AttributesTrainOptions, Augmentation, train

    monkeypatch.setattr(measure, "footprint", opened_here)
    random = np.random.default_rng(0)
    rows = ["path,hue,light"]
    for place in range(120):
        hue, light = place % 3, place // 3 % 2
        picture = np.full((32, 32, 3), 20.0)
        picture[..., hue] = 230 if light else 110
        picture += np.kron(random.uniform(-18, 18, (4, 4, 1)), np.ones((8, 8, 1))) + random.normal(0, 1, picture.shape)
        (tmp_path / f"{place}.png").write_bytes(encode_png(np.clip(picture, 0, 255).astype(np.uint8)))
        known = "" if place % 5 == 0 else ("dark", "bright")[light]
        rows.append(f"{place}.png,{('blue', 'green', 'red')[hue]},{known}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows))

    checkpoint, made = tmp_path / "look.pt", tmp_path / "look.edge"
    options = {"data": table, "output": checkpoint, "size": 32, "scratch": True, "epochs": 8, "freeze_epochs": 0, "batch": 12,
               "arch_options": {"width": 0.25, "depth": 0.3, "features": 32}, "threads": 1, "ema": 0.8, "sizes": (1.0,),
               "lr": 5e-3, "head_lr": 1e-2, "patience": None, "augmentation": Augmentation(min_area=1, rotate=0, erase=0, blur=0)}  # fmt: skip

    train(AttributesTrainOptions(**options))
    done = edgevision("compile", checkpoint, "--int8", "--threads", 1, "-o", made, "--max-drop", 5,
                      "--max-class-drop", 50, "--max-ece-increase", 100, "--effort", "quick", "--json")  # fmt: skip
    assert done.status == 0, done.err
    assert done.json["verdict"]["metric"] == "accuracy"
    told = edgevision("eval", made, "--data", table, "--against", checkpoint, "--json").json
    int8, floating = ({head["name"]: head["metrics"] for head in model["attributes"]} for model in told["models"])
    assert (int8["hue"]["n"], int8["light"]["n"]) == (120, 96)
    assert floating["hue"]["top1"] > 85
    assert abs(int8["hue"]["top1"] - floating["hue"]["top1"]) <= 5
    with pytest.warns(UnprovenWarning, match="trained on"), ev.load(made) as model:
        (answer,) = model.predict([read_image(tmp_path / "1.png")])
    assert answer["hue"].value == "green"


def test_options_of_other_tasks_are_refused(edgevision, tmp_path):
    done = edgevision(
        "train", "--task", "classify", "--data", tmp_path, "--attributes", tmp_path, "-o", tmp_path / "m.pt"
    )
    assert done.status == 2
    assert "--attributes is for --task attributes" in done.err
