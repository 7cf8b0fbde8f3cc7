"""``python:module:attribute``: a target of the user's own.

``attribute`` is called with the allowance, and with the address's options as keywords, each a str. It gives a ``base.Target``:

    # my_targets.py, beside which `edgevision bench python:my_targets:make@size=320` is called
    def make(allowance, size="640"):
        return MyTarget(int(size), threads=allowance.threads)
"""

from __future__ import annotations

import importlib
from functools import reduce
from typing import Any

from edgevision.bench.targets.address import COMMON, TargetAddress
from edgevision.bench.targets.base import Allowance, Target
from edgevision.errors import InputError


def open(address: TargetAddress, allowance: Allowance) -> Target:
    """Import the module, call its maker. Raises InputError where there is no such module, maker or target."""
    module_name, _, attribute = address.what.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # a module that the user's own imports: its message says which
        raise InputError(
            f"'{address.text}': there is no module {module_name}; call edgevision where it lies, or install it"
        ) from None
    try:
        maker: Any = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise InputError(f"'{address.text}': the module {module_name} has no {attribute}") from None
    options = {key: value for key, value in address.options.items() if key not in COMMON}
    target: Target = maker(allowance, **options)
    missing = [name for name in ("identity", "parallel", "answer", "read", "close") if not hasattr(target, name)]
    if missing:
        raise InputError(
            f"'{address.text}': what it makes is no target, it has no {', '.join(missing)}; see bench.targets.base.Target"
        )
    return target
