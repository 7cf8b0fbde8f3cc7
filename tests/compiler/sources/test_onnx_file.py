"""ONNX files: what is refused, what is made whole, and how a fixed batch is freed."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import Layout, PreprocessSpec
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

SPEC = PreprocessSpec(8, 8, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = [Label(i, str(i)) for i in range(4)]


def parsed(body: str, ends: str = "float[batch,3,8,8] x) => (float[batch,4] y", opset: int = 18, imports: str = ""):
    """A model in ONNX's text form, with a 3→4 convolution weight ``w`` among its initializers."""
    import onnx
    from onnx import numpy_helper

    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}{imports}]> net ({ends}) {{ {body} }}')
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


POOLED = "c = Conv(x, w) p = GlobalAveragePool(c) y = Flatten(p)"


def load(path, **options):
    from edgevision.compiler.sources.source import SourceOptions, load_source

    return load_source(path, SourceOptions(**{"preprocess": SPEC, "labels": LABELS, "output": "logits", **options}))


def saved(model, folder):
    import onnx

    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def test_a_plain_graph_loads(tmp_path):
    source = load(saved(parsed(POOLED), tmp_path))
    assert source.kind.value == "onnx"
    assert source.batch is None
    assert source.info["params"] == 108
    assert source.run(np.zeros((3, 3, 8, 8), np.float32))["output"].shape == (3, 4)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            lambda: parsed("c = shop.Magic(x, w) p = GlobalAveragePool(c) y = Flatten(p)", imports=', "shop": 1'),
            r"custom operator shop::Magic at node 'c'",
        ),
        (lambda: parsed("c = Conv(x, missing) p = GlobalAveragePool(c) y = Flatten(p)"), "not valid ONNX"),
        (lambda: parsed("c = Konv(x, w) p = GlobalAveragePool(c) y = Flatten(p)"), "not valid ONNX.*Konv"),
        (
            lambda: parsed(POOLED, "float[batch,3,8,8] x, float[batch,2] extra) => (float[batch,4] y"),
            r"2 inputs \('x', 'extra'\)",
        ),
        (lambda: parsed(POOLED, "float[batch,3,8,8] x) => (float[batch,4] y, float[batch,4,6,6] c"), r"one output, \[batch, classes\], got 2: 'y', 'c'; export only that one"),
        (lambda: parsed("f = Cast<to=1>(x) c = Conv(f, w) p = GlobalAveragePool(c) y = Flatten(p)",
                        "uint8[batch,3,8,8] x) => (float[batch,4] y"), "input 'x' is uint8, expected float32"),
        (lambda: parsed("c = Conv(x, w) y = GlobalAveragePool(c)", "float[batch,3,8,8] x) => (float[batch,4,1,1] y"),
         r"net\.onnx: the graph gives items of shape \(4, 1, 1\) and there are 4 labels"),
        (
            lambda: parsed("s = Constant<value_float = 0.1>() z = Constant<value = uint8 {0}>() q = QuantizeLinear(x, s, z) "
                           "d = DequantizeLinear(q, s, z) c = Conv(d, w) p = GlobalAveragePool(c) y = Flatten(p)"),
            r"quantized already \(QuantizeLinear",
        ),
        (lambda: parsed("c = Conv(x, w) p = GlobalAveragePool(c) f = Flatten(p) y = Concat<axis=1>(f, f)",
                        "float[batch,3,8,8] x) => (float[batch,8] y"), r"net\.onnx: the graph gives items of shape \(8,\) and there are 4 labels"),
    ],
    ids=["custom operator", "missing tensor", "unknown operator", "two inputs", "two outputs", "uint8",
         "feature map", "quantized", "labels"],
)  # fmt: skip
def test_graphs_that_are_refused(model, told, tmp_path):
    with pytest.raises(ModelFileError, match=told) as caught:
        load(saved(model(), tmp_path))
    assert caught.value.exit_status == 2


def test_boxes_that_a_graph_finishes_itself_are_refused_with_what_to_do(tmp_path):
    """As torchvision exports its detectors: [rows, 4], [rows] of int64 and [rows] of float32, in any order and by any name."""
    ends = "float[3,8,8] x) => (float[r,4] a, int64[r] b, float[r] c"
    body = (
        "flat = Flatten(x) found = NonZero(flat) rows = Transpose(found) axis = Constant<value_ints = [1]>()"
        " b = ReduceMax<keepdims = 0>(rows, axis) c = Cast<to = 1>(b) column = Unsqueeze(c, axis)"
        " a = Concat<axis = 1>(column, column, column, column)"
    )
    with pytest.raises(ModelFileError, match=r"finishes its answer itself \('a', 'b', 'c'\).*--arch torchvision:NAME"):
        load(saved(parsed(body, ends), tmp_path))


def test_names_that_are_not_text(tmp_path):
    path = saved(parsed(POOLED), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"GlobalAveragePool", b"Global\xff\xfeeragePool"))
    with pytest.raises(ModelFileError, match=r"net\.onnx"):
        load(path)


# ---- weights in files of their own ----

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.fixture
def external(tmp_path):
    """A graph whose weight stands in ``net.weights`` beside it."""
    import onnx

    path = tmp_path / "net.onnx"
    onnx.save_model(parsed(POOLED), path, save_as_external_data=True, location="net.weights", size_threshold=0)
    return path


def test_external_data_is_loaded(external):
    from edgevision.compiler.sources.export import export_float

    source = load(external)
    graph, _ = export_float(source)
    (external.parent / "net.weights").unlink()
    assert len(graph) > 108 * 4  # the weights are in it


@pytest.mark.parametrize(
    ("damage", "told"),
    [("missing", "keeps its weights in 'net.weights', which is not in"), ("truncated", "'net.weights' does not hold tensor 'w'"),
     ("empty", "does not hold tensor 'w'"), ("pointer", "pointer of Git LFS"), ("link", "a link out of the model's folder")],
)  # fmt: skip
def test_external_data_that_is_not_there(damage, told, external, tmp_path_factory):
    weights = external.parent / "net.weights"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "link":
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
        elsewhere.write_bytes(content)
        weights.symlink_to(elsewhere)
    elif damage != "missing":
        made = {"truncated": content[:20], "empty": b"", "pointer": LFS_POINTER}
        weights.write_bytes(made[damage])
    with pytest.raises(ModelFileError, match=told):
        load(external)


@pytest.mark.parametrize("location", ["../net.weights", "/etc/passwd", "a/../../net.weights", "..\\net.weights", ""])
def test_external_data_outside_the_folder(location, external):
    import onnx

    model = onnx.load(external, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    external.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="outside the model's folder"):
        load(external)


def away():
    """A tensor that lies outside the model's folder."""
    import onnx

    made = onnx.TensorProto(name="t", data_type=1, dims=[3], data_location=1)
    made.external_data.add(key="location", value="../secret")
    return made


STANDS = {
    "function": lambda m: m.functions.add().node.add().attribute.add().t.CopyFrom(away()),
    "sub-graph in a function": lambda m: m.functions.add().node.add().attribute.add().g.initializer.append(away()),
    "sparse": lambda m: m.graph.sparse_initializer.add().values.CopyFrom(away()),
    "sparse attribute": lambda m: m.graph.node[0].attribute.add().sparse_tensor.values.CopyFrom(away()),
    "training": lambda m: m.training_info.add().initialization.initializer.append(away()),
}


@pytest.mark.parametrize("place", STANDS)
def test_external_data_is_found_wherever_a_tensor_stands(place, external):
    """None is left for an engine to read."""
    from edgevision.compiler.sources.onnx_file import open_onnx

    model = parsed(POOLED)
    STANDS[place](model)
    with pytest.raises(ModelFileError, match="outside the model's folder"):
        open_onnx(model, external)


def test_external_data_that_says_twice_where_it_lies(external):
    import onnx

    model = onnx.load(external, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    external.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="says twice where it lies"):
        load(external)


def test_external_data_is_bounded_before_it_is_read(external):
    with (external.parent / "net.weights").open("wb") as file:
        file.truncate(1 << 40)  # a hole: no disk is used
    import onnx

    model = onnx.load(external, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "length":
            entry.value = str(1 << 40)
    external.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="more than 2 GiB"):
        load(external)


def linked(external, tmp_path_factory, folder="snapshot"):
    """The model and its weights as the cache of Hugging Face lays them out: links to files without names."""
    root = tmp_path_factory.mktemp("cache")
    blobs, links = root / "blobs", root / "snapshots" / folder
    blobs.mkdir()
    links.mkdir(parents=True)
    for name, blob in (("net.onnx", "4f2a"), ("net.weights", "9c01")):
        (blobs / blob).write_bytes((external.parent / name).read_bytes())
        (links / name).symlink_to(f"../../blobs/{blob}")
    return links


def test_external_data_is_found_in_a_cache_of_links(external, tmp_path_factory):
    from edgevision.compiler.sources.export import export_float

    tensor = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    links = linked(external, tmp_path_factory)
    source = load(links / "net.onnx")
    np.testing.assert_array_equal(source.run(tensor)["output"], load(external).run(tensor)["output"])
    export_float(source)


def test_external_data_beside_the_file_that_a_link_leads_to(external, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "link.onnx").symlink_to(external)
    assert load(elsewhere / "link.onnx").info["params"] == 108


def test_external_data_beside_a_link_is_taken_first(external, tmp_path_factory):
    links = linked(external, tmp_path_factory)
    (links / "net.weights").unlink()
    (links / "net.weights").write_bytes(np.zeros(108, np.float32).tobytes())
    (links.parent.parent / "blobs" / "net.weights").write_bytes((external.parent / "net.weights").read_bytes())
    tensor = np.ones((1, 3, 8, 8), np.float32)
    assert not load(links / "net.onnx").run(tensor)["output"].any()


def test_a_link_out_of_both_folders_is_refused(external, tmp_path_factory):
    links = linked(external, tmp_path_factory)
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_bytes((external.parent / "net.weights").read_bytes())
    (links / "net.weights").unlink()
    (links / "net.weights").symlink_to(secret)
    with pytest.raises(ModelFileError, match="a link out of the model's folder"):
        load(links / "net.onnx")


# ---- batch, opset, layout ----


FIXED = "float[{n},3,8,8] x) => (float[{n},4] y"
FLATTENED = "c = Conv(x, w) p = GlobalAveragePool(c) s = Constant<value = int64[2] {{{n}, {k}}}>() y = Reshape(p, s)"


@pytest.mark.parametrize(("n", "k"), [(1, -1), (1, 4), (4, -1), (4, 4)])
def test_a_fixed_batch_is_freed(n, k, tmp_path):
    from edgevision.compiler.sources.export import export_float

    source = load(saved(parsed(FLATTENED.format(n=n, k=k), FIXED.format(n=n)), tmp_path))
    assert source.batch == n
    _, report = export_float(source)  # compares with the original, run in portions of n
    assert set(report.max_abs_difference) == {1, 2, 5}


def test_a_batch_that_is_baked_in_is_refused(tmp_path):
    from edgevision.compiler.sources.export import export_float

    # One row of ones is added to the batch axis, then the first row is kept: holds for batch 1 alone.
    body = (
        "c = Conv(x, w) p = GlobalAveragePool(c) f = Flatten(p) o = Constant<value = float[1,4] {1,1,1,1}>() "
        "t = Concat<axis=0>(f, o) a = Constant<value = int64[1] {0}>() b = Constant<value = int64[1] {1}>() "
        "y = Slice(t, a, b, a)"
    )
    with pytest.raises(ModelFileError, match=r"batch 2.*baked into it"):
        export_float(load(saved(parsed(body, FIXED.format(n=1)), tmp_path)))


def test_old_opsets_are_converted(tmp_path):
    from edgevision.compiler.sources.export import export_float

    source = load(saved(parsed(POOLED, opset=11), tmp_path))
    _, report = export_float(source)
    assert max(report.max_abs_difference.values()) < 1e-5


def run(graph: bytes, name: str, tensor):
    import onnxruntime as ort

    return ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {name: tensor})[0]


OLD = "c = Conv(x, w) n = BatchNormalization(c, s, b, m, v) r = Relu(n) p = GlobalAveragePool(r) y = Flatten(p)"


def old_model(opset: int):
    """As exporters of 2018 wrote it: IR 3, in which initializers are inputs too."""
    import onnx
    from onnx import numpy_helper

    model = parsed(OLD, opset=opset)
    rng = np.random.default_rng(1)
    for name in "sbmv":
        model.graph.initializer.append(numpy_helper.from_array(rng.uniform(0.5, 1.5, 4).astype(np.float32), name))
    for one in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)))
    model.ir_version = 3
    return model


@pytest.mark.parametrize("opset", [7, 8, 9, 10])
def test_graphs_whose_initializers_are_inputs(opset, tmp_path):
    import onnx

    from edgevision.compiler.sources.export import export_float

    model = old_model(opset)
    source = load(saved(model, tmp_path))
    assert source.notes == (f"net.onnx has opset {opset}: it was converted to 18",)
    graph, _ = export_float(source)
    made = onnx.load_from_string(graph)
    assert [i.name for i in made.graph.input] == ["input"]
    assert [n.op_type for n in made.graph.node] == ["Conv", "Relu", "GlobalAveragePool", "Flatten"]  # it is folded
    tensor = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(graph, "input", tensor), run(model.SerializeToString(), "x", tensor), atol=1e-5)


def test_an_old_operator_that_is_another_today(tmp_path):
    """Upsample is Resize since opset 10, with another rule of rounding."""
    from edgevision.compiler.sources.export import export_float

    body = (
        'u = Upsample<mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]>(x) c = Conv(u, w) p = GlobalAveragePool(c) '
        "y = Flatten(p)"
    )
    model = parsed(body, opset=8)
    model.ir_version = 4
    graph, _ = export_float(load(saved(model, tmp_path)))
    tensor = np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(graph, "input", tensor), run(model.SerializeToString(), "x", tensor), atol=1e-5)


def test_an_old_operator_that_cannot_be_converted_is_named(tmp_path, monkeypatch):
    """ONNX's converter lacks an adapter for it; which these are depends on its version."""
    import onnx.version_converter

    def convert(model, opset):
        raise RuntimeError("/a/b.h:66: adapter_lookup: Assertion `false` failed: No Adapter From Version $8 for Konv")

    monkeypatch.setattr(onnx.version_converter, "convert_version", convert)
    told = r"opset 8 and cannot be converted to 18 \(No Adapter From Version \$8 for Konv\); export it again"
    with pytest.raises(ModelFileError, match=told):
        load(saved(parsed(POOLED, opset=8), tmp_path))


def test_functions_are_inlined(tmp_path):
    import onnx

    model = parsed("c = Conv(x, w) y = shop.head(c)", imports=', "shop": 1')
    function = onnx.parser.parse_function(
        '<domain: "shop", opset_import: ["": 18]> head (c) => (y) { p = GlobalAveragePool(c) y = Flatten(p) }'
    )
    model.functions.append(function)
    assert load(saved(model, tmp_path)).run(np.zeros((2, 3, 8, 8), np.float32))["output"].shape == (2, 4)


def test_nhwc_input(tmp_path):
    from edgevision.compiler.sources.export import export_float

    body = "t = Transpose<perm=[0,3,1,2]>(x) " + POOLED.replace("Conv(x", "Conv(t")
    path = saved(parsed(body, "float[batch,8,8,3] x) => (float[batch,4] y"), tmp_path)
    source = load(path, preprocess="lite")
    assert source.spec.layout is Layout.NHWC
    assert source.spec.tensor_shape == (8, 8, 3)
    export_float(source)
