"""When a graph may be called int8."""

from __future__ import annotations

import pytest

from edgevision.compiler.variants import PrecisionCheck, VariantMeasurement


def check_of(confirmed: int, refuted: int = 0, missing: int = 0) -> PrecisionCheck:
    return PrecisionCheck(
        tuple(f"c{i}" for i in range(confirmed)),
        tuple((f"r{i}", "float32") for i in range(refuted)),
        tuple(f"m{i}" for i in range(missing)),
    )


@pytest.mark.parametrize(
    ("confirmed", "refuted", "missing", "holds"),
    [
        (1, 0, 0, True),
        (2, 1, 0, True),
        (3, 1, 1, True),
        (2, 1, 1, False),  # half are not most
        (1, 1, 0, False),
        (1, 0, 1, False),  # what cannot be found is not confirmed
        (0, 0, 0, False),  # it claims nothing
        (0, 3, 0, False),
    ],
)
def test_most_of_what_is_written_in_int8_has_to_run_in_it(
    confirmed: int, refuted: int, missing: int, holds: bool
) -> None:
    check = check_of(confirmed, refuted, missing)
    assert check.claimed == confirmed + refuted + missing
    assert check.holds == holds
    one = VariantMeasurement("a", "int8", "onnxruntime", "float32", 1, precision_check=check)
    assert one.is_int8 == one.is_what_it_says == holds


def test_a_graph_that_claims_nothing_is_float_and_what_it_says() -> None:
    one = VariantMeasurement("a", "float", "onnxruntime", "float32", 1)
    assert not one.is_int8
    assert one.is_what_it_says


@pytest.mark.parametrize(
    ("check", "note"),
    [
        (check_of(4), ""),
        (check_of(4, 1), "1 of 5 layers written in int8 do not run in it: r0 (float32)"),
        (
            check_of(4, 3),
            "3 of 7 layers written in int8 do not run in it: r0 (float32), r1 (float32), r2 (float32)",
        ),
        (
            check_of(4, 4, 1),
            "4 of 9 layers written in int8 do not run in it: r0 (float32), r1 (float32), r2 (float32), …; "
            "1 of 9 int8 layers could not be found in what the engine runs",
        ),
        (check_of(4, 0, 2), "2 of 6 int8 layers could not be found in what the engine runs"),
    ],
)
def test_the_note_names_three_of_those_that_do_not(check: PrecisionCheck, note: str) -> None:
    assert check.note() == note
