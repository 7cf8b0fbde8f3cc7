"""matplotlib is imported so that it writes into the cache folder, and so that users who have settings of their own keep them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FAKE = "import os\nprint(os.environ.get('MPLCONFIGDIR'))\n"  # what matplotlib reads when it is imported


def imported(tmp_path: Path, before: str = "", **settings: str) -> list[str]:
    """The folder that matplotlib is told, and what is told after that, to this program and those it starts."""
    (tmp_path / "packages" / "matplotlib").mkdir(parents=True)
    (tmp_path / "packages" / "matplotlib" / "__init__.py").write_text(FAKE)
    (tmp_path / "packages" / "matplotlib" / "figure.py").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG_"))}
    environment |= {"HOME": str(tmp_path / "home"), "EDGEVISION_CACHE": str(tmp_path / "cache")}
    environment |= {"PYTHONPATH": os.pathsep.join((str(tmp_path / "packages"), str(ROOT))), **settings}
    code = f"{before}\nfrom edgevision.evaluate.page.importing import import_matplotlib\n"
    code += "import os; import_matplotlib().figure; print(os.environ.get('MPLCONFIGDIR'))"
    command = [sys.executable, "-B", "-c", code]
    return subprocess.check_output(command, text=True, env=environment, cwd=tmp_path).split()


def test_a_user_without_a_folder_of_matplotlib_gets_none(tmp_path):
    assert imported(tmp_path) == [str(tmp_path / "cache" / "matplotlib"), "None"]


@pytest.mark.parametrize("folder", [".config/matplotlib", ".matplotlib", "elsewhere/matplotlib"])
def test_a_user_who_has_one_keeps_it(tmp_path, folder):
    (tmp_path / "home" / folder).mkdir(parents=True)
    assert imported(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "home" / "elsewhere")) == ["None", "None"]


@pytest.mark.parametrize(
    ("before", "settings", "expected"),
    [("", {"MPLCONFIGDIR": "/mine"}, ["/mine", "/mine"]), ("import matplotlib", {}, ["None", "None"])],
    ids=["set by the user", "imported by the program"],
)
def test_what_is_decided_already_stays(tmp_path, before, settings, expected):
    assert imported(tmp_path, before, **settings) == expected


@pytest.mark.requires("matplotlib")
@pytest.mark.parametrize(
    ("how", "expected"), [("import_matplotlib()", ""), ("import matplotlib.figure", "Could not save")]
)
def test_a_list_of_fonts_that_cannot_be_kept_is_no_news(tmp_path, how, expected):
    """A full disk: stderr is for what the user can do something about."""
    code = "import resource; from edgevision.evaluate.page.importing import import_matplotlib\n"
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); {how}\n"
    code += "import logging; print(logging.getLogger('matplotlib.font_manager').level)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG_"))}
    environment |= {"HOME": str(tmp_path), "EDGEVISION_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path, check=True
    )
    assert done.stdout == "0\n"  # as it was
    assert expected in done.stderr
    assert bool(done.stderr) is bool(expected)
