from collections.abc import Iterator

import cv2
import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """The renderer's many small steps are quicker on one thread, the more so on a busy machine."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)
