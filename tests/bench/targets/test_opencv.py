"""What peers prepare with OpenCV, against the float64 reference of the preprocess spec."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.targets.opencv import OpenCvPreprocess, decode_jpeg, difference_of
from edgevision.bench.workload.rendered import encode_jpeg, picture
from edgevision.errors import ImageError
from edgevision.frames import Frame
from edgevision.preprocess.reference import reference_tensor
from edgevision.preprocess.spec import ColorOrder, Filter, Fit, Layout, PreprocessSpec, TensorDtype, preset

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.mark.parametrize("size", [(120, 90), (90, 120), (64, 64), (31, 200)])
@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(64, 64),
        preset("yolo", 64, 96),
        PreprocessSpec(48, 64, Fit.CROP, Filter.BILINEAR, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), crop_ratio=0.875),
        PreprocessSpec(64, 64, Fit.LETTERBOX, color=ColorOrder.BGR, mean=(127.0,) * 3, std=(128.0,) * 3, pad_value=0),
        PreprocessSpec(64, 48, Fit.LETTERBOX, color=ColorOrder.GRAY, mean=(10.0,), std=(20.0,)),
        PreprocessSpec(64, 64, layout=Layout.NHWC, mean=ZERO, std=ONE, dtype=TensorDtype.UINT8),
        PreprocessSpec(64, 64, mean=(128.0,) * 3, std=ONE, dtype=TensorDtype.INT8),
        PreprocessSpec(64, 64, dtype=TensorDtype.FLOAT16),
    ],
    ids=lambda spec: f"{spec.fit.value}-{spec.color.value}-{spec.layout.value}-{spec.dtype.value}",
)
def test_tensors_are_those_of_the_spec_but_for_rounding(spec, size):
    frames = [picture(*size, (3, number)) for number in range(2)]
    prepare = OpenCvPreprocess(spec)
    prepare.run(frames[::-1])  # what is kept from frame to frame must not be seen in the next
    tensor, views = prepare.run(frames)
    assert tensor.shape == (2, *spec.tensor_shape)
    assert tensor.dtype == spec.dtype.value
    for place, frame in enumerate(frames):
        expected = reference_tensor(spec, Frame.from_array(frame)).astype(np.float64)
        apart = np.abs(tensor[place].astype(np.float64) - expected) * min(spec.std)
        # OpenCV rounds the resized picture to uint8, with weights of 11 bits, and grey with its own weights.
        assert apart.max() <= 3.0
        assert apart.mean() <= 0.6
        assert (views[place].height, views[place].width) == frame.shape[:2]


def test_antialiased_specs_are_as_near_as_opencv_comes_and_it_is_said():
    spec = PreprocessSpec(32, 32, filter=Filter.TRIANGLE)
    frame = picture(256, 256, (1,))
    tensor, _ = OpenCvPreprocess(spec).run([frame])
    expected = reference_tensor(spec, Frame.from_array(frame)).astype(np.float64)
    assert np.abs(tensor[0] - expected).mean() * 255 < 8
    assert "INTER_AREA" in difference_of(spec)
    assert difference_of(PreprocessSpec(32, 32)) == ""


def test_jpegs_are_decoded():
    image = picture(64, 48, (0,))
    image[:] = (10, 100, 200)
    decoded = decode_jpeg(encode_jpeg(image))
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).max() <= 4
    with pytest.raises(ImageError, match="no picture that OpenCV decodes"):
        decode_jpeg(b"no picture")
