from __future__ import annotations

import json
import os
import threading

import pytest
from fake_machine import FakeMachine

from edgevision.bench.conditions import Watcher, reasons_against
from edgevision.bench.conditions.rules import noisy, stolen, throttled


class NoGpu:
    """NVML of a machine without a GPU."""

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 0


@pytest.fixture
def machine(tmp_path) -> FakeMachine:
    return FakeMachine(tmp_path)


def watcher(machine: FakeMachine) -> Watcher:
    return Watcher(machine.roots, interval_s=1000.0, settle_s=0.0, nvml=NoGpu())


def test_it_tells_what_happened_between_begin_and_end(machine):
    machine.write("sys/class/thermal/thermal_zone0/temp", 30000)
    with watcher(machine) as watch:
        machine.work(busy=(100, 50), idle=(0, 50), steal=(10, 0))
        machine.process(os.getpid(), 1, 60)
        machine.process(77, os.getpid(), 40)
        machine.write("sys/class/thermal/thermal_zone0/temp", 50000)
        machine.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 100 kB")
        machine.write("proc/loadavg", "1.50 0.40 0.30 1/100 999")
        assert watch.values()["temperature_c"]["zone thermal_zone0"] == {"before": 30.0, "highest": 50.0}
        machine.write("sys/class/thermal/thermal_zone0/temp", 40000)
    values = watch.values()
    assert values["busy_share"] == pytest.approx(160 / 210)
    assert values["steal_share"] == pytest.approx(10 / 210)
    assert values["others_cores"] == pytest.approx(2 * 50 / 210)  # 150 busy ticks, 100 of them ours
    assert values["temperature_c"]["zone thermal_zone0"] == {"before": 30.0, "highest": 50.0}
    assert values["memory"]["available_least"] == 100 * 1024
    assert values["load"] == {"before": [0.5, 0.4, 0.3], "after": [1.5, 0.4, 0.3]}
    assert "unavailable" in values["energy"]
    assert values["gpus"] == "none (NVML sees no GPU)"
    assert json.loads(json.dumps(values)) == values
    assert not [thread for thread in threading.enumerate() if thread.name == "bench-watcher"]


def test_it_looks_now_and_then(machine):
    with Watcher(machine.roots, interval_s=0.01, settle_s=0.0, nvml=NoGpu()) as watch:
        machine.write("sys/class/thermal/thermal_zone0/temp", 90000)
        for _ in range(500):
            if watch._hottest.get("zone thermal_zone0") == 90.0:
                break
            threading.Event().wait(0.01)
        machine.write("sys/class/thermal/thermal_zone0/temp", 40000)
    assert watch.values()["temperature_c"]["zone thermal_zone0"] == {"before": None, "highest": 90.0}


def test_a_machine_that_tells_nothing_is_watched_as_well(tmp_path):
    from edgevision.bench.conditions.roots import Roots

    with Watcher(Roots(tmp_path / "proc", tmp_path / "sys"), settle_s=0.0, nvml=NoGpu()) as watch:
        pass
    values = watch.values()
    assert values["steal_share"] is None
    assert values["temperature_c"] == "not readable"
    assert values["load"]["before"] == "not readable"
    assert reasons_against(values) == ()
    json.dumps(values)


def test_this_machine_can_be_watched():
    with Watcher(settle_s=0.0) as watch:
        sum(range(10**5))
    values = watch.values()
    assert values["machine"]["cores"] >= 1
    assert "numpy" in values["versions"]
    json.dumps(values)


QUIET = {"machine": {"cores": 4}, "others_before_cores": 1.1, "others_cores": 0.2, "steal_share": 0.019}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"others_before_cores": 1.3}, "1.3 of 4 cores before the run"),
        ({"others_cores": 2.0}, "2.0 of 4 cores during it"),
        ({"others_before_cores": None, "others_cores": None, "steal_share": None}, None),
        ({"steal_share": 0.05}, "5.0%"),
    ],
)
def test_what_speaks_against_a_machine(changed, said):
    reasons = reasons_against({**QUIET, **changed})
    if said is None:
        assert reasons == ()
    else:
        assert len(reasons) == 1
        assert said in reasons[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ""),
        ({"throttled": {"core": 0, "package": 0}, "quota_throttled": 0, "gpus": [{"name": "G", "slowed_by": []}]}, ""),
        (
            {
                "throttled": "not readable",
                "quota_throttled": "not readable",
                "gpus": "none",
                "frequency_mhz": "not readable",
            },
            "",
        ),
        ({"throttled": {"core": 3}}, "too hot 3 times"),
        ({"quota_throttled": 9}, "9 periods"),
        ({"frequency_mhz": {"first": 3000.0, "last": 2800.0}}, ""),
        ({"frequency_mhz": {"first": 3000.0, "last": 2000.0}}, "from 3000 to 2000 MHz"),
        ({"gpus": [{"name": "G", "slowed_by": ["power limit"]}]}, "G was slowed down by power limit"),
    ],
)
def test_what_throttles(values, said):
    assert said in throttled(values)
    assert bool(said) == bool(throttled(values))
    assert noisy(values) == stolen(values) == ""
