"""A box is as good as its news."""

import pytest

from edgevision.evaluate.page.compared import compared
from edgevision.evaluate.statistics.paired import PairedComparison


@pytest.mark.parametrize(
    ("interval", "tone"), [((-8.0, 48.0), "plain"), ((-8.0, -2.0), "good"), ((0.5, 3.0), "bad"), ((0.0, 1.0), "plain")]
)
def test_tones(interval, tone):
    paired = PairedComparison(
        n=50,
        reference=90.0,
        value=88.0,
        drop=sum(interval) / 2,
        lost=None,
        gained=None,
        interval=interval,
        confidence=0.95,
    )
    (box,) = compared(paired, "int8", "float")
    assert box.tone == tone
    assert box.text == paired.sentence("int8", "float")


def test_one_model_is_compared_with_nothing():
    assert compared(None, "int8", "int8") == ()
