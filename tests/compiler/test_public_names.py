"""``edgevision.compiler`` where PyTorch is not installed."""

from __future__ import annotations

import subprocess
import sys


def test_options_need_no_torch_and_compiling_names_the_extra():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from edgevision.compiler import CompileOptions, Objective, Precision\n"
        "from edgevision.errors import MissingExtraError\n"
        "try:\n    from edgevision.compiler import compile_model\n"
        "except MissingExtraError as error:\n    assert 'edgevision[compile]' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
