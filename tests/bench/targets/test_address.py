"""Addresses: what is read, what is refused, and what they allow."""

from __future__ import annotations

import pytest

from edgevision.bench.targets.address import (
    KINDS,
    allowance_of,
    existing_file,
    expand,
    format_address,
    number_option,
    parse_address,
    with_option,
)
from edgevision.bench.targets.base import Allowance
from edgevision.bench.targets.registry import _MODULES, open_target
from edgevision.errors import InputError


@pytest.mark.parametrize(
    ("text", "kind", "what", "options"),
    [
        ("model.edge", "bundle", "model.edge", {}),
        ("/a b/Model.EDGE@variant=x-int8", "bundle", "/a b/Model.EDGE", {"variant": "x-int8"}),
        ("shelf.edge@then=products.edge,threads=2", "bundle", "shelf.edge", {"then": "products.edge", "threads": "2"}),
        ("m.onnx", "onnx", "m.onnx", {}),
        ("openvino:m.onnx@precision=f32", "openvino", "m.onnx", {"precision": "f32"}),
        ("dir/m.xml", "openvino", "dir/m.xml", {}),
        ("torch:m.pt", "torch", "m.pt", {}),
        ("torch-compile:m.pt@as=m.edge", "torch-compile", "m.pt", {"as": "m.edge"}),
        ("ultralytics:yolo11n.onnx@python=/v/bin/python,conf=0.4", "ultralytics", "yolo11n.onnx", {"python": "/v/bin/python", "conf": "0.4"}),
        ("http://host:8000/v2/models/m", "http", "http://host:8000/v2/models/m", {}),
        ("https://u:p@host/v2/models/m@as=m.edge", "http", "https://u:p@host/v2/models/m", {"as": "m.edge"}),
        ("http:http://h/v2/models/m", "http", "http://h/v2/models/m", {}),
        ("http:host:8000@model=m", "http", "host:8000", {"model": "m"}),
        ("python:my.module:make.it@size=3,anything=x=y", "python", "my.module:make.it", {"size": "3", "anything": "x=y"}),
        ("we@home/m.onnx", "onnx", "we@home/m.onnx", {}),
        ("C:\\models\\m.onnx", "onnx", "C:\\models\\m.onnx", {}),
    ],
)  # fmt: skip
def test_addresses_are_read_and_written(text, kind, what, options):
    address = parse_address(text)
    assert (address.kind, address.what, dict(address.options), address.text) == (kind, what, options, text)
    again = parse_address(format_address(address))
    assert (again.kind, again.what, again.options) == (kind, what, options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no target"),
        ("model", "is no target: expected"),
        ("model.pt", "torch:model.pt or ultralytics:model.pt"),
        ("onnx:", "names no target"),
        ("nosuch:model.x", "is no target"),
        (
            "m.edge@variants=x",
            "bundle has no option 'variants'; it has engine, python, then, threads, threshold, variant",
        ),
        ("m.edge@variant=", "expected key=value"),
        ("m.edge@variant=a,b", "expected key=value after @, got 'b'"),
        ("m.edge@variant=a,variant=b", "given twice"),
        ("python:make", "expected python:module:attribute"),
        ("python:os.system('x'):y", "expected python:module:attribute"),
    ],
)
def test_what_is_no_address_is_refused(text, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        parse_address(text)


def test_threads_of_its_own_go_before_the_runs():
    allowed = Allowance(threads=2, max_batch=4)
    assert allowance_of(parse_address("m.edge"), allowed) is allowed
    assert allowance_of(parse_address("m.edge@threads=5"), allowed) == Allowance(5, 4)
    for text in ("0", "-1", "two", "1.5", "2000"):
        with pytest.raises(InputError, match="threads is a whole number"):
            allowance_of(parse_address(f"m.edge@threads={text}"), allowed)


@pytest.mark.parametrize(("text", "expected"), [("0.4", 0.4), ("1", 1.0), ("1.1", None), ("x", None), ("nan", None)])
def test_numbers_among_the_options(text, expected):
    address = parse_address(f"ultralytics:m.pt@conf={text}")
    if expected is None:
        with pytest.raises(InputError, match="conf is a number from 0 to 1"):
            number_option(address, "conf", 0.25)
    else:
        assert number_option(address, "conf", 0.25) == expected
    assert number_option(address, "iou", 0.7) == 0.7


def test_all_variants_of_a_bundle(color_bundle):
    path = color_bundle()
    addresses = expand(parse_address(f"{path}@variant=all,threads=2"))
    assert [one.options["variant"] for one in addresses] == ["onnxruntime-int8", "onnxruntime-float"]
    assert addresses[0].text == f"bundle:{path}@variant=onnxruntime-int8,threads=2"
    for text in (str(path), f"{path}@variant=onnxruntime-int8", f"onnx:{path}"):
        assert expand(parse_address(text)) == [parse_address(text)]


def test_options_are_set_and_files_found(tmp_path):
    address = with_option(parse_address("m.edge"), "variant", "a")
    assert address == parse_address(address.text)
    with pytest.raises(InputError, match=r"there is no file .*nothing\.edge"):
        existing_file(str(tmp_path / "nothing.edge"), address)
    assert existing_file(str(tmp_path), address) == tmp_path


def test_every_kind_has_its_module():
    assert set(_MODULES) == set(KINDS)


def test_a_kind_that_is_not_known():
    from dataclasses import replace

    with pytest.raises(InputError, match="no kind of target 'x'"):
        open_target(replace(parse_address("m.edge"), kind="x"), Allowance())
