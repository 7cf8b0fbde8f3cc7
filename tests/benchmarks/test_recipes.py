"""That what is published is what everybody gets."""

import json
from pathlib import Path

import pytest

from edgevision.train import TrainOptions

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("arch", ["lite0", "lite2"])
def test_published_classifiers_learnt_with_the_defaults(arch):
    """Whoever changes a default measures again."""
    options = json.loads((RESULTS / f"grocery-{arch}.json").read_text())["training"]["options"]
    default = TrainOptions(data=Path("photos"), output=Path("model.pt"), arch=arch)
    changed = {
        name: (options[name], value)
        for name, value in default.what_matters().items()
        if name in options and name != "data" and options[name] != value
    }
    assert not changed
    assert options["size"] == default.side_px
