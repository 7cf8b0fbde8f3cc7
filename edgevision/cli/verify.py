"""``edgevision verify``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgevision.cli import output


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "verify", help="check every hash, and run the golden frames through every variant on this machine"
    )
    p.add_argument("bundle", type=Path)
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.bundle.reader import open_bundle
    from edgevision.runtime.golden_check import proof_gaps
    from edgevision.runtime.verify import verify_variants

    with open_bundle(arguments.bundle) as bundle:
        bundle.verify()
        results = verify_variants(bundle)
        gaps = proof_gaps(bundle.manifest)
    ran = [r for r in results if r.ran]
    passed = bool(ran) and all(r.passed for r in ran)
    if arguments.json:
        data = {"passed": passed, "variants": [vars(r) for r in results], "not_proven_here": list(gaps)}
        output.show_json(data)
        return 0 if passed else 3
    output.say(f"{arguments.bundle}: every entry is as it was written (id {bundle.id[:12]})")
    for result in results:
        state = "passed" if result.passed else "not run" if not result.ran else "FAILED"
        output.say(f"  {result.variant}: {state}. {result.message}")
    for gap in gaps:
        output.say(f"  not proven here: {gap}")
    return 0 if passed else 3
