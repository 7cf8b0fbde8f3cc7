"""Every variant of a bundle, checked on this machine by its golden frames."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.bundle.reader import Bundle
from edgevision.errors import EngineError, MissingExtraError, SelfTestError
from edgevision.runtime.golden_check import golden_result
from edgevision.runtime.opening import open_variant


@dataclass(frozen=True)
class VariantCheck:
    """What the golden frames said of a variant. ``ran`` is False where it cannot run here; ``message`` says why."""

    variant: str
    ran: bool
    passed: bool
    message: str


def verify_variants(bundle: Bundle) -> list[VariantCheck]:
    """Check every variant of the bundle on this machine, one thread each. Raises nothing for those that fail."""
    checks = []
    for variant in bundle.manifest.variants:
        try:
            runner = open_variant(bundle, variant, 1)
        except (MissingExtraError, EngineError) as error:
            checks.append(VariantCheck(variant.id, False, False, str(error)))
            continue
        except SelfTestError as error:
            checks.append(VariantCheck(variant.id, True, False, str(error)))
            continue
        try:
            result = golden_result(bundle, variant, runner)
            checks.append(VariantCheck(variant.id, True, result.passed, result.message))
        except EngineError as error:
            checks.append(VariantCheck(variant.id, True, False, str(error)))
        finally:
            runner.close()
    return checks
