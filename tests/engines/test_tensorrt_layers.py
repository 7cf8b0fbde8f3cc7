"""What an engine runs, read from inspector JSON in the forms of the documentation: sentences before 10.9, words since."""

from __future__ import annotations

import json

import pytest

from edgevision.engines.tensorrt_layers import read_layers
from edgevision.errors import EngineError

pytestmark = pytest.mark.requires("native")


def layer(name, kind, reads, writes=None, **more):
    def tensors(types):
        return [{"Name": f"t{i}", "Location": "Device", "Dimensions": [1, 8, 4, 4], "Format/Datatype": t} for i, t in
                enumerate(types)]  # fmt: skip

    reads = [reads] if isinstance(reads, str) else reads
    return {"Name": name, "LayerType": kind, "Inputs": tensors(reads), "Outputs": tensors([writes or reads[0]]), **more}


# TensorRT 10.3: formats are sentences, a convolution says its weights, conversions are layers of their own.
SENTENCES = [
    layer("Reformatting CopyNode for Input Tensor 0 to stem", "Reformat", "Row major linear FP32",
          "Thirty-two wide channel vectorized row major Int8 format", ParameterType="Reformat"),
    layer("stem + relu_1", "CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format",
          ParameterType="Convolution", Kernel=[3, 3], Weights={"Type": "Int8", "Count": 864},
          Bias={"Type": "Float", "Count": 32}, TacticName="sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32",
          Metadata="[ONNX Layer: stem_QuantizeLinear]\u001e[ONNX Layer: stem]\u001e[ONNX Layer: relu_1]"),
    layer("gate", "CaskGemmConvolution", "Channel major FP16 format where channel % 8 == 0",
          ParameterType="Convolution", Weights={"Type": "Half", "Count": 64}),
    layer("PWN(gate_sigmoid)", "PointWiseV2", "Row major linear FP16 format", ParameterType="PointWise"),
    layer("head", "CaskConvolution", "Row major linear BF16 format"),
    layer("softmax", "SoftMaxV2", "Row major linear FP32", ParameterType="SoftMax"),
    layer("flatten", "NoOp", "Row major linear FP32", ParameterType="Shuffle"),
    {"Name": "bias", "LayerType": "Constant", "Inputs": [], "Outputs": []},
]  # fmt: skip

# TensorRT 10.16 and 11: types are words, and most of a network may be kernels that TensorRT compiled ("kgen").
WORDS = [
    layer("__mye123_stem_quantize_myl0_0", "kgen", "Float", "Int8", Metadata="[ONNX Layer: input_QuantizeLinear]"),
    layer("stem_myl0_1", "kgen", ["Int8", "Int8", "Float"], "Int8", TacticName="__myl_Conv_0x7f",
          Metadata="[ONNX Layer: stem]\u001e[ONNX Layer: relu_1]\u001e[ONNX Layer: next_QuantizeLinear]"),
    layer("__myl_MulAdd_myl0_2", "kgen", "Half", Metadata="[ONNX Layer: gate]"),
    layer("gemm_myl0_3", "gemm", "Half", "Float", Metadata="[ONNX Layer: head]"),
    layer("wait_myl0_4", "wait", "Float"),
    layer("signal_myl0_5", "signal", "Float"),
    layer("memset_myl0_6", "memset", "Float"),
    layer("N/A", "kgen", "N/A due to dynamic shapes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param(
            SENTENCES,
            [("stem + relu_1", "int8"), ("gate", "float16"), ("PWN(gate_sigmoid)", "float16"), ("head", "bfloat16"),
             ("softmax", "float32")],
            id="sentences",
        ),
        pytest.param(
            WORDS,
            [("stem_myl0_1", "int8"), ("__myl_MulAdd_myl0_2", "float16"), ("gemm_myl0_3", "float16")],
            id="words",
        ),
        pytest.param([], [], id="none"),
    ],
)  # fmt: skip
def test_reads_the_type_that_each_layer_reads(layers, expected):
    found = read_layers(json.dumps({"Layers": layers, "Bindings": ["input", "output"]}))
    assert [(layer.name, layer.precision) for layer in found] == expected


def test_layers_know_the_nodes_that_were_fused_into_them():
    sentences = {layer.name: layer.sources for layer in read_layers(json.dumps({"Layers": SENTENCES}))}
    assert sentences["stem + relu_1"] == ("stem_QuantizeLinear", "stem", "relu_1")
    assert sentences["gate"] == ("gate",)  # nothing told: its name
    (words,) = [layer for layer in read_layers(json.dumps({"Layers": WORDS})) if layer.name == "stem_myl0_1"]
    assert words.sources == ("stem", "relu_1", "next_QuantizeLinear")
    plain = {**SENTENCES[1], "Metadata": ""}
    assert read_layers(json.dumps({"Layers": [plain]}))[0].sources == ("stem", "relu_1")


@pytest.mark.parametrize("key", ["Format/Datatype", "Datatype", "DataType"])
@pytest.mark.parametrize(
    ("word", "precision"),
    [("Int8", "int8"), ("INT8", "int8"), ("Half", "float16"), ("FP16", "float16"), ("float16", "float16"),
     ("Float", "float32"), ("FP32", "float32"), ("BF16", "bfloat16"), ("BFloat16", "bfloat16")],
)  # fmt: skip
def test_words_for_types(key, word, precision):
    entry = {"Name": "conv", "LayerType": "CaskConvolution", "Inputs": [{"Name": "x", key: word}], "Outputs": []}
    assert [layer.precision for layer in read_layers(json.dumps({"Layers": [entry]}))] == [precision]


def test_weights_tell_where_the_input_does_not():
    entry = layer("conv", "CaskConvolution", "N/A due to dynamic shapes", Weights={"Type": "Int8", "Count": 9})
    assert read_layers(json.dumps({"Layers": [entry]}))[0].precision == "int8"


@pytest.mark.parametrize(
    ("information", "message"),
    [
        ('{"Layers": ["conv_1", "relu_1"]}', "names of its layers and not their types.*detailed"),
        ("", "inspector's JSON"),
        ("[]", "inspector's JSON"),
        ("{}", "inspector's JSON"),
        ('{"Layers": 3}', "inspector's JSON"),
    ],
)
def test_what_tells_no_types_is_refused(information, message):
    with pytest.raises(EngineError, match=message):
        read_layers(information)
