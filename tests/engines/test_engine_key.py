"""Which engines run where, and their names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevision.bundle.archive import is_entry_name
from edgevision.engines.engine_key import Device, EngineKey
from edgevision.errors import InputError

pytestmark = pytest.mark.requires("native")

ORIN = Device("Orin", (8, 7), 12060, {"tensorrt": "10.3.0.30"})
KEY = EngineKey("tensorrt", "10.3.0.30", (8, 7), 12060)
RTX_KEY = EngineKey("tensorrt-rtx", "1.7.1.116", (8, 0), 12060)
RTX = Device("RTX 4060", (8, 9), 13000, {"tensorrt-rtx": "1.7.1.116", "tensorrt": "11.4.0.106"})


@pytest.mark.parametrize(
    ("key", "device", "why"),
    [
        (KEY, ORIN, ""),
        (KEY, replace(ORIN, driver=13000), ""),
        (KEY, replace(ORIN, driver=12040), "needs a driver for CUDA 12.6, and this one is for CUDA 12.4"),
        (KEY, replace(ORIN, compute_capability=(8, 6)), "needs compute capability 8.7, and Orin has 8.6"),
        (KEY, replace(ORIN, compute_capability=(11, 0)), "needs compute capability 8.7, and Orin has 11.0"),
        (KEY, replace(ORIN, engines={}), "built by tensorrt 10.3.0.30, which is not installed"),
        (KEY, replace(ORIN, engines={"tensorrt": "10.3.0.26"}), "needs tensorrt 10.3.0.30, and 10.3.0.26 is installed"),
        (KEY, replace(ORIN, engines={"tensorrt": "10.16.1.11"}), "needs tensorrt 10.3.0.30, and"),
        (replace(KEY, version_compatible=True), replace(ORIN, engines={"tensorrt": "10.16.1.11"}), ""),
        (replace(KEY, version_compatible=True), replace(ORIN, engines={"tensorrt": "11.4.0.106"}), ""),
        (replace(KEY, version_compatible=True), replace(ORIN, engines={"tensorrt": "12.0.0"}), "10.3.0.30 or later"),
        (replace(KEY, version_compatible=True), replace(ORIN, engines={"tensorrt": "10.2.0"}), "10.3.0.30 or later"),
        (RTX_KEY, RTX, ""),
        (RTX_KEY, replace(RTX, compute_capability=(12, 0)), ""),
        (RTX_KEY, replace(RTX, compute_capability=(7, 5)), "capability 8.0 or higher, and RTX 4060 has 7.5"),
        (replace(RTX_KEY, version="1.6.0.1", version_compatible=True), RTX, "needs tensorrt-rtx 1.6.0.1"),
    ],
)  # fmt: skip
def test_engines_fit_where_they_were_built_for(key, device, why):
    assert key.fits(device) == (not why)
    assert why in key.misfit(device)
    assert bool(key.misfit(device)) == bool(why)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (KEY, "tensorrt-10.3.0.30-sm8.7-cuda12.6.plan"),
        (replace(KEY, version_compatible=True), "tensorrt-10.3.0.30-sm8.7-cuda12.6-vc.plan"),
        (EngineKey("tensorrt", "11.4.0.106", (12, 1), 13000), "tensorrt-11.4.0.106-sm12.1-cuda13.0.plan"),
        (RTX_KEY, "tensorrt-rtx-1.7.1.116-sm8.0-cuda12.6.plan"),
    ],
)
def test_names_are_read_back(key, name):
    assert key.file_name == name
    assert EngineKey.parse(name) == key
    assert EngineKey.parse(key.entry("int8")) == key
    assert key.entry("int8") == f"engines/int8/{name}"
    assert is_entry_name(key.entry("int8"))


@pytest.mark.parametrize(
    "name",
    ["", "model.plan", "tensorrt-10-sm8.7-cuda12.6.plan", "openvino-10.3.0-sm8.7-cuda12.6.plan", KEY.file_name + "x"],
)
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="name of an engine"):
        EngineKey.parse(name)
