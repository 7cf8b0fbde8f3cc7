"""What the demo's products look like, as vectors: the demo's own classifier without its head, over a few rendered photos of each."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.common import RUNS
from edgevision.demo.compiling import CLASSIFIER
from edgevision.demo.products import LISTED
from edgevision.demo.scene import SceneKind, render, sample_scene
from edgevision.demo.unseen import unseen_photo, unseen_products
from edgevision.frames import ImageArray

PHOTOS = 5


def demo_vectors() -> npt.NDArray[np.float32]:
    """[220, d] float32: the 20 that it knows, then the 200 that it does not; the mean of ``PHOTOS`` photos each. Kept in ``runs/``."""
    kept = RUNS / "recommend" / "vectors.npy"
    if kept.is_file():
        return np.asarray(np.load(kept), np.float32)
    embed = demo_embedder()
    rendered = RUNS / "demo-gallery" / "vectors.npz"  # of ``benchmarks.demo_gallery``: the same photos
    rows = []
    for place, product in enumerate(LISTED):
        rngs = [np.random.default_rng((0x11, place, view)) for view in range(PHOTOS)]
        photos = [render(sample_scene(rng, SceneKind.LISTED, product=product)) for rng in rngs]
        rows.append(embed(photos).mean(axis=0))
    if rendered.is_file():
        with np.load(rendered) as file:
            rows += list(file["float"][:, :PHOTOS].mean(axis=1))
    else:
        for one in unseen_products():
            rows.append(embed([unseen_photo(one, view) for view in range(PHOTOS)]).mean(axis=0))
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = np.asarray(np.stack(rows), np.float32)
    np.save(kept, made)
    return made


def demo_embedder() -> Any:
    """From a list of photos (H×W×3 BGR) to unit vectors [n, d]: what goes into the classifier's last layer."""
    import torch

    from edgevision.frames import Frame
    from edgevision.preprocess.reference import reference_tensor
    from edgevision.train import load_checkpoint, model_from_checkpoint

    torch.set_num_threads(1)
    checkpoint = load_checkpoint(CLASSIFIER)
    network = model_from_checkpoint(checkpoint)
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    taken: list[Any] = []
    last.register_forward_pre_hook(lambda module, inputs: taken.append(inputs[0]))

    def embed(photos: list[ImageArray]) -> npt.NDArray[np.float32]:
        tensors = np.stack([reference_tensor(checkpoint.preprocess, Frame.from_array(photo)) for photo in photos])
        with torch.inference_mode():
            network(torch.from_numpy(np.asarray(tensors, np.float32)))
        vectors = taken.pop().numpy()
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    cv2.setNumThreads(1)
    return embed
