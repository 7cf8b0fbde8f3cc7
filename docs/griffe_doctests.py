"""Examples in docstrings (``>>> …``) become blocks of code on the reference pages."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)  # up to the next empty line
_DIRECTIVE = re.compile(r"  # doctest: [+\w, ]+$", re.MULTILINE)


class Doctests(griffe.Extension):
    """Fences each example in a docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every object whose source was read."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(example: re.Match[str]) -> str:
    return f"```pycon\n{_DIRECTIVE.sub('', example[0])}\n```"
