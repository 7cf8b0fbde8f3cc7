"""What `benchmarks.preprocess` measures: the cases, the goals set for them, and the frames they read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame, PixelFormat
from edgevision.preprocess import Filter, Fit, PreprocessSpec
from edgevision.preprocess.geometry import Placement, place, taps

Bytes = npt.NDArray[np.uint8]

SOURCES = ((1920, 1080), (1366, 768), (2592, 1944))  # width, height in pixels
TARGETS = {224: Fit.STRETCH, 640: Fit.LETTERBOX}
# One mean and one std for all channels: blobFromImage knows no other scale, so nobody has to make up for it in a further
# pass. Our kernels take as long with three of each.
MEAN, STD, PAD = 127.0, 128.0, 114.0
COLD_CACHES = 3  # a cold call reads a frame last read when this many caches' worth of other frames had passed
MAX_POOL_BYTES = 1 << 30


@dataclass(frozen=True)
class Case:
    """Frames of one size and format into float32 NCHW R, G, B of ``target``×``target`` pixels."""

    format: PixelFormat
    width: int
    height: int
    target: int
    filter: Filter

    @property
    def name(self) -> str:
        """As ``--only`` takes it: ``bgr-1920x1080-224-bilinear``."""
        return f"{self.format.value}-{self.width}x{self.height}-{self.target}-{self.filter.value}"

    @property
    def title(self) -> str:
        """For people."""
        kind = "" if self.filter is Filter.BILINEAR else ", antialiased"
        return f"{self.format.name} {self.width}×{self.height} → {self.target} {TARGETS[self.target].value}{kind}"

    @property
    def letterbox(self) -> bool:
        """Whether the tensor has padding, which a prepared slot holds already."""
        return TARGETS[self.target] is Fit.LETTERBOX

    @cached_property
    def spec(self) -> PreprocessSpec:
        """What every candidate computes."""
        fit = TARGETS[self.target]
        return PreprocessSpec(
            self.target, self.target, fit, self.filter, mean=(MEAN,) * 3, std=(STD,) * 3, pad_value=PAD
        )

    @cached_property
    def placement(self) -> Placement:
        """Where the resized picture lies in the tensor."""
        return place(self.spec, self.height, self.width)

    @cached_property
    def rows(self) -> list[npt.NDArray[np.int64]]:
        """For each plane of a frame, the rows whose pixels the tensor depends on, ascending."""
        axis = taps(self.height, self.placement.height, self.filter)
        output, tap = np.nonzero(axis.weights)
        needed = np.unique(axis.first[output] + tap)
        return [needed, np.unique(needed // 2)] if self.format is PixelFormat.NV12 else [needed]

    @property
    def bytes_needed(self) -> int:
        """Bytes of those rows, in whole rows."""
        row_bytes = self.width if self.format is PixelFormat.NV12 else 3 * self.width
        return row_bytes * sum(len(rows) for rows in self.rows)


CASES = tuple(
    Case(format, width, height, target, filter)
    for (width, height), (format, filter), target in itertools.product(
        SOURCES,
        (
            (PixelFormat.BGR, Filter.BILINEAR),
            (PixelFormat.BGR, Filter.TRIANGLE),
            (PixelFormat.NV12, Filter.BILINEAR),
        ),
        TARGETS,
    )
)

OURS = "EdgeVision"
PREPARED = "EdgeVision, prepared"
ONE_THREAD = "EdgeVision, 1 thread"
READ = "plain read"
BLOB = "OpenCV blobFromImage"
BLOB_REUSED = "OpenCV blob, reused"
PLANES = "OpenCV planes"
OPENCV_NUMPY = "OpenCV + NumPy"
TORCHVISION = "torchvision v2"
TORCH = "torch interpolate"
OPENVINO = "OpenVINO"
PILLOW = "Pillow + NumPy"


def main_chain(case: Case) -> str:
    """Which of ours every ratio is to: prepared slots where there is padding, as the engines use them."""
    return PREPARED if case.letterbox else OURS


@dataclass(frozen=True)
class Goal:
    """How many times as long as ``ours`` the quickest of ``peers`` should take: at least ``limit``.

    ``at_most``: the other way round, ours in units of the peer, and no more than ``limit``.
    """

    what: str
    peers: tuple[str, ...]
    ours: str
    limit: float
    at_most: bool = False


def goals(case: Case, threads: int, cold: bool) -> list[Goal]:
    """The goals of one measurement.

    A goal against OpenCV stands twice: against resize → copyMakeBorder → blobFromImage, for which it was set, and
    against the quickest chain of OpenCV calls that we could find. The antialiased filter has the goal that was set for
    float32 (1.3×) against the quickest of PyTorch, and the one for a fixed-point mode (2×) against torchvision itself.
    """
    ours = main_chain(case)
    if threads == 2:
        if case.target == 640 and case.filter is Filter.BILINEAR:
            return [Goal("two threads against one", (ONE_THREAD,), ours, 1.7)]
        return []
    if case.filter is Filter.TRIANGLE:
        return [
            Goal("against torchvision v2", (TORCHVISION,), ours, 2.0),
            Goal("against the quickest of PyTorch", (TORCHVISION, TORCH), ours, 1.3),
        ]
    limit = _against_opencv(case, cold)
    found = []
    if limit is not None:
        found = [
            Goal("against OpenCV's blob", (BLOB, BLOB_REUSED), ours, limit),
            Goal("against the quickest of OpenCV", (BLOB, BLOB_REUSED, PLANES, OPENCV_NUMPY), ours, limit),
        ]
    if cold and case.target == 224 and case.format is PixelFormat.BGR:
        found.append(Goal("in units of reading the rows", (READ,), ours, 1.2, at_most=True))
    return found


def _against_opencv(case: Case, cold: bool) -> float | None:
    if (case.width, case.height) != (1920, 1080):
        return 2.0
    if case.format is PixelFormat.NV12:
        return 5.0 if cold else None
    return {224: (2.5, 3.5), 640: (5.5, 6.5)}[case.target][cold]


def texture(height: int, width: int, seed: int) -> Bytes:
    """A picture with the spectrum of a camera's: noise of every scale, stronger the coarser, and a sensor's grain.

    uint8 [height, width, 3], B, G, R; the whole range is used.
    """
    import cv2

    rng = np.random.default_rng(seed)
    picture = rng.normal(0.0, 1.5, (height, width, 3)).astype(np.float32)
    scale = 4
    while scale <= width:
        coarse = rng.normal(0.0, 4.0 * scale**0.35, (-(-height // scale), -(-width // scale), 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        scale *= 3
    return np.asarray(np.clip(picture + 122.0, 0, 255), np.uint8)


def make_frames(cases: Sequence[Case]) -> list[Frame]:
    """Frames for cases of one source: as many as cold reading needs, all different, each in memory of its own."""
    import cv2

    format, width, height = cases[0].format, cases[0].width, cases[0].height
    planes = [texture(height, width, seed=width)]
    if format is PixelFormat.NV12:
        i420 = cv2.cvtColor(planes[0], cv2.COLOR_BGR2YUV_I420)
        chroma = i420[height:].reshape(2, height // 2, width // 2)
        planes = [i420[:height].copy(), np.ascontiguousarray(np.moveaxis(chroma, 0, 2))]
    count = -(-COLD_CACHES * cache_bytes() // min(case.bytes_needed for case in cases))
    count = max(2, min(count, MAX_POOL_BYTES // sum(plane.nbytes for plane in planes)))
    frames = []
    for index in range(count):
        down, right = 37 * index % (height // 2), 101 * index % (width // 2)  # in chroma samples where there are any
        step = 2 if format is PixelFormat.NV12 else 1
        shifts = [(down * step, right * step), (down, right)]
        moved = tuple(np.roll(plane, shift, axis=(0, 1)) for plane, shift in zip(planes, shifts, strict=False))
        frames.append(Frame(moved, height, width, format))
    return frames


def cache_bytes() -> int:
    """Size of the largest cache of this machine; 32 MiB where the system does not tell."""
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        if match := re.fullmatch(r"(\d+)([KM])", path.read_text().strip()):
            sizes.append(int(match[1]) << {"K": 10, "M": 20}[match[2]])
    return max(sizes) or 32 << 20
