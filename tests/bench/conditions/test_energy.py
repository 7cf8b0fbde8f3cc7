from __future__ import annotations

from typing import Any

import pytest
from fake_machine import FakeMachine

from edgevision.bench.conditions.energy import energy_values, find_meters
from edgevision.bench.conditions.gpu import Gpus


class FakeNvml:
    """NVML with one GPU. ``missing``: functions that this version does not have."""

    def __init__(self, count: int = 1, missing: tuple[str, ...] = (), driver: bool = True) -> None:
        self.millijoules, self.reasons, self.heat, self.open = 5000, 0, 40, False
        self._count, self._missing, self._driver = count, missing, driver

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in object.__getattribute__(self, "_missing"):
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def nvmlInit(self) -> None:
        if not self._driver:
            raise RuntimeError("Driver Not Loaded")
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        return self._count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"Fake GPU"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return 1800

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return self.heat

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:
        return self.reasons

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return self.millijoules


NO_GPU = FakeNvml(count=0)


@pytest.fixture
def machine(tmp_path) -> FakeMachine:
    return FakeMachine(tmp_path)


def test_without_a_meter_the_reasons_are_told(machine):
    meters = find_meters(machine.roots, Gpus(NO_GPU))
    assert meters.found == ()
    text = str(energy_values(meters, 60.0)["unavailable"])
    assert "RAPL" in text
    assert "INA3221" in text
    assert "NVML sees no GPU" in text


def test_rapl_counts_packages_and_memory_through_a_turn(machine):
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
    for folder, name in zones.items():
        machine.write(f"sys/class/powercap/{folder}/name", name)
        machine.write(f"sys/class/powercap/{folder}/max_energy_range_uj", 9_999_999)
        machine.write(f"sys/class/powercap/{folder}/energy_uj", 9_000_000)
    meter = find_meters(machine.roots, Gpus(NO_GPU)).found[0]
    for microjoules in (9_000_000, 9_500_000, 1_500_000):  # + 0.5 J, then + 2 J over the turn
        for folder in zones:
            machine.write(f"sys/class/powercap/{folder}/energy_uj", microjoules)
        meter.poll(0.0)
    assert meter.joules() == pytest.approx(2 * 2.5)  # package and memory, neither core nor psys again


def test_rapl_that_may_not_be_read_is_told(machine):
    machine.write("sys/class/powercap/intel-rapl:0/name", "package-0")  # no energy_uj: as for a user who is not root
    assert "root only" in " ".join(find_meters(machine.roots, Gpus(NO_GPU)).reasons)


@pytest.mark.parametrize(("labels", "watts"), [(("VDD_IN", "VDD_CPU"), 5.0), (("VDD_GPU", "VDD_CPU"), 6.0)])
def test_a_jetsons_rails(machine, labels, watts):
    """The rail that feeds all, where there is one; else all rails, which do not hold each other."""
    chip = "sys/class/hwmon/hwmon3"
    machine.write(f"{chip}/name", "ina3221")
    for channel, (label, milliamperes) in enumerate(zip(labels, (1000, 200), strict=True), 1):
        machine.write(f"{chip}/in{channel}_label", label)
        machine.write(f"{chip}/in{channel}_input", 5000)
        machine.write(f"{chip}/curr{channel}_input", milliamperes)
    meter = find_meters(machine.roots, Gpus(NO_GPU)).found[0]
    meter.poll(10.0)
    meter.poll(12.0)
    assert meter.joules() == pytest.approx(2 * watts)
    machine.write(f"{chip}/curr1_input", 3000)  # + 10 W at the end of the next second: half of it
    meter.poll(13.0)
    assert meter.joules() == pytest.approx(3 * watts + 5)


def test_a_gpus_counter(machine):
    nvml = FakeNvml()
    meters = find_meters(machine.roots, Gpus(nvml))
    for millijoules in (5000, 8000):
        nvml.millijoules = millijoules
        meters.found[0].poll(0.0)
    assert energy_values(meters, 60.0) == {"NVML: GPUs": {"joules": 3.0, "watts": 0.05}, "seconds": 60.0}
    assert "ends weigh too much" in str(energy_values(meters, 3.0)["note"])


def test_what_a_gpu_tells():
    nvml = FakeNvml()
    gpus = Gpus(nvml)
    for reasons, heat in ((0x1, 50), (0x20 | 0x4, 80), (0x2, 60)):  # idle; heat and power; clocks chosen by the user
        nvml.reasons, nvml.heat = reasons, heat
        gpus.poll()
    assert gpus.values() == [
        {
            "name": "Fake GPU",
            "driver": "570.1",
            "clock_mhz": 1800,
            "highest_c": 80.0,
            "slowed_by": ["heat (software)", "power limit"],
        }
    ]
    gpus.close()
    assert not nvml.open
    assert "closed" in gpus.values()


def test_what_a_gpu_cannot_tell_is_left_open():
    nvml = FakeNvml(
        missing=(
            "nvmlDeviceGetTemperature",
            "nvmlDeviceGetTotalEnergyConsumption",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
        )
    )
    gpus = Gpus(nvml)
    gpus.poll()
    assert gpus.values()[0]["highest_c"] is None
    assert gpus.joules() == []


def test_without_a_driver():
    assert "Driver Not Loaded" in Gpus(FakeNvml(driver=False)).values()
