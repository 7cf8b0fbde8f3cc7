from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.bundle.reader import open_bundle
from edgevision.machine import describe_machine
from edgevision.runtime import golden_check, runner
from edgevision.runtime.verify import verify_variants
from edgevision.tasks import GoldenResult
from edgevision.tasks.classify import SCORES, ClassifyTask


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

    def compare(self, *digests, same_device):
        seen.append(same_device)
        return GoldenResult(True, 0.0, "")

    path = color_bundle(manifest=lambda m: replace(m, environment=change(m.environment)))
    monkeypatch.setattr(ClassifyTask, "compare", compare)
    with open_bundle(path) as bundle:
        verify_variants(bundle)
    assert seen == [same, same]


def gaps(color_bundle, change):
    with open_bundle(color_bundle(manifest=change)) as bundle:
        return golden_check.proof_gaps(bundle.manifest)


def test_no_gaps_where_it_was_made(color_bundle):
    assert gaps(color_bundle, None) == ()


def test_an_unvalidated_variant_is_a_gap_only_where_another_was(color_bundle):
    def unvalidated(manifest):
        return replace(manifest, variants=tuple(replace(v, metric=None) for v in manifest.variants))

    def both_int8(manifest):  # a metric alone proves nothing
        return replace(manifest, variants=tuple(replace(v, graph="int8") for v in manifest.variants))

    for change, expected in (
        (lambda m: m, ()),  # float, which the chosen one was compared with
        (both_int8, ("the validation photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'",)),
        (unvalidated, ("the validation photos were shown to 'onnxruntime-int8', not to 'onnxruntime-float'",)),
        (lambda m: replace(unvalidated(m), verdict=None), ()),  # nothing was shown to any; that is said elsewhere
        (lambda m: replace(m, variants=tuple(replace(v, verdict=m.verdict, metric=None) for v in m.variants)), ()),
    ):
        with open_bundle(color_bundle(manifest=change)) as bundle:
            found = golden_check.proof_gaps(bundle.manifest, bundle.manifest.variants[1])
        assert found == expected


def test_gaps_name_what_differs(color_bundle, monkeypatch):
    machine = replace(describe_machine(), architecture="x86_64", features=("avx2", "avxvnni", "fma"))
    monkeypatch.setattr(golden_check, "describe_machine", lambda: machine)

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
        batch = run(self, frames)
        for array in batch.outputs.values():
            array[:] = float("nan")
        return batch

    monkeypatch.setattr(runner.Runner, "run", broken)
    with open_bundle(color_bundle()) as bundle:
        checks = verify_variants(bundle)
    assert [check.passed for check in checks] == [False, False]
    assert "NaN" in checks[0].message


def test_digests_go_to_the_task_as_reference_stored_and_now(color_bundle, monkeypatch):
    seen = []

    def compare(self, reference, stored, now, *, same_device):
        seen.append((reference, stored, now))
        return GoldenResult(True, 0.0, "")

    path = color_bundle(spoiled=["onnxruntime-int8"])
    monkeypatch.setattr(ClassifyTask, "compare", compare)
    with open_bundle(path) as bundle:
        (variant, *_) = bundle.manifest.variants
        made = runner.open_runner(bundle.graph(variant.graph), bundle.manifest, variant, 1)
        assert golden_check.check_golden(bundle, variant, made).passed
        made.close()
        reference, stored, now = (digest[SCORES] for digest in seen[0])
        assert reference.shape == stored.shape == now.shape == (8, 3)
        np.testing.assert_array_equal(reference, bundle.golden_outputs(bundle.manifest.golden_reference)[SCORES])
    np.testing.assert_array_equal(stored, reference[:, ::-1])
    np.testing.assert_allclose(now, reference, atol=1e-4)


def test_what_was_never_measured_where_it_was_made_is_held_to_the_wider_rule(color_bundle, monkeypatch):
    """Its golden outputs came from another engine there, so the last digits may differ on the very same machine."""
    seen = []

    def compare(self, *digests, same_device):
        seen.append(same_device)
        return GoldenResult(True, 0.0, "")

    def unmeasured(manifest):
        return replace(manifest, variants=tuple(replace(v, latency=()) for v in manifest.variants))

    paths = {change: color_bundle(f"{change is None}.edge", manifest=change) for change in (None, unmeasured)}
    monkeypatch.setattr(ClassifyTask, "compare", compare)
    for change, path in paths.items():
        with open_bundle(path) as bundle:
            (variant, *_) = bundle.manifest.variants
            made = runner.open_runner(bundle.graph(variant.graph), bundle.manifest, variant, 1)
            golden_check.check_golden(bundle, variant, made)
            made.close()
            gaps = golden_check.proof_gaps(bundle.manifest, variant)
            assert any("has not run where it was made" in gap for gap in gaps) == (change is unmeasured)
    assert seen == [True, False]
