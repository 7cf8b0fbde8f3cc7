"""The folder that a box without network is installed from, and what systemd, Docker and Chromium are told."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from house import ROOT

EXAMPLE = ROOT / "examples" / "13_ship_a_kiosk"


def make_wheel(folder: Path, name: str, code: str, requires: str = "") -> Path:
    """A wheel as the standard says (PEP 427), of one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    path = folder / f"{name}-1.0-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in files.items():
            archive.writestr(entry, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{entry},sha256={digest},{len(text.encode())}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from two wheels of our own, one of which needs the other; no server is asked."""
    folder = tmp_path_factory.mktemp("ship")
    wheels = folder / "own"
    wheels.mkdir()
    make_wheel(wheels, "till", "import scales\nweight = scales.weight\n", "scales>=1")
    make_wheel(wheels, "scales", "weight = 250\n")
    command = [
        sys.executable,
        EXAMPLE / "main.py",
        folder / "box",
        "--package",
        "till",
        "--wheels",
        wheels,
        "--no-index",
    ]
    subprocess.run([str(word) for word in command], check=True)
    return folder / "box"


def install(box: Path, target: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_NO_INPUT": "1"}
    return subprocess.run(
        ["sh", str(box / "install.sh"), str(target)], check=False, capture_output=True, text=True, env=environment
    )


@pytest.fixture
def copied_box(box, tmp_path) -> Path:
    return Path(shutil.copytree(box, tmp_path / "box"))


def test_the_folder_has_every_package_with_its_hash(box):
    lines = (box / "requirements.txt").read_text("utf-8").splitlines()
    found = {
        match[1]: match[2]
        for line in lines
        if (match := re.fullmatch(r"(\w+)==1\.0 --hash=sha256:([0-9a-f]{64})", line))
    }
    assert found == {
        path.name.split("-")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in (box / "wheels").iterdir()
    }
    assert set(found) == {"till", "scales"}


def test_a_box_installs_without_network(box, tmp_path):
    done = install(box, tmp_path / "kiosk")
    assert done.returncode == 0, done.stderr
    program = "import till; print(till.weight)"
    said = subprocess.run(
        [str(tmp_path / "kiosk/bin/python"), "-c", program], check=True, capture_output=True, text=True
    )
    assert said.stdout == "250\n"


def test_a_wheel_that_was_changed_is_refused_by_the_list_of_hashes(copied_box, tmp_path):
    """Also where whoever changed it could write the sums as well, but not the list that pip reads."""
    wheel = copied_box / "wheels" / "scales-1.0-py3-none-any.whl"
    wheel.unlink()
    make_wheel(wheel.parent, "scales", "weight = 1000\n")
    refused = install(copied_box, tmp_path / "kiosk")
    assert refused.returncode != 0
    assert "scales" in refused.stdout + refused.stderr
    sums = copied_box / "SHA256SUMS"
    kept = [line for line in sums.read_text("utf-8").splitlines() if "scales" not in line]
    sums.write_text(
        "\n".join([*kept, f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  wheels/{wheel.name}", ""]), "utf-8"
    )
    refused = install(copied_box, tmp_path / "kiosk")
    assert refused.returncode != 0
    assert "DO NOT MATCH" in refused.stderr
    assert not list((tmp_path / "kiosk").rglob("scales.py"))


def test_a_folder_that_is_there_is_refused(box):
    command = [sys.executable, EXAMPLE / "main.py", box, "--package", "till"]
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True)
    assert "FileExistsError" in done.stderr


# ---- systemd ----


def unit(name: str = "edgevision-serve.service") -> dict[str, list[str]]:
    """Keys and values of a unit, those of one key in their order."""
    text = re.sub(r"\\\n *", " ", (EXAMPLE / name).read_text("utf-8"))
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.requires("systemd")
@pytest.mark.parametrize("name", ["edgevision-serve.service", "kiosk-browser.service"])
def test_systemd_finds_nothing_wrong(tmp_path, name):
    """In a folder that has the programs that units name, and nothing else: systemd's own words go to the end of the line."""
    for program in ("opt/kiosk/bin/edgevision", "usr/bin/cage", "usr/bin/chromium"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for one in EXAMPLE.glob("*.service"):
        shutil.copy(one, units / one.name)
    command = [
        "systemd-analyze",
        "verify",
        "--man=no",
        "--recursive-errors=no",
        f"--root={tmp_path}",
        f"/etc/systemd/system/{name}",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if name in line]
    assert not complaints
    (units / name).write_text((units / name).read_text().replace("Restart=always", "Restart=perhaps\nRestrat=no"))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert len([line for line in done.stderr.splitlines() if name in line]) == 2


@pytest.mark.requires("systemd")
def test_the_service_is_exposed_as_little_as_is_said():
    """systemd's own reckoning, from 0 to 10: docs/how-to/ship-a-kiosk.md says 1.2."""
    path = EXAMPLE / "edgevision-serve.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", str(path)], check=False, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]


def test_engines_can_still_run_in_the_sandbox():
    """What would break them, however well it looks in a list."""
    told = unit()
    assert "MemoryDenyWriteExecute" not in told  # OpenVINO writes machine code
    assert "ProcSubset" not in told  # /proc/cpuinfo
    assert not any(
        "@resources" in value and value.startswith("~") for value in told["SystemCallFilter"]
    )  # sched_setaffinity
    assert told["Environment"] == ["EDGEVISION_CACHE=/var/cache/edgevision"]
    assert told["CacheDirectory"] == ["edgevision"]


# ---- Docker, Chromium ----


def dockerfile() -> list[list[str]]:
    """Its stages: instructions with their arguments."""
    text = re.sub(r"^#.*\n", "", (EXAMPLE / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    stages: list[list[str]] = []
    for line in lines:
        if line.startswith("FROM "):
            stages.append([])
        stages[-1].append(line)
    return stages


def test_the_image_is_small_and_without_root():
    build, final = dockerfile()
    assert all(stage[0].split()[1].endswith("-slim") for stage in (build, final))
    assert "USER 10001:10001" in final
    after_user = final[final.index("USER 10001:10001") :]
    assert not any(line.startswith(("RUN", "COPY", "ADD")) for line in after_user)
    assert not any("pip" in line or "apt" in line for line in final)  # what installs stays in the first stage
    (install,) = [line for line in build if "pip" in line]
    assert {"--no-index", "--require-hashes", "--no-cache-dir"} <= set(install.split())


def test_the_image_looks_after_its_health_by_python():
    _, final = dockerfile()
    (check,) = [line for line in final if line.startswith("HEALTHCHECK")]
    command = json.loads(check[check.index("CMD") + 3 :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "health", "exec")


def test_the_same_port_stands_everywhere():
    from edgevision.kiosk.service.server import PORT

    ports = re.compile(r"(?:127\.0\.0\.1|localhost):(\d+)|EXPOSE (\d+)")
    for name in ("Dockerfile", "kiosk-browser.service", "kiosk-policy.json"):
        text = (EXAMPLE / name).read_text("utf-8")
        assert {match[1] or match[2] for match in ports.finditer(text)} == {str(PORT)}, name


def test_the_browser_opens_this_page_alone():
    policy = json.loads((EXAMPLE / "kiosk-policy.json").read_text("utf-8"))
    assert policy["URLBlocklist"] == ["*"]
    assert policy["URLAllowlist"] == policy["VideoCaptureAllowedUrls"]
    (command,) = unit("kiosk-browser.service")["ExecStart"]
    assert command.split()[-1].removesuffix("/") in policy["URLAllowlist"]
    assert "--kiosk" in command.split()
