from __future__ import annotations

import pytest
from fake_machine import FakeMachine

from edgevision.bench.conditions import heat, memory, processor
from edgevision.bench.conditions.roots import Roots


@pytest.fixture
def machine(tmp_path) -> FakeMachine:
    return FakeMachine(tmp_path)


@pytest.fixture
def nothing(tmp_path) -> Roots:
    return Roots(tmp_path / "proc", tmp_path / "sys")


def test_a_machine_that_tells_nothing(nothing):
    assert processor.ticks(nothing) == {}
    assert processor.load(nothing) is None
    assert processor.ticks_of_family(nothing, 1) is None
    assert processor.frequency_mhz(nothing, 0) is None
    assert processor.throttle_counts(nothing) is None
    assert processor.quota_throttled(nothing) is None
    assert heat.temperatures(nothing) == {}
    assert memory.memory(nothing) == {}
    assert memory.huge_pages(nothing) == "not readable"
    assert "does not tell" in processor.Frequencies(nothing).values()
    fixed = processor.fixed(nothing)
    assert {fixed[key] for key in ("governor", "frequency_limit_mhz", "microcode", "hypervisor")} == {"not readable"}


def test_ticks(machine):
    machine.work(busy=(30, 10), idle=(70, 90), steal=(5, 0))
    found = processor.ticks(machine.roots)
    assert set(found) == {"cpu", "cpu0", "cpu1"}
    assert found["cpu0"] == processor.Ticks(busy=35, idle=70, steal=5)
    assert found["cpu"].total == 205


def test_a_family_is_a_process_with_all_that_come_of_it(machine):
    machine.process(10, 1, 40)
    machine.process(11, 10, 8, name="a ) b (c")
    machine.process(12, 11, 4)
    machine.process(20, 1, 1000)
    assert processor.ticks_of_family(machine.roots, 10) == 52
    assert processor.ticks_of_family(machine.roots, 12) == 4
    assert processor.ticks_of_family(machine.roots, 99) is None


def test_frequencies_are_those_of_busy_threads(machine):
    for cpu, kilohertz in ((0, 3_000_000), (1, 800_000)):
        machine.write(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", kilohertz)
    frequencies = processor.Frequencies(machine.roots)
    frequencies.poll()  # no time has passed
    assert "no thread was busy" in frequencies.values()
    machine.work(busy=(90, 1), idle=(10, 99))
    frequencies.poll()
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", 2_000_000)
    machine.work(busy=(90, 1), idle=(10, 99))
    frequencies.poll()
    machine.work(idle=(100, 100))
    frequencies.poll()  # idle: not looked at
    assert frequencies.values() == {"lowest": 2000, "median": 2500, "highest": 3000, "first": 3000, "last": 2000}


def test_throttling_is_counted_by_core_and_package(machine):
    for cpu in (0, 1):
        machine.write(f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", 3 + cpu)
        machine.write(f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/package_throttle_count", 5)
    assert processor.throttle_counts(machine.roots) == {"core": 7, "package": 5}


@pytest.mark.parametrize(
    ("membership", "file"),
    [
        ("0::/user/a", "sys/fs/cgroup/user/a/cpu.stat"),
        ("0::/not/seen/from/here", "sys/fs/cgroup/cpu.stat"),
        ("3:cpuset:/\n2:cpu,cpuacct:/a", "sys/fs/cgroup/cpu/a/cpu.stat"),
    ],
)
def test_a_quota_that_was_used_up(machine, membership, file):
    machine.write("proc/self/cgroup", membership)
    machine.write(file, "nr_periods 100\nnr_throttled 7\nthrottled_usec 5")
    assert processor.quota_throttled(machine.roots) == 7


def test_what_does_not_change(machine):
    cpu = "sys/devices/system/cpu/cpu0/cpufreq"
    machine.write(f"{cpu}/scaling_governor", "powersave")
    machine.write(f"{cpu}/cpuinfo_max_freq", 3_500_000)
    machine.write("proc/cpuinfo", "microcode\t: 0x2b\nflags\t: fpu hypervisor avx2\n\nmicrocode\t: 0x99")
    fixed = processor.fixed(machine.roots)
    assert (fixed["governor"], fixed["frequency_limit_mhz"], fixed["microcode"], fixed["hypervisor"]) == (
        "powersave",
        3500,
        "0x2b",
        True,
    )


def test_temperatures_by_sensor(machine):
    chip = "sys/class/hwmon/hwmon0"
    machine.write(f"{chip}/name", "coretemp")
    machine.write(f"{chip}/temp1_input", 45000)
    machine.write(f"{chip}/temp1_label", "Package id 0")
    machine.write(f"{chip}/temp2_input", 44500)
    machine.write(f"{chip}/temp3_input", -273000)  # not connected
    for zone in (0, 1):
        machine.write(f"sys/class/thermal/thermal_zone{zone}/type", "acpitz")
        machine.write(f"sys/class/thermal/thermal_zone{zone}/temp", 30000 + zone)
    machine.write("sys/class/thermal/thermal_zone2/temp", "broken")
    assert heat.temperatures(machine.roots) == {
        "coretemp Package id 0": 45, "coretemp temp2": 44.5, "zone acpitz": 30, "zone acpitz (2)": 30.001,
    }  # fmt: skip


def test_memory(machine):
    assert memory.memory(machine.roots) == {"total": 1024000, "available": 614400, "swap_used": 10240}
    machine.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
    assert memory.huge_pages(machine.roots) == "madvise"
    assert memory.malloc_settings({"MALLOC_ARENA_MAX": "2", "HOME": "/", "LD_PRELOAD": "x.so"}) == {
        "LD_PRELOAD": "x.so",
        "MALLOC_ARENA_MAX": "2",
    }
