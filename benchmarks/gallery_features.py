"""Vectors of the grocery photos by every embedder that is compared, kept on disk between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import edgevision as ev
from benchmarks.common import RUNS
from edgevision.preprocess import PreprocessSpec
from edgevision.tasks.embed import EMBEDDING
from edgevision.train import backbones, load_checkpoint, model_from_checkpoint
from edgevision.train.compute import choose_compute
from edgevision.train.efficientnet_lite import EfficientNetLite
from edgevision.train.validate import PreparedPhotos

FOLDER = RUNS / "gallery"
Vectors = npt.NDArray[np.float32]


BATCH = 16  # photos that a bundle is given at once


class Embedder(Protocol):
    """What gives vectors: ``name`` for the file they are kept in, and float32 [n, d] of photos."""

    name: str

    def embed(self, paths: tuple[Path, ...]) -> Vectors:
        """float32 [n, d] of photos."""


class TorchEmbedder:
    """A network of PyTorch, and how pictures become vectors of it."""

    def __init__(
        self, name: str, network: nn.Module, spec: PreprocessSpec, vectors: Callable[[Tensor], Tensor]
    ) -> None:
        self.name, self.spec, self._vectors = name, spec, vectors
        backbones.training_mode(network, frozen_statistics=True)  # folds batch norms, which is quicker
        network.eval().to(memory_format=torch.channels_last)

    @torch.no_grad()
    def embed(self, paths: tuple[Path, ...]) -> Vectors:
        """float32 [n, d] of photos prepared as at run time; in float32 throughout."""
        compute = choose_compute("cpu")
        parts = [
            self._vectors(compute.put(images)).float().numpy()
            for images in PreparedPhotos(paths, self.spec, keep=False)
        ]
        return np.concatenate(parts)


class BundleEmbedder:
    """A compiled embedder, as a shop runs it: the variant that the bundle chooses on this machine."""

    def __init__(self, name: str, bundle: Path) -> None:
        self.name, self._bundle = name, bundle

    def embed(self, paths: tuple[Path, ...]) -> Vectors:
        """float32 [n, d] unit vectors of photos."""
        with ev.load(self._bundle) as model:
            parts = [model.digest(paths[start : start + BATCH])[EMBEDDING] for start in range(0, len(paths), BATCH)]
        return np.concatenate(parts)


def off_the_shelf(arch: str) -> TorchEmbedder:
    """The pooled features of a classifier with ImageNet's weights."""
    network = backbones.pretrained(arch, 2)
    assert isinstance(network, EfficientNetLite)
    return TorchEmbedder(f"{arch}-imagenet", network, backbones.default_preprocess(arch), network.features)


def of_checkpoint(name: str, path: Path) -> TorchEmbedder:
    """An embedder of ours, or a classifier without its head."""
    checkpoint = load_checkpoint(path)
    network = model_from_checkpoint(checkpoint)
    vectors = network.features if isinstance(network, EfficientNetLite) else network
    return TorchEmbedder(name, network, checkpoint.preprocess, vectors)


def kept(embedder: Embedder, paths: tuple[Path, ...], wanted: npt.NDArray[np.bool_], *, anew: bool = False) -> Vectors:
    """Vectors [n, d] of all ``paths`` of which ``wanted`` says that they are looked at; NaN of the others. From disk where an earlier
    run has left them there, unless ``anew``."""
    file = FOLDER / f"{embedder.name}.npz"
    if file.is_file() and not anew:
        stored = np.load(file)
        if not (wanted & ~stored["wanted"]).any():
            return np.asarray(stored["vectors"])
    own = embedder.embed(tuple(path for path, want in zip(paths, wanted, strict=True) if want))
    vectors = np.full((len(paths), own.shape[1]), np.nan, np.float32)
    vectors[wanted] = own
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, vectors=vectors, wanted=wanted)
    return vectors
