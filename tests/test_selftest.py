from __future__ import annotations

from dataclasses import replace

import pytest

from edgevision import runner, selftest
from edgevision.bundle.reader import open_bundle
from edgevision.machine import describe_machine


def test_verify_variants_tells_of_each(color_bundle):
    variants = (
        ("good", "onnxruntime", "int8"), ("spoiled", "onnxruntime", "float"), ("bf16", "onnxruntime", "float", "bfloat16")
    )  # fmt: skip
    with open_bundle(color_bundle(variants=variants, spoiled=["spoiled"])) as bundle:
        good, spoiled, bf16 = selftest.verify_variants(bundle)
    assert (good.variant, good.ran, good.passed) == ("good", True, True)
    assert (spoiled.variant, spoiled.ran, spoiled.passed) == ("spoiled", True, False)
    assert "golden frame" in spoiled.message
    assert (bf16.variant, bf16.ran, bf16.passed) == ("bf16", False, False)
    assert "as it is written" in bf16.message


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda e: e, True),
        (lambda e: replace(e, cpu="another name"), True),
        (lambda e: replace(e, features=(*e.features, "sse41")), True),  # decides nothing
        (lambda e: replace(e, features=(*e.features, "sve")), False),
        (lambda e: replace(e, architecture="riscv64"), False),
        (lambda e: replace(e, versions={**e.versions, "onnxruntime": "0.1"}), False),
    ],
)
def test_the_strict_rule_holds_on_the_same_engine_and_instruction_set(color_bundle, change, same, monkeypatch):
    seen = []

    def compare(*arrays, same_device):
        seen.append(same_device)
        return selftest.GoldenResult(True, 0.0, "")

    monkeypatch.setattr(selftest, "compare", compare)
    with open_bundle(color_bundle(manifest=lambda m: replace(m, environment=change(m.environment)))) as bundle:
        selftest.verify_variants(bundle)
    assert seen == [same, same]


def gaps(color_bundle, change):
    with open_bundle(color_bundle(manifest=change)) as bundle:
        return selftest.proof_gaps(bundle.manifest)


def test_no_gaps_where_it_was_made(color_bundle):
    assert gaps(color_bundle, None) == ()


def test_an_unjudged_variant_is_a_gap_only_where_another_was_judged(color_bundle):
    def unjudged(manifest):
        return replace(manifest, variants=tuple(replace(v, metric=None) for v in manifest.variants))

    def both_int8(manifest):  # a metric alone proves nothing
        return replace(manifest, variants=tuple(replace(v, graph="int8") for v in manifest.variants))

    for change, expected in (
        (lambda m: m, ()),  # float, which the chosen one was judged against
        (both_int8, ("the judge photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'",)),
        (unjudged, ("the judge photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'",)),
        (lambda m: replace(unjudged(m), verdict=None), ()),  # nothing was shown to any; that is said elsewhere
        (lambda m: replace(m, variants=tuple(replace(v, verdict=m.verdict, metric=None) for v in m.variants)), ()),
    ):
        with open_bundle(color_bundle(manifest=change)) as bundle:
            found = selftest.proof_gaps(bundle.manifest, bundle.manifest.variants[1])
        assert found == expected


def test_gaps_name_what_differs(color_bundle, monkeypatch):
    machine = replace(describe_machine(), architecture="x86_64", features=("avx2", "avxvnni", "fma"))
    monkeypatch.setattr(selftest, "describe_machine", lambda: machine)

    def made_on(features, architecture="x86_64"):
        return lambda m: replace(
            m, environment=replace(m.environment, cpu="EPYC", architecture=architecture, features=features)
        )

    assert gaps(color_bundle, made_on(("avx2", "avxvnni"))) == ()
    assert gaps(color_bundle, made_on(("avx2", "avx512f", "avx512vnni"))) == (
        "it was measured on EPYC; this machine lacks avx512f, avx512vnni and has avxvnni besides",
    )
    assert gaps(color_bundle, made_on((), "aarch64")) == (
        "it was measured on EPYC; this machine is x86_64, not aarch64",
    )


def test_outputs_that_are_no_numbers_fail_the_check(color_bundle, monkeypatch):
    run = runner.Runner.run

    def broken(self, frames):
        scores = run(self, frames)
        scores.raw[:] = float("nan")
        return scores

    monkeypatch.setattr(runner.Runner, "run", broken)
    with open_bundle(color_bundle()) as bundle:
        checks = selftest.verify_variants(bundle)
    assert [check.passed for check in checks] == [False, False]
    assert "NaN" in checks[0].message


def test_what_was_never_measured_where_it_was_made_is_held_to_the_wider_rule(color_bundle, monkeypatch):
    """Its golden outputs came from another engine there, so the last digits may differ on the very same machine."""
    seen = []

    def compare(*arrays, same_device):
        seen.append(same_device)
        return selftest.GoldenResult(True, 0.0, "")

    monkeypatch.setattr(selftest, "compare", compare)

    def unmeasured(manifest):
        return replace(manifest, variants=tuple(replace(v, latency=()) for v in manifest.variants))

    for change in (None, unmeasured):
        with open_bundle(color_bundle(manifest=change)) as bundle:
            (variant, *_) = bundle.manifest.variants
            made = runner.open_runner(bundle.graph(variant.graph), bundle.manifest, variant, 1)
            selftest.check_golden(bundle, variant, made)
            made.close()
            gaps = selftest.proof_gaps(bundle.manifest, variant)
            assert any("has not run where it was made" in gap for gap in gaps) == (change is unmeasured)
    assert seen == [True, False]
