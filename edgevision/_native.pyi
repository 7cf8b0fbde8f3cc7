"""What kernels/ offers to Python."""

from typing import Any, TypedDict

__version__: str

def cpu_features() -> list[str]: ...
def available_loops() -> list[str]: ...

# The verdict, MCUs read, MCUs of the picture, MCUs of a row: edgevision/decode/jpeg.py.
def scan_jpeg(data: bytes) -> tuple[str, int, int, int]: ...

class AxisTables(TypedDict):
    first: bytes  # int32 [count]
    weight: bytes  # float32 [count, stride]
    taps: int
    stride: int
    knot: bytes  # int32 [pieces + 1]; empty where pieces is 0
    pieces: int
    low: int
    high: int

class Plan:
    def __init__(
        self,
        *,
        size: tuple[int, int],
        placement: tuple[int, int, int, int],  # height, width, top, left: see geometry.Placement
        filter: str,
        color: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        pad_value: float,
        layout: str,
        dtype: str,
        frame: tuple[int, int],
        format: str,
        encoding: str,
        region: tuple[int, ...],
        loops: str = "",
    ) -> None: ...
    def run(self, planes: tuple[Any, ...], out: Any, prepared: int = 0, threads: int = 1) -> None: ...
    def prepare(self, out: Any) -> int: ...
    @property
    def loops(self) -> str: ...
    @property
    def rows(self) -> AxisTables: ...
    @property
    def columns(self) -> AxisTables: ...

# For the CUDA kernel: edgevision/preprocess/cuda.py.
CUDA_JOB_BYTES: int
CUDA_TILE: tuple[int, int]  # columns and rows of the tensor to a block
CUDA_BLOCK: tuple[int, int]  # threads of a block

def cuda_tables(plan: Plan) -> bytes: ...
def cuda_job(plan: Plan, planes: list[tuple[int, int]], tables: int, out: int) -> bytes: ...
def run_batch(items: list[tuple[Plan, tuple[Any, ...], Any, int]], threads: int = 1) -> None: ...

# Each writes into its last arguments and returns -1, or where the input is refused: edgevision/tasks/postprocess.py.
def nms(
    boxes: Any, scores: Any, classes: Any | None, iou_threshold: float, score_threshold: float, kept: Any, counts: Any
) -> int: ...
def softmax(logits: Any, temperature: float, out: Any) -> int: ...
def top_k(scores: Any, indices: Any, values: Any) -> int: ...

# Rows of float32 numbers with an int8 copy: edgevision/gallery/index. Each array is C-contiguous.
def available_scans() -> list[str]: ...

class CodedRows:
    # table float32 [n, d], centre float32 [d]; block b holds the rows places[offsets[b]:offsets[b + 1]], int64
    def __init__(self, table: Any, centre: Any, offsets: Any, places: Any, scan: str = "") -> None: ...
    # table: the rows there are, and more; blocks int64: where each of the others goes
    def extended(self, table: Any, blocks: Any) -> CodedRows: ...
    # queries float32 [q, d]; allowed bool [n]; blocks int64 [q, m]; writes places int64 and similarities float32 [q, k]
    # and returns -1, or the first query that is not of length 1
    def search(self, queries: Any, allowed: Any | None, blocks: Any | None, places: Any, similarities: Any) -> int: ...
    @property
    def block_rows(self) -> list[int]: ...
    @property
    def bytes(self) -> int: ...
    @property
    def scan(self) -> str: ...
