"""Results of our tasks as answers that targets are compared by."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.targets.reading import answer_of
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.results import Timing


def test_a_vector_is_compared_by_its_numbers():
    vector = np.array([0.6, 0.8], np.float32)
    answer = answer_of(Embedding(vector, Timing(0, 0, 0)), ())
    assert answer.boxes is None
    np.testing.assert_array_equal(answer.tensors["embedding"], vector.astype(np.float64))


def test_a_result_of_no_known_task_is_refused():
    with pytest.raises(TypeError, match="result of type dict cannot be compared"):
        answer_of({}, ())
