"""Engines alone: ONNX Runtime, OpenVINO and PyTorch give the answers that their graphs are known to give."""

from __future__ import annotations

import cells
import numpy as np
import pytest
from bench_frames import DATA, GREEN, RED, plain, read_all

from edgevision.bench.targets.address import parse_address
from edgevision.bench.targets.knowledge import find_knowledge
from edgevision.bench.workload.rendered import encode_jpeg
from edgevision.engines import EngineOptions, available_engines, open_engine
from edgevision.errors import EdgeVisionError, EngineError, InputError, MissingExtraError

ENGINES = ["onnx", pytest.param("openvino", marks=pytest.mark.requires("openvino"))]
STAGES = {"preprocess", "infer", "post"}
CLASSES = ("red", "green", "blue")


@pytest.mark.parametrize("kind", ENGINES)
def test_a_classifier(opened, color_bundle, kind):
    target = opened(f"{kind}:{DATA / 'color.onnx'}@as={color_bundle()}")
    stages: dict[str, int] = {}
    results = target.answer([plain(RED), plain(GREEN), plain((200, 30, 0))], stages)
    assert [target.read(one).classes[0] for one in results] == [0, 1, 2]
    scores = np.exp([8.0, 0, 0]) / np.exp([8.0, 0, 0]).sum()
    np.testing.assert_allclose(target.read(results[0]).scores, scores, atol=0.02)
    assert set(stages) == STAGES
    assert all(nanoseconds > 0 for nanoseconds in stages.values())
    identity = target.identity
    assert (identity.kind, identity.task, identity.input_shape, identity.threads) == (kind, "classify", (1, 3, 8, 8), 1)
    assert len(identity.sha256) == 64
    assert identity.bytes == (DATA / "color.onnx").stat().st_size
    assert "color.edge" in identity.notes[0]


@pytest.mark.parametrize("kind", ENGINES)
def test_a_detector(opened, cells_bundle, kind):
    target = opened(f"{kind}:{DATA / 'cells.onnx'}@as={cells_bundle}")
    frames = [cells.picture((0, 1, 2), (2, 3, 5)), cells.picture(), cells.picture((1, 0, 0))]
    answers = read_all(target, frames)
    assert {(label, *box) for label, box in zip(*answers[0], strict=True)} == {
        (0, *map(float, cells.box_of(1, 2))), (2, *map(float, cells.box_of(3, 5))),
    }  # fmt: skip
    assert answers[1] == ([], [])
    assert answers[2][0] == [1]
    again = read_all(target, frames[2:])  # what is kept from frame to frame is not seen
    assert again == answers[2:]


@pytest.mark.parametrize("kind", ENGINES)
def test_thresholds_are_replaced(opened, cells_bundle, kind):
    target = opened(f"{kind}:{DATA / 'cells.onnx'}@as={cells_bundle},conf=0.999")
    assert read_all(target, [cells.picture((0, 1, 2))]) == [([], [])]  # whose score is 0.9975
    with pytest.raises(InputError, match="conf is a number"):
        opened(f"{kind}:{DATA / 'cells.onnx'}@as={cells_bundle},conf=2")


@pytest.mark.parametrize("kind", ENGINES)
def test_frames_of_jpeg(opened, color_bundle, kind):
    target = opened(f"{kind}:{DATA / 'color.onnx'}@as={color_bundle()}")
    stages: dict[str, int] = {}
    (result,) = target.answer([encode_jpeg(plain(GREEN))], stages)
    assert target.read(result).classes[0] == 1
    assert set(stages) == STAGES | {"decode"}


@pytest.mark.parametrize("kind", ENGINES)
def test_without_anybody_who_knows_only_the_engine_is_measured(opened, kind):
    target = opened(f"{kind}:{DATA / 'color.onnx'}")
    stages: dict[str, int] = {}
    frames = [plain(RED), plain(GREEN)]
    results = target.answer(frames, stages)
    for result, place in zip(results, (0, 1), strict=True):
        answer = target.read(result)
        np.testing.assert_allclose(answer.tensors["output"], np.eye(3)[place] * 8, atol=0.1)
        assert len(answer.classes) == 0
    assert set(stages) == {"infer"}
    assert target.identity.task == ""
    assert "only the engine is measured" in target.identity.notes[0]
    frames[0][:] = 0  # its tensor is made already
    assert target.read(target.answer(frames[:1], None)[0]).tensors["output"].argmax() == 0


def test_what_onnx_runtime_is_allowed(opened):
    identity = opened(f"onnx:{DATA / 'color-int8.onnx'}", threads=2).identity
    assert identity.precision == "int8 in all 1 layers, as the graph is written"
    assert identity.provider == "CPUExecutionProvider"
    assert identity.engine.removeprefix("onnxruntime ") == available_engines()["onnxruntime"]
    assert identity.threads == 2


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("kind", ENGINES)
def test_the_output_of_a_graph_that_was_not_compiled_may_have_another_name(opened, color_bundle, tmp_path, kind):
    import onnx

    graph = onnx.load(DATA / "color.onnx")
    for node in graph.graph.node:
        node.output[:] = ["output0" if name == "output" else name for name in node.output]
    graph.graph.output[0].name = "output0"
    onnx.save(graph, tmp_path / "other.onnx")
    target = opened(f"{kind}:{tmp_path / 'other.onnx'}@as={color_bundle()}")
    assert [target.read(one).classes[0] for one in target.answer([plain(RED), plain(GREEN)], None)] == [0, 1]


@pytest.mark.requires("openvino")
def test_openvino_tells_what_really_runs(opened, color_bundle):
    for name, precision in (("color.onnx", "float32"), ("color-int8.onnx", "int8")):
        identity = opened(f"openvino:{DATA / name}@precision=f32").identity
        assert identity.precision == f"{precision} in all 1 layers"
        with open_engine("openvino", DATA / name, EngineOptions()) as engine:  # counted by other code
            kinds = {layer.precision for layer in engine.layers() if layer.kind == "Convolution"}
        assert kinds == {precision}
        assert identity.provider.startswith("OpenVINO CPU: ")
        assert "in 1 layers" in identity.provider
    with pytest.raises(InputError, match="precision is one of bf16, f16, f32"):
        opened(f"openvino:{DATA / 'color.onnx'}@precision=int8")


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("kind", ENGINES)
def test_what_ultralytics_writes_is_enough(opened, tmp_path, kind):
    """A YOLO head of one cell of 32×32 pixels for each class: its scores are the means of red, green and blue."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Concat", ["box", "means"], ["joined"], axis=1),
        helper.make_node("Reshape", ["joined", "shape"], ["output0"]),
    ]
    boxes = np.array([[16, 48, 16, 48], [16, 16, 48, 48], [32] * 4, [32] * 4], np.float32).reshape(1, 4, 2, 2)
    weights = [numpy_helper.from_array(boxes, "box"), numpy_helper.from_array(np.array([1, 7, 4]), "shape")]
    made = helper.make_graph(
        nodes, "yolo", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 7, 4])], weights,
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    about = {"author": "Ultralytics", "task": "detect", "head": "Detect", "imgsz": "[64, 64]", "stride": "32",
             "names": "{0: 'red', 1: 'green', 2: 'blue'}"}  # fmt: skip
    helper.set_model_props(model, about)
    path = tmp_path / "yolo.onnx"
    path.write_bytes(model.SerializeToString())
    target = opened(f"{kind}:{path}")
    frame = np.zeros((128, 128, 3), np.uint8)
    frame[64:, :64] = GREEN  # the cell at the lower left
    results = target.answer([frame, frame], None)  # one by one: the graph's batch is 1
    for result in results:
        answer = target.read(result)
        assert answer.classes.tolist() == [1]
        assert answer.boxes.tolist() == [[0, 64, 64, 128]]
    assert target.identity.task == "detect"
    assert "Ultralytics" in target.identity.notes[0]


@pytest.mark.requires("onnx")
def test_a_graph_of_any_size_is_asked_at_the_size_that_is_said(opened, tmp_path, cells_bundle):
    from onnx import load, save

    model = load(DATA / "cells.onnx")
    for axis, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("h", "w"), strict=True):
        axis.dim_param = name
    for output in model.graph.output:
        for axis in output.type.tensor_type.shape.dim[2:]:
            axis.dim_param = f"free_{output.name}"
    path = tmp_path / "free.onnx"
    save(model, path)
    for kind in ("onnx", "openvino"):
        if kind == "openvino" and "openvino" not in available_engines():
            continue
        target = opened(f"{kind}:{path}@as={cells_bundle}")
        assert target.identity.input_shape == (1, 3, 32, 48)
        assert read_all(target, [cells.picture((1, 0, 0))])[0][0] == [1]
        with pytest.raises(InputError, match="as=BUNDLE"):
            opened(f"{kind}:{path}")


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("nothing.onnx", "", InputError, "there is no file"),
        ("text.onnx", "", EdgeVisionError, "text.onnx"),
        ("color.onnx", "@as=nothing.edge", InputError, "there is no file nothing.edge"),
        ("color.onnx", "@conf=0.5", InputError, "conf is for a detector"),
        ("cells.onnx", "@as=BUNDLE", InputError, "32×48 pixels"),
        ("color.onnx", "@as=BUNDLE,iou=0.5", InputError, "iou is for a detector"),
    ],
)
def test_what_cannot_be_asked(opened, color_bundle, tmp_path, kind, name, options, error, said):
    (tmp_path / "text.onnx").write_text("no graph")
    folder = DATA if (DATA / name).exists() else tmp_path
    with pytest.raises(error, match=said):
        opened(f"{kind}:{folder / name}{options.replace('BUNDLE', str(color_bundle()))}")


@pytest.mark.requires("onnx")
def test_damaged_metadata_of_ours(tmp_path):
    address = parse_address("onnx:m.onnx")
    for damaged in ({"edgevision.preprocess": "{"}, {}, {"edgevision.preprocess": "[" * 100_000}):
        with pytest.raises(InputError, match="metadata in it are damaged"):
            find_knowledge(address, {"edgevision.version": "2", "edgevision.task": "{}", **damaged}, lambda _: [], None)


# ---- PyTorch ----


@pytest.fixture(scope="module")
def demo_model():
    from pathlib import Path

    from edgevision import demo

    return Path(demo.__file__).with_name("model.pt")


@pytest.mark.requires("torch", "onnx")
def test_a_checkpoint_of_ours_says_all_by_itself(opened, demo_model):
    import torch

    from edgevision.bench.targets.opencv import OpenCvPreprocess
    from edgevision.train import load_checkpoint, model_from_checkpoint

    target = opened(f"torch:{demo_model}")
    frame = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    answer = target.read(target.answer([frame], None)[0])
    checkpoint = load_checkpoint(demo_model)
    tensor, _ = OpenCvPreprocess(checkpoint.preprocess).run([frame])
    with torch.no_grad():
        logits = model_from_checkpoint(checkpoint).eval()(torch.from_numpy(tensor))
    assert answer.classes[0] == int(logits.argmax())
    identity = target.identity
    assert identity.precision.startswith("float32 in all ")
    assert identity.provider.startswith("CPU, eager")
    assert identity.engine == f"torch {torch.__version__}"
    assert torch.get_num_threads() == 1


@pytest.mark.requires("torch", "onnx")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_is_explained_by_a_bundle(opened, color_bundle, tmp_path):
    import torch
    from torch import nn

    class Colors(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 8 * x.mean(dim=(2, 3))

    path = tmp_path / "colors.pt"
    torch.export.save(torch.export.export(Colors(), (torch.zeros(1, 3, 8, 8),)), tmp_path / "colors.pt2")
    torch.jit.save(torch.jit.trace(Colors(), torch.zeros(1, 3, 8, 8)), path)
    bundle = color_bundle()
    for name in ("colors.pt", "colors.pt2"):
        target = opened(f"torch:{tmp_path / name}@as={bundle}")
        assert [target.read(one).classes[0] for one in target.answer([plain(RED), plain(GREEN)], None)] == [0, 1]
    with pytest.raises(EdgeVisionError):
        opened(f"torch:{path}")


@pytest.mark.requires("torch", "onnx")
def test_an_onnx_file_is_not_run_by_torch(opened, color_bundle):
    with pytest.raises(EngineError, match="measure it as onnx:"):
        opened(f"torch:{DATA / 'color.onnx'}@as={color_bundle()}")


@pytest.mark.requires("torch", "onnx")
def test_torch_compile_says_what_it_lacks(opened, demo_model, monkeypatch):
    import torch

    def no_compiler(module):
        def run(_):
            raise RuntimeError("no C++ compiler was found\nand more")

        return run

    monkeypatch.setattr(torch, "compile", no_compiler)
    with pytest.raises(EngineError, match=r"torch.compile failed \(no C\+\+ compiler was found\)"):
        opened(f"torch-compile:{demo_model}")


@pytest.mark.requires("torch", "onnx")
def test_torch_compile_runs_what_was_compiled(opened, demo_model, monkeypatch):
    import torch

    ran = []

    def compiled(module):
        def run(tensor):
            ran.append(tuple(tensor.shape))
            return module(tensor)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    target = opened(f"torch-compile:{demo_model}")
    target.answer([plain(RED)], None)
    # While it was opened: for one frame and for the most at once, or a request would wait for the compiler.
    assert [shape[0] for shape in ran] == [1, 4, 1]
    assert (target.identity.kind, target.identity.provider.split(";")[0]) == (
        "torch-compile",
        "CPU, compiled by inductor",
    )


def test_without_torch_its_extra_is_named(opened, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises((MissingExtraError, EngineError), match="torch"):
        opened(f"torch:{tmp_path / 'm.pt'}")
