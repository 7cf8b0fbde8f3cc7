from __future__ import annotations

import pytest

from edgevision.streams.decode_lead import DecodeLead


def test_without_anything_to_decode_nothing_is_taken_early():
    lead = DecodeLead()
    assert lead.take_s(5.0) is None
    lead.add(0.0)
    lead.add(0.0001)
    assert lead.take_s(5.0) is None


def test_it_follows_what_decoding_takes_and_forgets_it_where_none_is_needed_any_more():
    lead = DecodeLead()
    lead.add(0.008)
    assert lead.take_s(5.0) == pytest.approx(4.992)
    for _ in range(60):
        lead.add(0.016)
    assert lead.seconds == pytest.approx(0.016, rel=0.01)
    for _ in range(60):
        lead.add(0.0)
    assert lead.take_s(5.0) is None
