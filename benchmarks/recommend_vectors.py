"""What the demo's products look like, as vectors: of what is printed on their fronts, and what a network sees in photos."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgevision.demo.compiling import CLASSIFIER
from edgevision.demo.labels import front
from edgevision.demo.products import LISTED
from edgevision.demo.unseen import unseen_products
from edgevision.frames import ImageArray

_SMALL_PX = (12, 16)


def front_vectors() -> npt.NDArray[np.float32]:
    """[220, 576] float32: the fronts of the 20 that the demo knows, then of the 200 that it does not, shrunk to 12×16 pixels. No network is in it."""
    fronts = [front(design, 120, 160) for design in (*LISTED, *(one.design for one in unseen_products()))]
    small = [cv2.resize(panel, _SMALL_PX, interpolation=cv2.INTER_AREA) for panel in fronts]
    return np.asarray(np.stack(small).reshape(len(small), -1) / 255, np.float32)


def demo_embedder() -> Any:
    """From a list of photos (H×W×3 BGR) to unit vectors [n, d]: what goes into the last layer of the demo's classifier, in float."""
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

    return embed
