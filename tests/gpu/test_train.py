"""Training on a real GPU: the first step that changes nothing, memory that runs out, and a checkpoint that needs no GPU."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.requires("torch", "gpu")]

COLOURS = {"blue": (200, 60, 40), "green": (40, 200, 60), "red": (60, 40, 200)}  # BGR


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that a network of any size tells apart."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(3)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(12):
            noise = random.normal(0, 15, (40, 48, 3))
            picture = np.clip(np.array(colour) * random.uniform(0.5, 1.2) + noise, 0, 255)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture.astype(np.uint8))
    return folder


class Hungry:
    """Made in a function, so that collecting these tests needs no PyTorch."""

    def __new__(cls, limit_px):
        import torch
        from torch import nn

        class Network(nn.Module):
            """Takes more memory than any GPU has for pictures of ``limit_px`` or larger, little for smaller ones."""

            def __init__(self):
                super().__init__()
                self.classifier = nn.Linear(3, 3)
                self.seen = []

            def forward(self, x):
                self.seen.append((x.device.type, x.shape[0], x.shape[-1]))
                if x.shape[-1] >= limit_px:
                    torch.empty(1 << 45, dtype=torch.uint8, device=x.device)
                return self.classifier(x.mean((2, 3)))

        return Network()


def rehearse(network, batch, size, shares):
    from edgevision.train.compute import choose_compute
    from edgevision.train.rehearsal import memory_errors, rehearse

    compute = choose_compute("cuda")
    with memory_errors():
        rehearse("hungry", network.to(compute.device), batch, size, shares, compute, frozen_statistics=False)


def test_memory_is_tried_with_the_largest_pictures_before_the_first_epoch():
    """The last epochs have the largest: without the second step, hours would be lost when they come."""
    from edgevision.errors import EdgeVisionError

    with pytest.raises(EdgeVisionError, match=r"memory ran out while training. Give a smaller --batch"):
        rehearse(Hungry(96), 8, 96, (0.5, 1.0))
    rehearse(Hungry(97), 8, 96, (0.5, 1.0))


def test_a_run_on_the_gpu_gives_a_checkpoint_for_the_cpu(photos, tmp_path):
    """Learns what three colours are; its answers on the CPU are right too, so weights and spec survived the way."""
    import torch

    from edgevision.preprocess import Preprocessor
    from edgevision.train import TrainOptions, load_checkpoint, model_from_checkpoint, train

    options = TrainOptions(
        data=photos, output=tmp_path / "model.pt", arch="lite0", size=32, scratch=True, epochs=30, lr=5e-3, batch=8, device="cuda",
        arch_options={"width": 0.25, "depth": 0.3, "features": 32}, ema=0.8, sizes=(1.0,), mixup=0.0, cutmix=0.0,
    )  # fmt: skip
    train(options)
    checkpoint = load_checkpoint(tmp_path / "model.pt")
    network = model_from_checkpoint(checkpoint).eval()
    assert all(value.device.type == "cpu" for value in network.state_dict().values())
    prepare = Preprocessor(checkpoint.preprocess)
    labels = [label.name for label in checkpoint.labels]
    for name in COLOURS:
        tensor = torch.from_numpy(prepare.run(cv2.imread(str(photos / name / "0.png"))))[None]
        with torch.no_grad():
            assert labels[int(network(tensor).argmax())] == name
