"""A till's camera, as it were: visits of a few frames each, the product moving a little, places empty in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgevision.demo.scene import Scene, SceneKind, sample_scene
from edgevision.errors import InputError

FRAMES_PER_VISIT = 6
# Of ten visits, seven show a listed product, two an unlisted one, one nothing.
_ROUND = (SceneKind.LISTED,) * 7 + (SceneKind.UNLISTED,) * 2 + (SceneKind.EMPTY,)


@dataclass(frozen=True)
class Shot:
    """Frame number ``index`` of the stream, still to be rendered; ``visit`` counts the visits."""

    scene: Scene
    visit: int
    index: int


def stream(seed: int, frames: int) -> Iterator[Shot]:
    """``frames`` shots. The same seed always gives the same ones; kinds come in their shares in every ten visits.

    >>> [shot.visit for shot in stream(0, 7)]
    [0, 0, 0, 0, 0, 0, 1]
    """
    if frames < 1:
        raise InputError(f"a stream has at least 1 frame, got {frames}")
    rng = np.random.default_rng((0x57EA, seed))
    kinds: list[SceneKind] = []
    for visit in range(-(-frames // FRAMES_PER_VISIT)):
        if not kinds:
            kinds = [_ROUND[i] for i in rng.permutation(len(_ROUND))]
        scene = sample_scene(rng, kinds.pop())
        turn, drift = float(rng.normal(0, 14)), rng.normal(0, 1.2, 2)
        start = visit * FRAMES_PER_VISIT
        for step in range(min(FRAMES_PER_VISIT, frames - start)):
            share = step / (FRAMES_PER_VISIT - 1)
            yield Shot(_moved(scene, (1 - share) ** 2, share, turn, drift, step), visit, start + step)


def _moved(scene: Scene, left: float, share: float, turn: float, drift: npt.NDArray[np.float64], step: int) -> Scene:
    """The scene a moment later: ``left`` of the way is still to go, the camera pans ``share`` of its way."""
    pose = replace(
        scene.pose,
        yaw=scene.pose.yaw + left * turn,
        x=scene.pose.x + left * float(drift[0]),
        y=scene.pose.y + left * float(drift[1]),
    )
    camera = replace(scene.camera, azimuth=scene.camera.azimuth + 2.5 * share)
    hand = scene.hand and replace(scene.hand, at=(scene.hand.at[0], scene.hand.at[1] + 0.03 * left))
    return replace(scene, pose=pose, camera=camera, hand=hand, lens=replace(scene.lens, grain=scene.lens.grain + step))
