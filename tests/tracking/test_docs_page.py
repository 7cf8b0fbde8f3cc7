"""The how-to page's program prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "track-and-count.md"


def test_the_program_on_the_page_prints_what_the_page_says(capsys):
    program, printed = re.search(
        r"```python\n(.*?)```\n\nIt prints\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    ).groups()
    exec(compile(program, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == printed
