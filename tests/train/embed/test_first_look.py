"""Where an embedder begins: a whitening against NumPy's, centres and look-alikes of products that are known."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.train import backbones  # noqa: E402
from edgevision.train.embed.first_look import SHRINKAGE, look_alikes, take_a_first_look, whitened_projection  # noqa: E402


def features(photos=60, width=48, seed=4):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(photos, 10)) @ random.normal(size=(10, width))
        + 5
        + 0.1 * random.normal(size=(photos, width))
    )


def test_what_differs_within_products_counts_for_little():
    """Against the same formula in NumPy, by another decomposition."""
    values, products = features(), np.arange(60) % 7
    weight, bias = whitened_projection(torch.from_numpy(values).float(), products, 16)
    mean = torch.from_numpy(values).float().double().numpy().mean(0)
    unit = values - mean
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    inner = unit - np.stack([unit[products == p].mean(0) for p in products])
    _, sizes, directions = np.linalg.svd(inner / np.sqrt(60))
    variances = sizes**2
    whitening = directions.T @ np.diag((variances + SHRINKAGE * variances.mean()) ** -0.5) @ directions
    white = unit @ whitening
    _, _, components = np.linalg.svd(white)
    expected = (values - mean) @ whitening @ components[:10].T  # the features have ten directions, and noise
    got = (torch.from_numpy(values).float() @ weight.T + bias)[:, :10].numpy()
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=0.02, atol=0.02 * np.abs(expected).max())


def test_a_direction_that_only_light_moves_is_made_light_of():
    """Products differ along the first axis, photos of one product ten times as much along the second."""
    random = np.random.default_rng(1)
    products = np.arange(80) % 4
    values = 0.01 * random.normal(size=(80, 20))
    values[:, 0] += products - 1.5
    values[:, 1] += 10 * random.normal(size=80)
    weight, _ = whitened_projection(torch.from_numpy(values).float(), products, 16)
    moved = weight.double().norm(dim=0).numpy()
    assert moved[0] > 1.3 * moved[1]  # principal components alone would leave both as they are


def test_centres_are_the_mean_directions_of_products():
    torch.manual_seed(0)
    network = backbones.build("lite0-embed", 0, width=0.25, depth=0.3, features=48, dimension=16)
    products = np.arange(60) % 7
    values = torch.from_numpy(features()).float()
    look = take_a_first_look(network, values, products)
    with torch.no_grad():
        vectors = network.projection(values).double().numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([vectors[products == p].mean(0) for p in range(7)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(look.centres.numpy(), means, atol=1e-5)
    assert look.look_alikes.shape == (7, 5)


def test_look_alikes_are_the_nearest_and_never_oneself():
    angles = torch.tensor([0.0, 0.1, 0.3, 2.0, 2.1, 3.0, 3.2])
    centres = torch.stack([angles.cos(), angles.sin()], 1)
    found = look_alikes(centres)
    assert found[:, 0].tolist() == [1, 0, 1, 4, 3, 6, 5]
    assert found[0].tolist() == [1, 2, 3, 4, 5] or found[0].tolist()[:2] == [1, 2]
    assert all(place not in row for place, row in enumerate(found.tolist()))
    assert look_alikes(centres[:2]).tolist() == [[1], [0]]
