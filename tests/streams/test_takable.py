"""Which choices are taken, by hand. Lower case: decoded; upper case: still to be decoded. A digit: the frame's number."""

from __future__ import annotations

import pytest
from stream_frames import Pictures, captured

from edgevision.streams.policy import Choice, Decision
from edgevision.streams.takable import given_up, takable

pictures = Pictures()


def choices(text: str) -> tuple[Choice, ...]:
    """``a0 B1``: frame 0 of camera a, which is decoded, and frame 1 of camera b, which is not."""
    found = []
    for word in text.split():
        make = pictures.captured if word[0].isupper() else captured
        found.append(Choice(word[0].lower(), make(int(word[1:]), 0.0, camera=word[0].lower())))
    return tuple(found)


def text(found) -> str:
    return " ".join(
        (one.camera.upper() if one.captured.must_be_decoded else one.camera) + str(one.captured.sequence)
        for one in found
    )


@pytest.mark.parametrize(
    ("batch", "decodable", "only_encoded", "taken"),
    [
        ("a0 b0 c0", 0, False, "a0 b0 c0"),
        ("A0 b0 C0", 2, False, "A0 b0 C0"),
        ("A0 b0 C0", 1, False, "A0 b0"),  # one thread
        ("A0 b0 C0", 0, False, "b0"),
        ("A0 b0 C0", 2, True, "A0 C0"),  # the model is busy
        ("A0 A1 B0", 3, False, "A0 B0"),  # one of each camera
        ("A0 a1 b0", 0, False, "b0"),  # no frame before an older one of its camera
        ("a0 A1 a2", 1, False, "a0 A1 a2"),
        ("a0 A1", 1, True, ""),
    ],
)
def test_what_is_taken(batch, decodable, only_encoded, taken):
    assert text(takable(Decision(choices(batch)), decodable, only_encoded=only_encoded)) == taken


@pytest.mark.parametrize(
    ("batch", "expired", "taken", "gone"),
    [
        ("A3 b0", "A1 A2 c0", 2, "A1 A2 c0"),  # all is taken
        ("A3 b0", "A1 A2 c0", 0, "c0"),  # what had to go before A3 stays with it
        ("A3 A5", "A2 A4", 1, "A2"),  # of these A5 stays, and with it A4
    ],
)
def test_what_is_given_up(batch, expired, taken, gone):
    decision = Decision(choices(batch), choices(expired))
    chosen = takable(decision, taken, only_encoded=True)
    assert text(given_up(decision, chosen)) == gone
