from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgevision.errors import InputError
from edgevision.train.options import TrainOptions

BASE = {"data": Path("photos"), "output": Path("model.pt")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is a number within 0.01"), ({"size": 16}, "size is a whole number within 32…2048, got 16"),
        ({"size": 224.5}, "size is a whole number"), ({"batch": None}, "batch is a whole number"),
        ({"lr": float("nan")}, "lr is a number"), ({"ema": 1.0}, "ema is a number within 0…0.99999"),
        ({"mixup": 0.6, "cutmix": 0.6}, "at most 1, got 1.2"), ({"sizes": ()}, "sizes are shares"),
        ({"sizes": (0.5, 9.0)}, "sizes are shares"), ({"device": "tpu"}, "device is auto, cpu or cuda"),
        ({"frozen_stages": 1, "scratch": True}, "scratch has none"), ({"frozen_stages": 8}, "frozen_stages is a whole number within 0…7"),
        ({"frozen_stages": 1, "arch": "torchvision:resnet18"}, "only lite0, lite1, lite2 have stages"),
        ({"frozen_stages": 1, "arch": "lite0-detect"}, "got lite0-detect"),
        ({"accumulate": True}, "accumulate is a whole number"), ({"seed": -1}, "seed"), ({"patience": 0}, "patience"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(changes, message):
    with pytest.raises(InputError, match=message):
        TrainOptions(**{**BASE, **changes})


def test_the_record_is_plain_and_knows_what_decides_the_weights():
    options = TrainOptions(**BASE, val=Path("val"), resume=True)
    assert options.to_dict()["val"] == "val"
    assert options.to_dict()["sizes"] == [0.72, 0.86]
    same = TrainOptions(**{**BASE, "output": Path("other.pt")}, threads=3, photos=False)
    assert options.what_matters() == same.what_matters()
    assert options.what_matters() != TrainOptions(**BASE, lr=1e-3).what_matters()
    assert options.state_path == Path("model.pt.state")
    unknown = TrainOptions(**BASE, ood_data=Path("strange"))
    assert (
        options.what_matters() == TrainOptions(**BASE, val=Path("val"), ood_share=0.5).what_matters()
    )  # there are none
    assert unknown.what_matters() != TrainOptions(**BASE, ood_data=Path("strange"), ood_share=0.5).what_matters()
    assert unknown.what_matters() == TrainOptions(**BASE, ood_data=Path("moved")).what_matters()


def test_a_run_from_before_stages_could_be_frozen_goes_on():
    assert "frozen_stages" not in TrainOptions(**BASE).what_matters()
    assert TrainOptions(**BASE, frozen_stages=2).what_matters()["frozen_stages"] == 2


@pytest.mark.parametrize(
    ("changes", "side_px"),
    [
        ({}, 256), ({"arch": "lite2"}, 288), ({"size": 224}, 224), ({"arch": "torchvision:resnet18"}, None),
    ],
)  # fmt: skip
def test_a_classifier_learns_at_its_own_size_unless_told_another(changes, side_px):
    options = TrainOptions(**{**BASE, **changes})
    assert options.side_px == side_px
    assert options.to_dict()["size"] == side_px
    assert options.what_matters()["size"] == side_px  # a run begun where the default was another must not go on


def test_options_need_no_torch():
    code = "import sys; from edgevision.train import TrainOptions; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_missing_torch_names_the_extra():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from edgevision.errors import MissingExtraError\n"
        "try:\n    from edgevision.train import train\n"
        "except MissingExtraError as error:\n    assert 'edgevision[train]' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
