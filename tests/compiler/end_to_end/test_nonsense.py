"""Models that are declared as what they are not: int8 agrees with their float, and both are nonsense.

The network is sound each time (``known_networks.net``: right on every photo); what is said of it is wrong.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from known_networks import SPEC, options, photo

from edgevision.errors import DoubtWarning, InputError
from edgevision.preprocess.spec import ColorOrder

pytestmark = pytest.mark.requires("torch", "onnx")


def labels_file(tmp_path, names):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(names))
    return path


def spec_file(tmp_path, **changed) -> str:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(replace(SPEC, **changed).to_dict()))
    return str(path)


def compiled(files, photos, target, source="script.pt", **more):
    from edgevision.compiler.options import Precision
    from edgevision.compiler.pipeline import compile_model

    given = options(files, photos, precision=Precision.INT8, **more)
    return compile_model(files[source] if isinstance(source, str) else source, target, given)


@pytest.fixture
def unlabelled(tmp_path):
    """Other photos, without class folders."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for place in range(90):
        (flat / f"{place}.png").write_bytes(photo(place % 3, 500 + place))
    return flat


def test_a_network_that_takes_long_is_looked_at_on_fewer_photos_of_all_classes(
    files, photos, quick, monkeypatch, tmp_path
):
    from edgevision.compiler.select import doubts

    monkeypatch.setattr(doubts, "LOOK_S", 0.0)
    named = labels_file(tmp_path, ("blue", "green", "red"))
    with pytest.raises(InputError) as caught:
        compiled(files, photos, tmp_path / "x.edge", labels=named)
    assert "of 64 labelled photos, and with the labels backwards on 100.0 %" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("blue", "green", "red"),
            "right on 33.3 % of 90 labelled photos, and with the labels backwards on 100.0 %",
        ),
        (("green", "blue", "red"), "right on 0.0 % of 90 labelled photos, and with the labels in another order"),
    ],
)
def test_labels_in_another_order_are_refused(names, expected, files, photos, quick, tmp_path):
    target = tmp_path / "x.edge"
    with pytest.raises(InputError, match="make no sense") as caught:
        compiled(files, photos, target, labels=labels_file(tmp_path, names))
    assert expected in str(caught.value)
    assert "--force" in str(caught.value)
    assert caught.value.exit_status == 2
    assert not target.exists()


def test_force_goes_on_and_says_so(files, photos, quick, tmp_path):
    labels = labels_file(tmp_path, ("blue", "green", "red"))
    result = compiled(files, photos, tmp_path / "x.edge", labels=labels, force=True)
    assert result.verdict.reference == pytest.approx(100 / 3)
    (note,) = [note for note in result.report.notes if "make no sense" in note]
    assert "(--force)" in note
    assert "with the labels backwards on 100.0 %" in note


@pytest.mark.parametrize("given", ["calibration", "validation"])
def test_labels_of_either_split_are_enough(given, files, photos, unlabelled, quick, tmp_path):
    data, val = (photos, unlabelled) if given == "calibration" else (unlabelled, photos)
    labels = labels_file(tmp_path, ("blue", "green", "red"))
    with pytest.raises(InputError, match=r"with the labels backwards on 100\.0 %"):
        compiled(files, data, tmp_path / "x.edge", val=val, labels=labels, skip_validation=True)


def test_without_labels_nothing_is_said_of_their_order(files, unlabelled, quick, tmp_path):
    labels = labels_file(tmp_path, ("blue", "green", "red"))
    result = compiled(files, unlabelled, tmp_path / "x.edge", labels=labels)
    assert result.verdict.metric == "agreement"
    assert not any("make no sense" in note for note in result.report.notes)


@pytest.mark.parametrize("labelled", [True, False])
def test_probabilities_called_logits_are_refused(labelled, nets, files, photos, unlabelled, quick, tmp_path):
    source = traced_file(nets.with_softmax(), tmp_path)
    with pytest.raises(InputError, match="sum to 1: give --output probabilities"):
        compiled(files, photos if labelled else unlabelled, tmp_path / "x.edge", source)
    # The cure holds.
    result = compiled(files, photos, tmp_path / "x.edge", source, output="probabilities")
    assert result.verdict.value == 100.0


@pytest.mark.parametrize(
    ("last", "output", "expected"),
    [("Sigmoid", "logits", "of a sigmoid"), ("Sigmoid", "probabilities", "of a sigmoid"), ("Identity", "probabilities", "give --output logits")],
)  # fmt: skip
def test_other_outputs_than_declared_are_refused(last, output, expected, nets, files, photos, quick, tmp_path):
    import torch

    traced = traced_file(torch.nn.Sequential(nets.net(), getattr(torch.nn, last)()).eval(), tmp_path)
    with pytest.raises(InputError, match=expected):
        compiled(files, photos, tmp_path / "x.edge", traced, output=output)


def test_a_wrong_scale_is_named(nets, files, photos, quick, tmp_path):
    """Pixels far above what the network takes: all that it sees is white."""
    import torch

    source = traced_file(torch.nn.Sequential(torch.nn.Hardtanh(0, 1), nets.net()).eval(), tmp_path)
    spec = spec_file(tmp_path, mean=(-2e4,) * 3, std=(1.0,) * 3)
    with pytest.raises(InputError, match="all 90 labelled photos are called 'red'") as caught:
        compiled(files, photos, tmp_path / "x.edge", source, preprocess=spec)
    assert "With pixels of 0…1 the top1 of 64 photos would be 100.0 %: change --preprocess" in str(caught.value)


@pytest.mark.parametrize(("trained", "given"), [(ColorOrder.RGB, ColorOrder.BGR), (ColorOrder.BGR, ColorOrder.RGB)])
def test_swapped_channels_are_named(trained, given, nets, files, photos, quick, tmp_path):
    """Is it red or not? Blue photos are, then, and red ones are not."""
    import torch

    merge = torch.nn.Linear(3, 2)
    red = 0 if trained is ColorOrder.RGB else 2
    with torch.no_grad():
        merge.bias.zero_()
        merge.weight.zero_()
        merge.weight[0, red] = 1.0
        merge.weight[1, [place for place in range(3) if place != red]] = 0.7
    two = tmp_path / "two"
    for color, name in (("red", "red"), ("green", "other"), ("blue", "other")):
        (two / name).mkdir(parents=True, exist_ok=True)
        for path in (photos / color).iterdir():
            (two / name / f"{color}{path.name}").write_bytes(path.read_bytes())
    labels, source = (
        labels_file(tmp_path, ("red", "other")),
        traced_file(torch.nn.Sequential(nets.net(), merge).eval(), tmp_path),
    )
    with pytest.raises(InputError, match="which is what guessing gives") as caught:
        compiled(files, two, tmp_path / "x.edge", source, labels=labels, preprocess=spec_file(tmp_path, color=given))
    assert f"With channels in {trained.value.upper()} order the top1 of 64 photos would be" in str(caught.value)


@pytest.mark.parametrize(("remembered", "shifted"), [(0.36, False), (5.0, True)])
def test_what_the_first_batch_norm_remembers_decides_how_long_is_searched(
    remembered, shifted, nets, files, photos, quick, monkeypatch, tmp_path
):
    import torch

    from edgevision.compiler import pipeline

    norm = torch.nn.BatchNorm2d(3)
    norm.running_mean.fill_(remembered)
    norm.running_var.fill_(0.04)
    torch.save(torch.nn.Sequential(norm, nets.net()).eval(), tmp_path / "net.pt")
    told = []

    def check_answers(job, graph, shifted):
        told.append(shifted)
        raise InputError("enough")

    monkeypatch.setattr(pipeline, "check_answers", check_answers)
    with pytest.raises(InputError, match="enough"):
        compiled(files, photos, tmp_path / "x.edge", tmp_path / "net.pt", trust=True)
    assert told == [shifted]


def test_a_network_that_answers_nothing_is_refused(nets, files, photos, quick, tmp_path):
    import torch

    dead = nets.net()
    with torch.no_grad():
        dead[-1].weight.zero_()
        dead[-1].bias.copy_(torch.tensor([0.0, 3.0, -1.0]))
    with pytest.raises(InputError, match="the outputs are the same for all 90 photos") as caught:
        compiled(files, photos, tmp_path / "x.edge", traced_file(dead, tmp_path))
    assert "all 90 labelled photos are called 'green', and 60 of them show something else" in str(caught.value)
    assert "Check the order of --labels, --preprocess, and that these are the trained weights" in str(caught.value)


def test_eval_warns_of_the_same(files, photos, tmp_path):
    from edgevision.compiler.float_model import FloatModel
    from edgevision.compiler.sources.source import SourceOptions
    from edgevision.evaluate.data.dataset import read_dataset
    from edgevision.evaluate.evaluation import evaluate

    labels = labels_file(tmp_path, ("blue", "green", "red"))
    source = SourceOptions(preprocess=str(files["spec.json"]), labels=labels, output="logits")
    with FloatModel(files["script.pt"], source, threads=1) as model, pytest.warns(DoubtWarning) as warned:
        evaluate("script.pt", model, read_dataset(photos))
    (warning,) = warned
    assert "script.pt: right on 33.3 % of 90 labelled photos, and with the labels backwards on 100.0 %" in str(
        warning.message
    )


def traced_file(module, tmp_path):
    import torch

    from edgevision.compiler.sources.quiet import quiet

    path = tmp_path / "traced.pt"
    with quiet():
        torch.jit.save(torch.jit.trace(module, torch.zeros(2, 3, SPEC.height, SPEC.width)), path)
    return path
