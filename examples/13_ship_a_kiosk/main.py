"""Everything that a box without network needs, in one folder, each file with its hash.

python examples/13_ship_a_kiosk/main.py FOLDER [--extra NAME …] [--bundle MODEL] [--wheels FOLDER] [--python 3.12 --platform TAG …]

The folder then has `wheels/`, `requirements.txt` (every package with the SHA-256 of its wheel), `install.sh`, the bundle, and the files of
systemd beside this program. Carry it to the box and run `sh install.sh /opt/kiosk` there: it installs without asking any server, and refuses a
wheel whose hash is another.

`--wheels`: a folder with wheels of your own, such as edgevision's, made by `pip wheel --no-deps .`. `--python` and `--platform` collect for
another machine, such as `--python 3.11 --platform manylinux_2_28_aarch64`. A box needs no compiler: what has no wheel is refused here.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

HERE = Path(__file__).parent
FILES = ("edgevision-serve.service", "kiosk-browser.service", "kiosk-policy.json")

INSTALL = """#!/bin/sh
# Install into a virtual environment of its own, from the files beside this script, without network: sh install.sh [/opt/kiosk]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-/opt/kiosk}
python=${PYTHON:-python3}
(cd "$here" && sha256sum --check --quiet SHA256SUMS)
"$python" -m venv "$target"
"$target/bin/python" -m pip --disable-pip-version-check install --quiet --no-index --find-links "$here/wheels" \\
    --require-hashes --only-binary :all: --requirement "$here/requirements.txt"
if [ -f "$here/model.edge" ]; then
    "$target/bin/edgevision" verify "$here/model.edge"
    # Beside it first, then in its place: a program that runs has the old one or the new one, and never half of each.
    cp "$here/model.edge" "$target/.model.edge.new"
    mv "$target/.model.edge.new" "$target/model.edge"
fi
echo "installed into $target"
"""


def download(requirements: Iterable[str], wheels: Path, options: Iterable[str]) -> None:
    """Fetch the wheels of ``requirements`` and of all that they need. Leaves where pip fails, with what it says."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "download",
        "--quiet",
        "--only-binary",
        ":all:",
    ]
    done = subprocess.run([*command, "--dest", str(wheels), *options, *requirements], check=False)
    if done.returncode:
        sys.exit(
            "pip could not collect the packages: see above. Nothing was left out on purpose, so mend that and run this again"
        )


def locked(wheel: Path) -> str:
    """The line of ``requirements.txt`` for a wheel: its name and version, from its own metadata, and its hash."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        told = HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))
    return f"{told['Name']}=={told['Version']} --hash=sha256:{sha256(wheel)}"


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) else _digest(file.read())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def finish(folder: Path) -> None:
    """Write what the box installs by: ``requirements.txt``, ``install.sh``, and the hash of every file."""
    lines = sorted((locked(wheel) for wheel in (folder / "wheels").glob("*.whl")), key=str.lower)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (folder / "install.sh").write_text(INSTALL, "utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    sums = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(sums), "utf-8")


def main(arguments: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="a new folder")
    p.add_argument("--extra", action="append", default=[], help="such as serve or openvino; may be given again")
    p.add_argument("--package", default="edgevision", help="what to install (default: %(default)s)")
    p.add_argument("--bundle", type=Path, help="the .edge file")
    p.add_argument("--wheels", type=Path, help="a folder with wheels of your own")
    p.add_argument("--no-index", action="store_true", help="take all from --wheels, and ask no server")
    p.add_argument("--python", help="the box's version of Python (default: this one)")
    p.add_argument(
        "--platform", action="append", default=[], help="the box's platform, as wheels are named (default: this one)"
    )
    given = p.parse_args(arguments)

    wheels = given.folder / "wheels"
    wheels.mkdir(parents=True)  # refuses a folder that has some already: what is old in it would be installed too
    options = ["--find-links", str(given.wheels)] if given.wheels else []
    options += ["--no-index"] if given.no_index else []
    options += ["--python-version", given.python] if given.python else []
    options += [word for tag in given.platform for word in ("--platform", tag)]
    extras = f"[{','.join(given.extra)}]" if given.extra else ""
    download([given.package + extras], wheels, options)
    if given.bundle:
        shutil.copyfile(given.bundle, given.folder / "model.edge")
    for name in FILES:
        shutil.copyfile(HERE / name, given.folder / name)
    finish(given.folder)
    found = list(wheels.glob("*.whl"))
    size_mb = sum(path.stat().st_size for path in found) / 1e6
    print(f"{len(found)} packages, {size_mb:.0f} MB, in {given.folder}. On the box: sh install.sh /opt/kiosk")


if __name__ == "__main__":
    main()
