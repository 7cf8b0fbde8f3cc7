"""What people pass to predict and load: one table of what is taken, one of what is refused with its cure."""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from colors import plain

import edgevision as ev
from edgevision.decode import inputs
from edgevision.errors import EdgeVisionError, ImageError, InputError

RGB = (10, 200, 90)
IMAGE = plain(RGB, 24, 32)  # H×W×3 uint8 BGR
PNG = bytes(cv2.imencode(".png", IMAGE)[1])


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(color_bundle: Any) -> Any:
    with ev.load(color_bundle()) as loaded:
        yield loaded


def pillow(mode: str, **options: Any) -> Any:
    from PIL import Image

    return Image.new("RGB", (32, 24), RGB).convert(mode, **options)


def torch_tensor(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


def saved(folder: Path) -> Path:
    path = folder / "tray.png"
    path.write_bytes(PNG)
    return path


def needs(case: Callable[[Path], object], *names: str) -> Any:
    return pytest.param(case, marks=pytest.mark.requires(*names))


# Each makes one picture of IMAGE.
ONE: list[Any] = [
    lambda folder: IMAGE,
    lambda folder: np.asfortranarray(IMAGE),
    lambda folder: np.repeat(IMAGE, 2, axis=1)[:, ::2],
    saved,
    lambda folder: str(saved(folder)),
    lambda folder: PNG,
    lambda folder: bytearray(PNG),
    lambda folder: memoryview(PNG),
    lambda folder: memoryview(np.frombuffer(PNG, np.uint8)),
    lambda folder: io.BytesIO(PNG),
    lambda folder: io.BufferedReader(io.BytesIO(PNG)),
    lambda folder: ev.Frame.from_array(IMAGE),
    lambda folder: ev.Frame.from_array(IMAGE[..., ::-1], format="rgb"),
    lambda folder: ev.Frame.from_array(cv2.cvtColor(IMAGE, cv2.COLOR_BGR2BGRA), format="BGRA"),
    lambda folder: ev.Frame([IMAGE], np.int64(24), np.int32(32), "bgr", "bt601-full", "host"),
    needs(lambda folder: pillow("RGB"), "pillow"),
    needs(lambda folder: pillow("RGBA"), "pillow"),
    needs(lambda folder: pillow("P", palette=1, colors=8), "pillow"),
    needs(lambda folder: torch_tensor(IMAGE), "torch"),
    needs(lambda folder: torch_tensor(IMAGE.transpose(2, 0, 1)).permute(1, 2, 0), "torch"),
]

# Each makes three pictures of IMAGE.
THREE: list[Any] = [
    lambda: [IMAGE] * 3,
    lambda: (IMAGE, PNG, io.BytesIO(PNG)),
    lambda: deque([IMAGE] * 3),
    lambda: (IMAGE for _ in range(3)),
    lambda: iter([IMAGE, PNG, ev.Frame.from_array(IMAGE)]),
    lambda: map(np.copy, [IMAGE] * 3),
    {1: IMAGE, 2: IMAGE, 3: PNG}.values,
    lambda: np.stack([IMAGE] * 3),
    needs(lambda: torch_tensor(np.stack([IMAGE] * 3)), "torch"),
]


@pytest.mark.parametrize("make", ONE)
def test_one_picture(model: Any, make: Callable[[Path], object], tmp_path: Path) -> None:
    expected = model.predict(IMAGE).top
    assert model.predict(make(tmp_path)).top == expected
    assert [result.top for result in model.predict([make(tmp_path), IMAGE])] == [expected] * 2


@pytest.mark.parametrize("make", THREE)
def test_several_pictures(model: Any, make: Callable[[], object]) -> None:
    results = model.predict(make())
    assert isinstance(results, list)
    assert [result.top for result in results] == [model.predict(IMAGE).top] * 3


def test_a_generator_is_taken_batch_by_batch(color_bundle: Any) -> None:
    """Frames of earlier batches are given back before the next ones are asked for."""
    alive: list[Any] = []

    def frames() -> Any:
        import weakref

        for _ in range(40):
            frame = ev.Frame.from_array(IMAGE.copy())
            alive.append(weakref.ref(frame))
            assert sum(one() is not None for one in alive) <= 2 * 4
            yield frame

    with ev.load(color_bundle(), max_batch=4) as model:
        assert len(model.predict(frames())) == 40


def test_an_error_of_the_generator_itself_comes_through(model: Any) -> None:
    def frames() -> Any:
        yield IMAGE
        raise OSError("the camera is gone")

    with pytest.raises(OSError, match="the camera is gone"):
        model.predict(frames())


class GpuArray:
    """As cupy's and jax's: a shape and a type, and iteration over rows."""

    shape, dtype = (24, 32, 3), "uint8"

    def __iter__(self) -> Any:
        yield from IMAGE


async def read_later() -> bytes:
    return PNG


class Upload:
    """As FastAPI's UploadFile: its read must be awaited."""

    def read(self, size: int = -1) -> Any:
        return read_later()


def read_to_its_end() -> io.BytesIO:
    file = io.BytesIO(PNG)
    file.read()
    return file


BASE64 = base64.b64encode(PNG * 50).decode()

REFUSED: list[Any] = [
    (lambda folder: None, r"got None; cv2\.imread"),
    (lambda folder: 3.5, "got float"),
    (lambda folder: True, "got bool"),
    (lambda folder: (True, IMAGE), r"ok, frame = cap\.read\(\)"),
    (lambda folder: (np.True_, IMAGE), r"ok, frame = cap\.read\(\)"),
    (lambda folder: (False, None), r"ok, frame = cap\.read\(\)"),
    (lambda folder: IMAGE.transpose(2, 0, 1), r"x\.transpose\(1, 2, 0\)"),
    (lambda folder: IMAGE / 255, r"\(x \* 255\)\.round\(\)"),
    (lambda folder: IMAGE.astype(np.float32), r"values 0…255 become x\.round\(\)"),
    (lambda folder: np.full((4, 4, 3), np.nan), "values 0…1"),
    (lambda folder: IMAGE.astype(np.uint16), "// 257"),
    (lambda folder: IMAGE.astype(np.int64), r"x\.astype\('uint8'\)"),
    (lambda folder: IMAGE > 100, "a mask is no picture"),
    (lambda folder: IMAGE[..., 0], r"Frame\.from_array\(x, format='gray'\)"),
    (lambda folder: IMAGE[..., :1], r"Frame\.from_array\(x\[\.\.\., 0\], format='gray'\)"),
    (lambda folder: IMAGE[..., :2], r"Frame\.from_array\(x, format='yuyv'\)"),
    (lambda folder: IMAGE[..., [0, 1, 2, 0]], r"Frame\.from_array\(x, format='bgra'\)"),
    (lambda folder: np.frombuffer(PNG, np.uint8), r"x\.tobytes\(\)"),
    (lambda folder: np.zeros((0, 4, 3), np.uint8), "no pixels"),
    (lambda folder: np.array([IMAGE, None], object), "pass a list of pictures"),
    (lambda folder: np.stack([IMAGE] * 2).transpose(0, 3, 1, 2), r"x\.transpose\(0, 2, 3, 1\)"),
    (lambda folder: np.zeros((1, 1, 4, 4, 3), np.uint8), "a batch N×H×W×3"),
    (lambda folder: np.stack([IMAGE] * 2) / 255, r"\(x \* 255\)\.round\(\)"),
    (lambda folder: [[IMAGE]], "^item 0: .*a list within a list"),
    (lambda folder: (picture for picture in [IMAGE, None]), "^item 1: .*got None"),
    (lambda folder: np.stack([IMAGE] * 2) / 255, "^item 0: "),
    (lambda folder: IMAGE.tolist(), "a list within a list"),
    (lambda folder: {"a": IMAGE}, "a dict; pass a list"),
    (lambda folder: {PNG}, "a set; pass a list"),
    (lambda folder: GpuArray(), r"GpuArray; pass numpy\.asarray"),
    (lambda folder: folder / "missing.jpg", r"missing\.jpg: no such file"),
    (lambda folder: folder, "got a folder"),
    (lambda folder: "x" * 5000, "a text of 5000 characters"),
    (lambda folder: "a" * 300 + ".jpg", r"… .*\(304 characters\)"),
    (lambda folder: "data:image/png;base64," + BASE64, r"data URL .*base64\.b64decode\(x\.partition"),
    (lambda folder: BASE64, r"base64\.b64decode\(x\)"),
    (lambda folder: BASE64.encode(), r"base64\.b64decode"),
    (lambda folder: "https://shop.example/tray.jpg", "fetch the picture"),
    (lambda folder: b"<!DOCTYPE html><html>", "a web page"),
    (lambda folder: b"", "no bytes"),
    (lambda folder: b"no picture", "image: not a JPEG"),
    (lambda folder: io.StringIO("tray"), "mode 'rb'"),
    (lambda folder: io.TextIOWrapper(io.BytesIO(PNG)), "mode 'rb'"),
    (lambda folder: Upload(), "got coroutine; pass the bytes, once awaited"),
    (lambda folder: read_to_its_end(), r"file\.seek\(0\)"),
    (lambda folder: io.BytesIO(), "gives no bytes"),
    (needs(lambda folder: pillow("F"), "pillow"), "convert it to mode RGB"),
    (needs(lambda folder: torch_tensor(IMAGE.transpose(2, 0, 1)), "torch"), r"x\.permute\(1, 2, 0\)"),
    (needs(lambda folder: torch_tensor(IMAGE / 255), "torch"), r"\(x \* 255\)\.round\(\)\.clip\(0, 255\)\.byte\(\)"),
    (needs(lambda folder: torch_tensor(IMAGE.astype(np.float32)), "torch"), r"x\.round\(\)\.clip\(0, 255\)\.byte\(\)"),
    (needs(lambda folder: torch_tensor(IMAGE.astype(np.int64)), "torch"), r"pass x\.byte\(\)$"),
    (needs(lambda folder: torch_tensor(IMAGE > 100), "torch"), r"\(x \* 255\)\.byte\(\)"),
    (needs(lambda folder: torch_tensor(IMAGE[..., 0]), "torch"), r"from_array\(x\.numpy\(\), format='gray'\)"),
    (needs(lambda folder: torch_tensor(IMAGE[..., :1]), "torch"), r"from_array\(x\.numpy\(\)\[\.\.\., 0\], format='gray'"),
    (needs(lambda folder: torch_tensor(IMAGE[..., :2]), "torch"), r"from_array\(x\.numpy\(\), format='yuyv'\)"),
    (needs(lambda folder: torch_tensor(IMAGE[..., [0, 1, 2, 0]]), "torch"), r"x\.numpy\(\), format='bgra'\), its alpha"),
    (needs(lambda folder: torch_tensor(np.frombuffer(bytearray(PNG), np.uint8)), "torch"), r"pass x\.numpy\(\)\.tobytes\(\)"),
    (needs(lambda folder: torch_tensor(np.zeros((1, 1, 4, 4, 3), np.uint8)), "torch"), "a batch N×H×W×3"),
    (needs(lambda folder: torch_tensor(IMAGE).to("meta"), "torch"), r"on meta; pass x\.cpu\(\)"),
    (needs(lambda folder: torch_tensor(np.stack([IMAGE] * 2)).permute(0, 3, 1, 2), "torch"), r"x\.permute\(0, 2, 3, 1\)"),
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(make.values[0], message, marks=make.marks) if hasattr(make, "marks") else (make, message)
        for make, message in REFUSED
    ],
)
def test_what_is_no_picture_gets_the_cure(
    model: Any, make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        model.predict(make(tmp_path))
    assert len(str(caught.value)) < 500
    assert len(str(caught.value).splitlines()) <= 2
    assert model.predict(IMAGE).top  # nothing is left over


def test_no_pictures_give_no_results(model: Any) -> None:
    for nothing in ([], (), iter(()), np.zeros((0, 24, 32, 3), np.uint8)):
        assert model.predict(nothing) == []


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_taken_as_its_file_is(orientation: int) -> None:
    from PIL import Image

    values = np.random.default_rng(1).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    tags = Image.Exif()
    tags[274] = orientation
    data = io.BytesIO()
    Image.fromarray(values).save(data, "PNG", exif=tags)
    frame = inputs.to_frame(Image.open(data))
    np.testing.assert_array_equal(frame.planes[0], inputs.to_frame(data.getvalue()).planes[0])


@pytest.mark.requires("pillow")
@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGBA", "RGB", "CMYK"])
def test_every_mode_of_pillow_is_taken_as_its_file_is(mode: str) -> None:
    from PIL import Image

    values = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    image = Image.fromarray(values[..., 0].astype(np.uint16) * 251) if mode == "I;16" else image.convert(mode)
    data = io.BytesIO()
    image.save(data, "TIFF" if mode == "CMYK" else "PNG")
    expected = inputs.to_frame(data.getvalue()).planes[0].astype(int)
    assert np.abs(inputs.to_frame(image).planes[0] - expected).max() <= (1 if mode == "CMYK" else 0)


@pytest.mark.requires("pillow")
def test_a_pillow_image_of_a_cut_file_is_refused() -> None:
    from PIL import Image

    values = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    data = bytes(cv2.imencode(".jpg", values)[1])
    with pytest.raises(ImageError, match="cannot be read"):
        inputs.to_frame(Image.open(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.requires("pillow")
def test_the_limit_of_memory_is_loads_or_that_of_one_call(color_bundle: Any) -> None:
    with ev.load(color_bundle(), max_decode_bytes=4000) as model:
        for picture in (PNG, io.BytesIO(PNG), pillow("RGB"), [PNG]):
            with pytest.raises(ImageError, match="raise max_decode_bytes"):
                model.predict(picture)
        assert model.predict([PNG, io.BytesIO(PNG), pillow("RGB")], max_decode_bytes=1_000_000)
        assert model.predict(IMAGE)  # arrays are not decoded
        with pytest.raises(InputError, match="max_decode_bytes is a whole number"):
            model.predict(PNG, max_decode_bytes=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGE, 24, 32), "for one write"),
        (((IMAGE.tolist(),), 24, 32), "uint8 arrays, got list"),
        (((IMAGE,), 24, 32, "brg"), r"format is one of \['bgr', .*got 'brg'"),
        (((IMAGE,), 24, 32, None), "format is one of"),
        (((IMAGE,), 24, 32, "bgr", "bt2020"), "encoding is one of"),
        (((IMAGE,), 24.0, 32), "height is a whole number"),
        (((IMAGE,), "24", 32), "height is a whole number"),
        (((IMAGE / 255,), 24, 32), "scale to 0…255"),
    ],
)
def test_frames_say_what_they_are_made_of(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ev.Frame(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "a"}, "threshold is a finite number, got 'a'"),
        ({"threshold": [0.5]}, "threshold is a finite number"),
        ({"threads": "2"}, "threads is a whole number, at least 1, got '2'"),
        ({"threads": True}, "threads is a whole number"),
        ({"max_batch": 1.5}, "max_batch is a whole number"),
        ({"max_decode_bytes": -1}, "max_decode_bytes is a whole number"),
        ({"trust_engines": "false"}, "trust_engines is True or False, got 'false'"),
        ({"self_test": None}, "self_test is True or False"),
        ({"engine": ["openvino"]}, "engine is a name"),
        ({"variant": 0}, "variant is a name"),
        ({"parameters": [("top", 1)]}, "parameters are the task's by name"),
    ],
)
def test_arguments_of_load_that_have_no_meaning(color_bundle: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ev.load(color_bundle(), **arguments)


def test_numbers_of_numpy_are_numbers(color_bundle: Any) -> None:
    options = {"threads": np.int64(1), "max_batch": np.uint8(2), "threshold": np.float32(0.5), "self_test": np.True_}
    with ev.load(color_bundle(), **options) as model:
        assert (model.threads, model.threshold) == (1, 0.5)
        assert [result.timing.batch for result in model.predict([IMAGE] * 3)] == [2, 2, 1]


@pytest.mark.parametrize("kind", [bytearray, memoryview, io.BytesIO])
def test_bundles_load_from_memory_of_any_kind(color_bundle: Any, kind: Callable[[bytes], object]) -> None:
    with ev.load(kind(color_bundle().read_bytes())) as model:  # type: ignore[arg-type]
        assert model.predict(IMAGE).top


def test_a_bundle_loads_from_an_open_file(color_bundle: Any) -> None:
    with color_bundle().open("rb") as file, ev.load(file) as model:
        assert model.predict(IMAGE).top


@pytest.mark.parametrize("source", [None, 3, IMAGE, ["a.edge"], io.StringIO("a")])
def test_what_is_no_bundle(source: object) -> None:
    with pytest.raises(EdgeVisionError, match=r"the path of a \.edge file, its bytes"):
        ev.load(source)  # type: ignore[arg-type]


class Drip:
    """A pipe: gives what has come so far, never all that was asked for."""

    def __init__(self, data):
        self.data, self.asked = data, []

    def read(self, size=-1):
        self.asked.append(size)
        piece, self.data = self.data[: min(size, 700)], self.data[min(size, 700) :]
        return piece


@pytest.mark.parametrize("limit", [10**6, 10**12, 2**63 - 1])
def test_open_files_are_read_in_pieces_to_their_end(limit):
    """What a file is asked for at once, it allocates at once."""
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    drip = Drip(cv2.imencode(".png", image)[1].tobytes())
    np.testing.assert_array_equal(inputs.to_frame(drip, limit).planes[0], image)
    assert max(drip.asked) <= 1 << 20
