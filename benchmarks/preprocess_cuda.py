"""Our CUDA kernel against the bandwidth of the device's memory, and against torchvision and CV-CUDA on the same device.

    python -m benchmarks.preprocess_cuda            # writes results/preprocess_cuda.json
    python -m benchmarks.preprocess_cuda --json     # prints it instead

Needs a GPU, cuda-bindings, and PyTorch with CUDA, which holds the memory and copies for comparison. 32 NV12 frames that
are in device memory already become one float32 NCHW batch, letterboxed.

*Share of the copy bandwidth*: the bytes that have to move (distinct 32-byte sectors of the planes that any tap touches,
and every byte of the tensors) over the time of the kernel alone, as a share of what a copy of 1 GiB from device memory to
device memory moves, bytes read and bytes written. Frames and tensors are several times the second-level cache. Times are
medians over groups of launches between two events. *Submit* is the whole call from Python until the tensors are there.

The peers have less to do: torchvision starts from RGB, because it reads no NV12, and neither adds the padding. Each
candidate's tensor is compared with ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import write_result
from edgevision.cuda.driver import CudaBindings
from edgevision.frames import Frame, MemoryKind, PixelFormat
from edgevision.machine import package_versions
from edgevision.preprocess import Fit, Plan, Preprocessor, PreprocessSpec, make_plan
from edgevision.preprocess.cuda import CudaPreprocessor
from edgevision.preprocess.reference import reference

PACKAGES = ("edgevision", "cuda-bindings", "torch", "torchvision", "cvcuda-cu12", "cvcuda-cu13")
BATCH = 32
SOURCES = ((1080, 1920), (1944, 2592))  # height, width
SPEC = PreprocessSpec(640, 640, Fit.LETTERBOX)
GOAL = 0.8  # of the copy bandwidth
SECTOR = 32  # bytes: the least that device memory gives
GROUPS, LAUNCHES = 30, 20
COPY_BYTES = 1 << 30
PEER_TOLERANCE = 2.5 / 255  # grey levels: peers round to bytes once or twice on the way


def main() -> None:
    """Measure both sources, print, write."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--json", action="store_true", help="print the result as JSON, and write nothing")
    arguments = p.parse_args()
    import torch

    if not torch.cuda.is_available():
        p.error("needs a CUDA device and a PyTorch that has CUDA")
    copy = copy_bandwidth()
    result = {
        "device": torch.cuda.get_device_name(),
        "versions": package_versions(PACKAGES),
        "cuda_driver": CudaBindings(0).version(),
        "copy_bytes_per_s": copy,
        "cases": [measure(height, width, copy) for height, width in SOURCES],
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print_table(result)
    print(f"wrote {write_result('preprocess_cuda', result)}")


def moved_bytes(plan: Plan, pitches: list[int]) -> tuple[int, int]:
    """Bytes that one NV12 frame has to move: in distinct sectors read, and in the tensor. Planes begin at a sector."""
    rows, columns = (_pixels(axis) for axis in (plan.native.rows, plan.native.columns))
    luma = _sectors(rows, columns, pitches[0])
    chroma = _sectors(np.unique(rows // 2), np.unique(columns // 2 * 2), pitches[1])  # Cb and Cr lie in one sector
    tensor = int(np.prod(plan.spec.tensor_shape)) * np.dtype(plan.spec.dtype.value).itemsize
    return (luma + chroma) * SECTOR, tensor


def _pixels(axis: Any) -> npt.NDArray[np.int64]:
    """Source pixels of an axis that any output is made of, each once."""
    first = np.frombuffer(axis["first"], np.int32).astype(np.int64)
    return np.unique(first[:, None] + np.arange(axis["taps"]))


def _sectors(rows: npt.NDArray[np.int64], bytes_: npt.NDArray[np.int64], pitch: int) -> int:
    return len(np.unique((rows[:, None] * pitch + bytes_) // SECTOR))


class LaunchRecorder:
    """A driver that remembers its last launch, so that the kernel can be launched again by itself."""

    def __init__(self, driver: CudaBindings) -> None:
        self._driver = driver
        self.last: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def launch(self, *arguments: Any) -> None:
        """As the driver's."""
        self.last = arguments
        self._driver.launch(*arguments)


@dataclass(frozen=True)
class Frames:
    """The same pictures for each candidate."""

    host: list[Frame]
    device: list[Frame]
    nv12: Any  # torch uint8 [N, 3H/2, W]: both planes of each frame, one after the other
    rgb: Any  # torch uint8 [N, 3, H, W]


def make_frames(height: int, width: int) -> Frames:
    """Smooth random pictures: peers filter alike where neighbours are alike."""
    import torch

    rng = np.random.default_rng(height)
    small = torch.from_numpy(rng.integers(16, 236, (BATCH, 1, height // 24, width // 24)).astype(np.float32))
    resize = torch.nn.functional.interpolate
    nv12 = resize(small, (height * 3 // 2, width), mode="bilinear")[:, 0].round().to(torch.uint8).cuda()
    host, device = [], []
    for both in nv12:
        planes = (both[:height], both[height:].view(height // 2, width // 2, 2))
        device.append(Frame(planes, height, width, PixelFormat.NV12, memory=MemoryKind.CUDA))
        host.append(Frame(tuple(plane.cpu().numpy() for plane in planes), height, width, PixelFormat.NV12))
    return Frames(host, device, nv12, rgb_of(nv12, height))


def rgb_of(nv12: Any, height: int) -> Any:
    """BT.601 limited, rounded to bytes."""
    import torch

    count, _, width = nv12.shape
    y = (nv12[:, :height].float() - 16).clamp(min=0) * (255 / 219)
    chroma = nv12[:, height:].reshape(count, height // 2, width // 2, 2).float() - 128
    chroma = chroma.repeat_interleave(2, 1).repeat_interleave(2, 2) * (255 / 224)
    cb, cr = chroma[..., 0], chroma[..., 1]
    planes = (y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb)
    return torch.stack(planes, 1).clamp(0, 255).round().to(torch.uint8)


def measure(height: int, width: int, copy: float) -> dict[str, Any]:
    """One size of frame: ours, checked and measured, and each peer that is installed."""
    import torch

    frames = make_frames(height, width)
    plan = make_plan(SPEC, height, width, PixelFormat.NV12)
    at = plan.placement
    read, written = moved_bytes(plan, [plane.stride(0) for plane in frames.device[0].planes])
    out = torch.empty((BATCH, *SPEC.tensor_shape), device="cuda")
    stream = torch.cuda.current_stream()
    driver = LaunchRecorder(CudaBindings(0))
    with CudaPreprocessor(SPEC, stream=stream, max_batch=BATCH, driver=driver) as prepare:
        out.fill_(float("nan"))
        prepare.submit(frames.device, out=out).synchronize()
        check_bits(frames.host, out)
        kernel = group_seconds(lambda: driver.launch(*driver.last))
        submit = [wall_seconds(lambda: prepare.submit(frames.device, out=out).synchronize()) for _ in range(GROUPS)]
        uploaded = [wall_seconds(lambda: prepare.submit(frames.host, out=out).synchronize()) for _ in range(GROUPS)]
    bytes_ = BATCH * (read + written)
    picture = out[:, :, at.top : at.top + at.height, at.left : at.left + at.width]
    peers = {}
    for name, chain in {"torchvision": torchvision_chain, "cv-cuda": cvcuda_chain}.items():
        peers[name] = measure_peer(lambda chain=chain: chain(frames, at.height, at.width), picture, kernel)  # type: ignore[misc]
    return {
        "source": [height, width], "target": [SPEC.height, SPEC.width], "batch": BATCH,
        "bytes_read": BATCH * read, "bytes_written": BATCH * written, "kernel_s": kernel,
        "share_of_copy_bandwidth": bytes_ / statistics.median(kernel) / copy, "goal": GOAL,
        "submit_s": submit, "submit_from_host_s": uploaded, "peers": peers,
    }  # fmt: skip


def check_bits(frames: list[Frame], out: Any) -> None:
    """Stop unless ours is the CPU's to the last bit, and close to the float64 reference."""
    wanted = Preprocessor(SPEC).batch(frames)
    if not np.array_equal(out.cpu().numpy().view(np.uint32), wanted.view(np.uint32)):
        raise SystemExit("the device's tensors differ from the CPU's: run pytest tests/gpu")
    worst = float(np.abs(wanted[0] - reference(SPEC, frames[0])).max()) * SPEC.std[0]
    if worst > 5e-4:
        raise SystemExit(f"expected tensors within 5e-4 grey levels of the float64 reference, got {worst}")


def measure_peer(chain: Callable[[], Any], ours: Any, kernel: list[float]) -> dict[str, Any]:
    """Its seconds and how many times ours is quicker, or why it was not measured."""
    try:
        difference = float((chain() - ours).abs().mean())
    except Exception as error:  # a peer that is missing, or has another interface, is no reason to stop
        return {"left_out": f"{type(error).__name__}: {error}"}
    if not difference < PEER_TOLERANCE:
        return {"left_out": f"its tensors differ from ours by {difference * 255:.1f} grey levels on average"}
    seconds = group_seconds(chain)
    ratio = statistics.median(seconds) / statistics.median(kernel)
    return {"seconds": seconds, "times_ours": ratio, "mean_difference": difference}


def torchvision_chain(frames: Frames, height: int, width: int) -> Any:
    """From RGB bytes; without padding."""
    from torchvision.transforms.v2 import functional

    return functional.resize(frames.rgb, [height, width], antialias=False).float().div_(255)


def cvcuda_chain(frames: Frames, height: int, width: int) -> Any:
    """From NV12; without padding."""
    import cvcuda
    import torch

    nv12 = cvcuda.as_tensor(frames.nv12.unsqueeze(-1), "NHWC")
    rgb = cvcuda.cvtcolor(nv12, cvcuda.ColorConversion.YUV2RGB_NV12)
    small = cvcuda.resize(rgb, (BATCH, height, width, 3), cvcuda.Interp.LINEAR)
    floats = cvcuda.convertto(small, np.float32, 1 / 255)
    return torch.as_tensor(cvcuda.reformat(floats, "NCHW").cuda(), device="cuda")


def copy_bandwidth() -> float:
    """Bytes read and written in a second by a copy within device memory."""
    import torch

    source = torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / statistics.median(group_seconds(lambda: target.copy_(source)))


def group_seconds(call: Callable[[], Any]) -> list[float]:
    """Seconds of one ``call`` on the current stream, in each of GROUPS groups of LAUNCHES."""
    import torch

    for _ in range(LAUNCHES):
        call()
    seconds = []
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    for _ in range(GROUPS):
        start.record()
        for _ in range(LAUNCHES):
            call()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3 / LAUNCHES)
    return seconds


def wall_seconds(call: Callable[[], Any]) -> float:
    """Seconds until ``call`` returns."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def print_table(result: dict[str, Any]) -> None:
    """What was measured, one line for each candidate."""
    copy = result["copy_bytes_per_s"]
    print(f"{result['device']}, driver of CUDA {result['cuda_driver'] / 1000:.2f}; a copy moves {copy / 1e9:.0f} GB/s")
    for case in result["cases"]:
        height, width = case["source"]
        share, kernel = case["share_of_copy_bandwidth"], statistics.median(case["kernel_s"])
        moved = (case["bytes_read"] + case["bytes_written"]) / 1e6
        print(
            f"\n{case['batch']} NV12 frames {width}×{height} → {case['target'][1]}×{case['target'][0]}, {moved:.0f} MB"
        )
        verdict = "met" if share >= case["goal"] else "missed"
        print(
            f"  kernel       {kernel * 1e6:8.1f} µs  {share:.0%} of the copy bandwidth (goal {case['goal']:.0%}: {verdict})"
        )
        for name, key in (("submit", "submit_s"), ("from host", "submit_from_host_s")):
            print(
                f"  {name:12} {statistics.median(case[key]) * 1e6:8.1f} µs  until the tensors are there, Python included"
            )
        for name, peer in case["peers"].items():
            if "left_out" in peer:
                print(f"  {name:12} left out: {peer['left_out']}")
            else:
                print(f"  {name:12} {statistics.median(peer['seconds']) * 1e6:8.1f} µs  {peer['times_ours']:.1f}× ours")


if __name__ == "__main__":
    main()
