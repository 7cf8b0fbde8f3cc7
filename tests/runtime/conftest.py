"""What prepares on a CUDA device, where there is none: the kernel's own code on this CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from cuda_on_host import build_kernel

    return build_kernel(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def device_driver(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The driver of a fake GPU that runs our kernels. At the end of the test it holds nothing any more."""
    from cuda_on_host import ROOT, HostEngineDriver

    from edgevision.cuda import driver as cuda_driver

    monkeypatch.setattr(cuda_driver, "fatbins", lambda: [(12, ROOT / "pyproject.toml")])
    driver = HostEngineDriver(kernel)
    yield driver
    assert not driver.memory
