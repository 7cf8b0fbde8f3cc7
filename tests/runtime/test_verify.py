from __future__ import annotations

from edgevision.bundle.reader import open_bundle
from edgevision.runtime.verify import verify_variants


def test_verify_variants_tells_of_each(color_bundle):
    variants = (
        ("good", "onnxruntime", "int8"), ("spoiled", "onnxruntime", "float"), ("bf16", "onnxruntime", "float", "bfloat16")
    )  # fmt: skip
    with open_bundle(color_bundle(variants=variants, spoiled=["spoiled"])) as bundle:
        good, spoiled, bf16 = verify_variants(bundle)
    assert (good.variant, good.ran, good.passed) == ("good", True, True)
    assert (spoiled.variant, spoiled.ran, spoiled.passed) == ("spoiled", True, False)
    assert "golden frame" in spoiled.message
    assert (bf16.variant, bf16.ran, bf16.passed) == ("bf16", False, False)
    assert "as it is written" in bf16.message
