"""What is refused as a graph is read: other files, loops, damage. What is accepted is read as the onnx package does."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from graphs import FLOAT, INT64, admitted, constant, data_of, model, node

from edgevision.engines import open_engine
from edgevision.engines.graph_reader import read_graph
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("onnx")
DATA = Path(__file__).parents[1] / "data"


# ---- other files ----


def external(name, location, kind=1):
    import onnx

    tensor = onnx.TensorProto(name=name, data_type=FLOAT, dims=[3], data_location=kind)
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def in_subgraph(tensor):
    from onnx import helper

    end = helper.make_tensor_value_info("y", FLOAT, [3])
    inner = helper.make_graph([node("Constant", [], ["y"], value=tensor)], "inner", [], [end])
    return model(
        [node("If", ["yes"], ["b"], then_branch=inner, else_branch=inner), node("Add", ["input", "b"])],
        [constant("yes", True, bool)],
    )


def in_function(tensor):
    from onnx import helper

    made = model([node("Add", ["input", "zero"])], [constant("zero", 0.0, np.float32)])
    opset = [helper.make_opsetid("", 18)]
    made.functions.append(
        helper.make_function("own", "f", [], ["y"], [node("Constant", [], ["y"], value=tensor)], opset)
    )
    return made


def in_sparse(tensor):
    from onnx import helper

    made = model([node("Add", ["input", "w"])])
    sparse = helper.make_sparse_tensor(tensor, constant("places", [0, 1, 2]), [3])
    made.graph.sparse_initializer.append(sparse)
    return made


def in_training(tensor):
    made = model([node("Abs")])
    made.training_info.add().algorithm.initializer.append(tensor)
    return made


PLACES = {
    "weight": lambda t: model([node("Add", ["input", t.name])], [t]),
    "constant": lambda t: model([node("Constant", [], ["c"], value=t), node("Add", ["input", "c"])]),
    "sub-graph": in_subgraph,
    "function": in_function,
    "sparse": in_sparse,
    "training": in_training,
}


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "absolute", "link.bin", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("place", PLACES)
def test_no_engine_reads_another_file_for_a_graph(engine_name, place, location, tmp_path, monkeypatch):
    folder = tmp_path / "cwd"
    folder.mkdir()
    for path in (folder / "secret.bin", tmp_path / "secret.bin"):
        path.write_bytes(np.arange(3, dtype=np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    monkeypatch.chdir(folder)
    if location == "absolute":
        location = str(tmp_path / "secret.bin")
    graph = PLACES[place](external("w", location)).SerializeToString()
    with pytest.raises(EngineError, match=rf"^{engine_name} cannot load the graph: .*; (save|export) "):
        open_engine(engine_name, graph)
    (folder / "model.onnx").write_bytes(graph)
    with pytest.raises(EngineError, match="cannot load the graph"):
        open_engine(engine_name, folder / "model.onnx")


def test_entries_for_another_file_are_refused_whatever_the_location_says():
    with pytest.raises(EngineError, match="lies in another file"):
        admitted(data_of([node("Add", ["input", "w"])], [external("w", "secret.bin", kind=0)]))


def test_a_graph_in_a_bundle_gives_no_file_away(color_bundle, engine_name, tmp_path, monkeypatch):
    """As an attacker has it: a bundle with sound hashes whose graph adds a file of the working directory to its scores."""
    import zipfile

    import onnx

    from edgevision.bundle.reader import open_bundle
    from edgevision.bundle.writer import write_bundle
    from edgevision.runtime.opening import open_variant

    (tmp_path / "secret.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    path = color_bundle(variants=((f"{engine_name}-float", engine_name, "float"),))
    graph = onnx.load(DATA / "color.onnx")
    graph.graph.node[-1].output[0] = "plain"
    graph.graph.node.append(node("Add", ["plain", "w"]))
    graph.graph.initializer.append(external("w", "secret.bin"))
    with open_bundle(path) as bundle, zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in bundle.manifest.entries}
        entries["graphs/float.onnx"] = graph.SerializeToString()
        write_bundle(tmp_path / "hostile.edge", bundle.manifest, entries)
    with open_bundle(tmp_path / "hostile.edge") as bundle, pytest.raises(EngineError, match="lies in another file"):
        open_variant(bundle, bundle.manifest.variants[0], 1).close()


# ---- loops and damage ----


def looping(kind):
    from onnx import helper

    def value(name, element, shape):
        return helper.make_tensor_value_info(name, element, shape)

    if kind == "Loop":
        inner = helper.make_graph(
            [node("Identity", ["go"], ["on"]), node("Abs", ["x"], ["y"])], "body",
            [value("i", INT64, []), value("go", 9, []), value("x", FLOAT, ["batch", 3])],
            [value("on", 9, []), value("y", FLOAT, ["batch", 3])],
        )  # fmt: skip
        return [node("Loop", ["", "yes", "input"], ["output"], body=inner)], [constant("yes", True, bool)]
    inner = helper.make_graph([node("Abs", ["x"], ["y"])], "body", [value("x", FLOAT, [3])], [value("y", FLOAT, [3])])
    return [node("Scan", ["input"], ["output"], body=inner, num_scan_inputs=1)], []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_loops_are_refused(engine_name, kind):
    nodes, weights = looping(kind)
    with pytest.raises(EngineError, match=rf"\({kind}\) has a graph inside.*export the model without control flow"):
        open_engine(engine_name, data_of(nodes, weights))


def short_weight():
    weight = constant("w", [1.0, 2.0, 3.0], np.float32)
    weight.dims[0] = 2**40
    return data_of([node("Add", ["input", "w"])], [weight])


def chain(count):
    names = ["input", *(f"x{i}" for i in range(count - 1)), "output"]
    return [node("Abs", [a], [b]) for a, b in pairwise(names)]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda: data_of(chain(20_001)), "20001 nodes, the limit is 20000"),
        (lambda: data_of([node("Foo")]), r"node 'output' \(Foo\): the operator is none"),
        (lambda: data_of([node("Foo", domain="acme")]), r"custom operator acme\.Foo"),
        (lambda: data_of([node("Abs", ["missing"])]), "reads 'missing', which nothing before it makes"),
        (lambda: data_of([node("Abs"), node("Abs")]), "makes 'output', which is there already"),
        (lambda: data_of([node("Abs")], shape=["batch", *[1] * 8], output=None), "at most 8 axes"),
        (lambda: data_of([node("Abs")], shape=("batch", 2**62)), "expected at most 8 axes of sizes that can be"),
        (lambda: data_of([node("Abs", outputs=["other"])]), "nothing makes its output 'output'"),
        (lambda: data_of([node("Identity")], kind=8, weights=[constant("s", ["a"], object)]), "element type 8"),
        (lambda: data_of([node("Abs", name="näme")]).replace("näme".encode(), b"n\xff\xffme"), "not UTF-8"),
        (lambda: data_of([node("Abs")]) * 2, "'ir_version' twice"),
        (lambda: data_of([node("Abs")]) + b"\xfa\x3f\x01x", "a field 1023"),
        (lambda: data_of([node("Abs")])[:-1], "damaged"),
        (lambda: data_of([node("Abs")]) + b"\x0b", "damaged"),  # a group
        (lambda: data_of([node("Abs")]) + b"\x12" + b"\xff" * 9 + b"\x01", "damaged"),  # a length of 2^64 - 1
        (lambda: data_of([node("Abs")]) + b"\x28" + b"\xff" * 20, "damaged"),  # a number without an end
        (short_weight, "does not hold its elements"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_in_one_line(damage, told):
    with pytest.raises(EngineError, match=told) as caught:
        admitted(damage())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# ---- the same as onnx reads ----


@pytest.mark.parametrize("name", ["color", "color-int8"])
def test_reads_the_repositorys_graphs_as_onnx_does(name):
    import onnx

    data = (DATA / f"{name}.onnx").read_bytes()
    assert_same(read_graph(data), onnx.load_model_from_string(data))


def assert_same(graph, theirs):
    from onnx import numpy_helper

    assert [(n.name, n.op_type, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.name, n.op_type, tuple(n.input), tuple(n.output)) for n in theirs.graph.node
    ]
    assert set(graph.constants) == {tensor.name for tensor in theirs.graph.initializer}
    for tensor in theirs.graph.initializer:
        ours = graph.constants[tensor.name]
        assert ours.shape == tuple(tensor.dims)
        if ours.values is not None:
            np.testing.assert_array_equal(ours.values, numpy_helper.to_array(tensor))
    for node_ours, node_theirs in zip(graph.nodes, theirs.graph.node, strict=True):
        assert set(node_ours.attributes) == {a.name for a in node_theirs.attribute}
        for attribute in node_theirs.attribute:
            if attribute.type in (2, 7):  # INT, INTS
                expected = attribute.i if attribute.type == 2 else tuple(attribute.ints)
                assert node_ours.attributes[attribute.name] == expected


def test_what_is_accepted_of_mutants_is_what_onnx_reads():
    """2,000 graphs with bytes changed, cut out or doubled: whatever our reader accepts, onnx reads in the same way."""
    import onnx
    from google.protobuf.message import DecodeError

    random_ = random.Random(10)
    accepted = 0
    for _ in range(2000):
        data = bytearray((DATA / random_.choice(["color.onnx", "color-int8.onnx"])).read_bytes())
        for _ in range(random_.choice([1, 1, 2, 4])):
            at = random_.randrange(len(data))
            change = random_.randrange(3)
            if change == 0:
                data[at] = random_.randrange(256)
            elif change == 1:
                del data[at : at + random_.randrange(1, 8)]
            else:
                data[at:at] = data[at : at + random_.randrange(1, 8)]
        try:
            graph = read_graph(bytes(data))
        except EngineError:
            continue
        accepted += 1
        try:
            theirs = onnx.load_model_from_string(bytes(data))
        except DecodeError:
            pytest.fail("onnx does not read what our reader accepts")
        assert_same(graph, theirs)
        for tensor in theirs.graph.initializer:
            assert tensor.data_location == 0
            assert not tensor.external_data
    assert 100 < accepted < 1900
