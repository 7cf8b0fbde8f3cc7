"""Where an embedder begins: principal components against NumPy's, centres and look-alikes of products that are known."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.train import backbones  # noqa: E402
from edgevision.train.embed.first_look import look_alikes, principal_projection, take_a_first_look  # noqa: E402


def features(photos=60, width=48, seed=4):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(photos, 10)) @ random.normal(size=(10, width))
        + 5
        + 0.1 * random.normal(size=(photos, width))
    )


@pytest.mark.parametrize("photos", [60, 12])  # fewer photos than dimensions, too
def test_the_principal_components(photos):
    values = features(photos)
    weight, bias = principal_projection(torch.from_numpy(values).float(), 16)
    centred = values - values.mean(0)
    _, sizes, directions = np.linalg.svd(centred)
    got = torch.from_numpy(values).float() @ weight.T + bias
    expected = centred @ directions[:10].T  # beyond these all is noise
    np.testing.assert_allclose(np.abs(got[:, :10].numpy()), np.abs(expected), atol=2e-3 * sizes[0])
    np.testing.assert_allclose((weight @ weight.T).numpy(), np.eye(16), atol=1e-5)
    np.testing.assert_allclose(got.mean(0).numpy(), 0, atol=1e-3)


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
