"""Which nodes decode boxes: graphs of each family, written down by hand, with what has to be float in them."""

from __future__ import annotations

import pytest

from edgevision.evaluate.base import NodeInfo
from edgevision.evaluate.tasks.detect_nodes import decoding_nodes


def graph(text: str) -> list[NodeInfo]:
    """A node a line, ``output = Operator input …``; its name is its first output. Names without a maker are weights, or the
    picture ``x``."""
    nodes = []
    for line in filter(None, map(str.strip, text.splitlines())):
        left, right = line.split(" = ")
        outputs = tuple(left.split())
        operator, *inputs = right.split()
        nodes.append(NodeInfo(outputs[0], operator, tuple(inputs), outputs))
    return nodes


# Every line with a * decodes.
FAMILIES = {
    "ours: levels, nothing to decode": """
        a = Conv x w1 b1
        r = Relu a
        s8 = Conv r w2 b2
        d8 = Conv r w3 b3
        box8 = Relu d8
        up = Resize r none scales
        c = Conv up w4
        s16 = Conv c w5
    """,
    "ours, with a sigmoid": """
        a = Conv x w1
        cls = Conv a w2
        scores = Sigmoid cls                *
        box = Conv a w3
        box_ = Relu box
        big = Mul box_ stride               *
    """,
    "YOLO v8 to v12: DFL is a convolution that decodes": """
        f1 = Conv x w1
        sig = Sigmoid f1
        act = Mul f1 sig
        f2 = Conv act w2
        cat0 = Concat f1 f2
        f3 = Conv cat0 w3
        box1 = Conv f3 w4
        cls1 = Conv f3 w5
        lvl1 = Concat box1 cls1             *
        flat1 = Reshape lvl1 shape          *
        box2 = Conv f2 w6
        cls2 = Conv f2 w7
        lvl2 = Concat box2 cls2             *
        flat2 = Reshape lvl2 shape          *
        all = Concat flat1 flat2            *
        boxes scores = Split all sizes      *
        four = Reshape boxes shape4         *
        turned = Transpose four             *
        share = Softmax turned              *
        dfl = Conv share numbers            *
        lt = Reshape dfl shape3             *
        near far = Split lt                 *
        x1 = Sub anchors near               *
        x2 = Add anchors far                *
        sum = Add x1 x2                     *
        centre = Div sum two                *
        size = Sub x2 x1                    *
        xywh = Concat centre size           *
        px = Mul xywh strides               *
        p = Sigmoid scores                  *
        out = Concat px p                   *
    """,
    "YOLO v5: anchors": """
        f = Conv x w1
        o = Conv f w2
        g = Reshape o shape                 *
        t = Transpose g                     *
        s = Sigmoid t                       *
        xy wh conf = Split s                *
        xy2 = Mul xy two                    *
        xy3 = Add xy2 grid                  *
        xy4 = Mul xy3 stride                *
        wh2 = Mul wh two                    *
        wh3 = Pow wh2 two                   *
        wh4 = Mul wh3 anchors               *
        out = Concat xy4 wh4 conf           *
    """,
    "YOLOX, decoded": """
        f = Conv x w1
        reg = Conv f w2
        obj = Conv f w3
        p = Sigmoid obj                     *
        c = Concat reg p                    *
        xy wh = Split c                     *
        e = Exp wh                          *
        m = Mul e stride                    *
        n = Add xy grid                     *
        out = Concat n m                    *
    """,
    "NanoDet: the distribution is read by a matrix": """
        f = Conv x w1
        reg = Conv f w2
        d = Reshape reg shape               *
        q = Softmax d                       *
        r = Reshape q shape2                *
        l = MatMul r numbers                *
        out = Mul l stride                  *
    """,
    "attention in the backbone is no decoding": """
        f = Conv x w1
        q = Conv f w2
        k = Conv f w3
        v = Conv f w4
        kt = Transpose k
        qk = MatMul q kt
        qks = Mul qk scale
        soft = Softmax qks
        av = MatMul soft v
        avr = Reshape av shape
        proj = Conv avr w5
        sum = Add f proj
        head = Conv sum w6
        out = Sigmoid head                  *
    """,
    "a gate behind a softmax leads on to weights": """
        f = Conv x w1
        g = GlobalAveragePool f
        s = Softmax g
        m = Conv s w2
        h = Mul f m
        out = Conv h w3
    """,
    "two stages: the boxes of the first are places": """
        f = Conv x w1
        obj = Conv f w2
        delta = Conv f w3
        po = Sigmoid obj                    *
        ps = Reshape po shape               *
        tk ti = TopK ps count               *
        d = Reshape delta shape4            *
        dt = Gather d ti                    *
        e = Exp dt                          *
        b = Mul e anchors                   *
        c = Concat b b                      *
        keep = NonMaxSuppression c tk most  *
        rois = Gather c keep                *
        crop = RoiAlign f rois batch
        h = Flatten crop
        fc = Gemm h w4
        fr = Relu fc
        cls = Gemm fr w5
        reg = Gemm fr w6
        s = Softmax cls                     *
        r = Mul reg spread                  *
        out = Add r rois                    *
    """,
    "RT-DETR: places sampled, boxes refined from stage to stage": """
        f = Conv x w1
        v = MatMul f w2
        sc = MatMul v w3
        best idx = TopK sc count
        query = Gather v idx
        delta0 = MatMul v w4
        anch = Add delta0 anchors           *
        box0 = Gather anch idx              *
        ref0 = Sigmoid box0                 *
        pos = MatMul ref0 w5
        posr = Relu pos
        pos2 = MatMul posr w6
        qp = Add query pos2
        off = MatMul qp w7
        loc = Add ref0 off                  *
        sampled = GridSample v loc
        out1 = MatMul sampled w8
        res = Add query out1
        delta1 = MatMul res w9
        clip = Clip ref0 small one          *
        inv = Sub one_ clip                 *
        ratio = Div clip inv                *
        log = Log ratio                     *
        add1 = Add delta1 log               *
        ref1 = Sigmoid add1                 *
        pos3 = MatMul ref1 w10
        add2 = Add res pos3
        cls = MatMul add2 w11
        score = Sigmoid cls                 *
        boxes = Concat ref1 score           *
    """,
    "Mish, written out, is an activation": """
        f = Conv x w1
        e = Exp f
        a = Add e one
        l = Log a
        t = Tanh l
        m = Mul f t
        h = Conv m w2
        out = Sigmoid h                     *
    """,
    "shapes that are computed": """
        f = Conv x w1
        s = Shape f
        n = Gather s zero                   *
        h = Conv f w2
        t = Concat n rest                   *
        out = Reshape h t                   *
    """,
    "weights that are made by nodes": """
        k = Constant
        kt = Transpose k
        f = Conv x w1
        y = MatMul f kt
        out = Sigmoid y                     *
    """,
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_what_decodes_is_float_and_nothing_else_is(family):
    lines = [line.strip() for line in FAMILIES[family].splitlines() if line.strip()]
    expected = {line.split()[0] for line in lines if line.endswith("*")}
    nodes = graph("\n".join(line.removesuffix("*").strip() for line in lines))
    # Softmax, Tanh, Shape … have no int8 form: whether they are named does not matter, but that nothing int8 could take is.
    free = {node.name for node in nodes if node.operator in ("TopK", "Shape", "Constant")}
    assert decoding_nodes(nodes) - free == expected - free


def test_nodes_without_a_name_are_left_out():
    assert decoding_nodes([NodeInfo("", "Sigmoid", ("x",), ("y",))]) == frozenset()
    assert decoding_nodes([]) == frozenset()
