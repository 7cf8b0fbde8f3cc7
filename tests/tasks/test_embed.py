from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, UnreadableOutputError
from edgevision.preprocess.geometry import Placement, Region
from edgevision.tasks import FrameId, Label, OutputRole, TaskSpec, Timing, View
from edgevision.tasks.embed import (
    EMBEDDING,
    OTHER_DEVICE_ANGLE,
    SAME_DEVICE_ANGLE,
    EmbedTask,
    angles,
    embed_spec,
    unit_vectors,
)
from edgevision.tasks.registry import ModelFacts, make_task, task_type
from edgevision.tensors import TensorInfo

TASK = EmbedTask(embed_spec())
TIMING = Timing(1.5, 2.5, 0.0, batch=2)
FRAMES = (FrameId("till", 7, 123), FrameId())


def views(count):
    return [
        View(FRAMES[i % 2], 480, 640, Region(0, 0, 640, 480), Placement(64, 64, 0, 0), 64, 64) for i in range(count)
    ]


def vectors(count, dimension=32, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def turned(unit, angle, seed=1):
    """Each unit vector turned by ``angle``, in any direction."""
    away = np.random.default_rng(seed).normal(size=unit.shape)
    away -= (away * unit).sum(axis=1, keepdims=True) * unit
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return (math.cos(angle) * unit + math.sin(angle) * away).astype(np.float32)


# ---- vectors ----


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e18, 1e30])
def test_vectors_of_any_length_become_unit_vectors(scale):
    raw = vectors(5) * np.float32(scale)
    got = unit_vectors(raw)
    exact = [[float(x) / math.sqrt(math.fsum(float(y) ** 2 for y in row)) for x in row] for row in raw]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, exact, rtol=1e-6)
    assert not got.flags.writeable  # results are views of it


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_vectors_that_are_no_numbers_are_refused(bad):
    raw = vectors(3)
    raw[1, 4] = bad
    with pytest.raises(UnreadableOutputError, match="NaN or infinite"):
        TASK.digest({"output": raw})
    with pytest.raises(UnreadableOutputError, match="NaN or infinite"):
        TASK.decode({"output": raw}, views(3), TIMING)


@pytest.mark.parametrize("value", [0.0, 1e-14])
def test_a_vector_of_no_length_has_no_direction(value):
    raw = vectors(3)
    raw[1] = value
    with pytest.raises(UnreadableOutputError, match="vector 2 of 3 is zero"):
        TASK.digest({"output": raw})


@pytest.mark.parametrize("shape", [(32,), (2, 32, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(UnreadableOutputError, match=r"expected \(n, dimension\)"):
        unit_vectors(np.ones(shape))


def test_decode_gives_each_item_its_vector_and_frame():
    raw = vectors(2)
    one, other = TASK.decode({"output": raw}, views(2), TIMING)
    np.testing.assert_array_equal(np.stack([one.vector, other.vector]), TASK.digest({"output": raw})[EMBEDDING])
    assert (one.frame, other.frame) == FRAMES
    assert one.timing.batch == 2
    assert one.timing.infer_ms == 2.5
    assert one.timing.decode_ms > 0
    assert np.linalg.norm(json.loads(json.dumps(one.to_dict()))["vector"]) == pytest.approx(1)


def test_one_view_for_each_vector():
    with pytest.raises(InputError, match="one view for each of 2"):
        TASK.decode({"output": vectors(2)}, views(1), TIMING)


# ---- spec and graph ----


def test_the_spec_survives_json_and_makes_the_task():
    spec = embed_spec("features", [Label(3, "tea")])
    again = TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert isinstance(make_task(again), EmbedTask)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TaskSpec("embed", (), ()), "one output, got 0"),
        (TaskSpec("embed", (), (OutputRole("scores", "output", "vectors"),)), "role 'embedding'"),
        (TaskSpec("embed", (), (OutputRole(EMBEDDING, "output", "logits"),)), "'vectors', got 'logits'"),
        (embed_spec().with_parameters({"threshold": 0.5}), r"no parameters, got \['threshold'\]"),
    ],
)
def test_specs_that_do_not_fit_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        EmbedTask(spec)


def info(*shape, name="output"):
    return TensorInfo(name, "float32", shape)


MISFITS = [
    (info(None, 32, 7, 7), r"\[\?, 32, 7, 7\].*with its pooling"),
    (info(None, None), "fixed dimension"),
    (info(None, 15), "have 15 numbers"),
    (info(None, 2049), "have 2049 numbers"),
]


@pytest.mark.parametrize(("output", "message"), MISFITS)
def test_graphs_that_give_no_vectors_are_refused(output, message):
    with pytest.raises(EngineError, match=message):
        TASK.check([output])
    with pytest.raises(InputError, match=message):
        task_type("embed").resolve(ModelFacts((output,), ()))


@pytest.mark.parametrize("dimension", [16, 2048])
def test_graphs_that_give_vectors_fit(dimension):
    TASK.check([info(None, dimension)])
    spec = task_type("embed").resolve(
        ModelFacts((info(None, dimension, name="features"),), (Label(1, "tea"),), "vectors")
    )
    assert spec == embed_spec("features", [Label(1, "tea")])


def test_several_outputs_and_other_names_are_refused():
    both = (info(None, 32), info(None, 64, name="logits"))
    with pytest.raises(EngineError, match=r"got 2: 'output' \[\?, 32\], 'logits'"):
        TASK.check(both)
    with pytest.raises(InputError, match=r"one output.*got 2"):
        task_type("embed").resolve(ModelFacts(both, ()))
    with pytest.raises(EngineError, match="is called 'x'"):
        TASK.check([info(None, 32, name="x")])
    with pytest.raises(InputError, match="vectors, got 'logits'"):
        task_type("embed").resolve(ModelFacts((info(None, 32),), (), "logits"))


# ---- golden frames ----


@pytest.mark.parametrize("angle", [1e-7, 1e-4, 0.3, math.pi / 2, 3.1])
def test_angles_are_exact_where_the_cosine_is_not(angle):
    a = np.eye(2)[:1]
    b = np.array([[math.cos(angle), math.sin(angle)]])
    assert angles(a, b)[0] == pytest.approx(angle, rel=1e-9)


@pytest.mark.parametrize(
    ("angle", "same_device", "passes"),
    [
        (0.9 * SAME_DEVICE_ANGLE, True, True),
        (1.1 * SAME_DEVICE_ANGLE, True, False),
        (1.1 * SAME_DEVICE_ANGLE, False, True),
        (0.9 * OTHER_DEVICE_ANGLE, False, True),
        (1.1 * OTHER_DEVICE_ANGLE, False, False),
    ],
)
def test_golden_frames_are_compared_by_angle(angle, same_device, passes):
    stored = unit_vectors(vectors(4))
    now = stored.copy()
    now[2] = turned(stored, angle)[2]
    found = TASK.compare({EMBEDDING: stored}, {EMBEDDING: stored}, {EMBEDDING: now}, same_device=same_device)
    assert found.passed is passes
    assert found.worst == pytest.approx(angle, rel=1e-3)
    assert passes or "golden frame 3 of 4" in found.message


def test_a_frame_that_is_taken_for_another_fails_on_another_device():
    """The variant was off where it was made, and is off the other way here: each step is allowed, the answer is another one."""
    float_ = unit_vectors(np.array([[1.0] + 15 * [0.0], [math.cos(0.42), math.sin(0.42)] + 14 * [0.0]]))
    at = lambda angle: [math.cos(angle), math.sin(angle)] + 14 * [0.0]  # noqa: E731
    stored = unit_vectors(np.array([at(0.15), at(0.42)]))
    now = unit_vectors(np.array([at(0.3), at(0.42)]))
    found = TASK.compare({EMBEDDING: float_}, {EMBEDDING: stored}, {EMBEDDING: now}, same_device=False)
    assert not found.passed
    assert "golden frame 1 of 2" in found.message
    assert "of another frame" in found.message
    assert TASK.compare({EMBEDDING: float_}, {EMBEDDING: stored}, {EMBEDDING: stored}, same_device=False).passed


def test_golden_vectors_of_another_model_are_refused():
    a, b = ({EMBEDDING: unit_vectors(vectors(2, size))} for size in (32, 64))
    with pytest.raises(InputError, match="do not belong to this model"):
        TASK.compare(a, a, b, same_device=True)
