"""The embedder's network: what it gives, and that it begins as the classifier of the same name."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("torch")
torch = pytest.importorskip("torch")

from edgevision.errors import InputError, ModelFileError  # noqa: E402
from edgevision.preprocess.spec import preset  # noqa: E402
from edgevision.tasks.embed import embed_spec  # noqa: E402
from edgevision.train import backbones  # noqa: E402
from edgevision.train.checkpoint import (  # noqa: E402
    Checkpoint,
    load_checkpoint,
    model_from_checkpoint,
    save_checkpoint,
)
from edgevision.train.lite_embedder import AveragePooling, GemPooling  # noqa: E402

SMALL = {"width": 0.25, "depth": 0.3, "features": 48, "dimension": 20}


def tiny(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return backbones.build("lite0-embed", 0, **{**SMALL, **options}).eval()


@pytest.mark.parametrize("pooling", ["average", "gem"])
@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_a_vector_for_each_picture(size, pooling):
    x = torch.randn(2, 3, *size)
    vectors = tiny(pooling=pooling)(x)
    assert tuple(vectors.shape) == (2, 20)
    assert vectors.isfinite().all()
    assert not torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=0.05)  # whoever compares them normalises


@pytest.mark.parametrize("power", [1.0, 3.0, 6.5])
def test_gem_is_the_generalised_mean(power):
    maps = torch.rand(2, 5, 4, 3, generator=torch.Generator().manual_seed(1)) + 0.01
    pooling = GemPooling()
    with torch.no_grad():
        pooling.power.fill_(power)
    expected = np.mean(maps.double().numpy() ** power, axis=(2, 3)) ** (1 / power)
    np.testing.assert_allclose(pooling(maps).detach().numpy(), expected, rtol=1e-5)
    if power == 1.0:
        np.testing.assert_allclose(AveragePooling()(maps).numpy(), expected, rtol=1e-5)


def test_gem_learns_its_power_also_where_maps_are_zero():
    pooling = GemPooling()
    maps = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pooling(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()
    assert torch.isfinite(pooling.power.grad).all()


@pytest.mark.requires("lite-weights")
def test_imagenet_weights_are_those_of_the_classifier():
    """The pooled vector is the one that the classifier of the same name reads."""
    embedder = backbones.pretrained("lite0-embed", 0, dimension=64).eval()
    classifier = backbones.pretrained("lite0", 5).eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(embedder.pooled(x), classifier.features(x))


@pytest.mark.parametrize("arch", ["lite0-embed", "lite1-embed", "lite2-embed"])
def test_sizes_are_those_of_the_classifiers(arch):
    assert backbones.default_preprocess(arch) == backbones.default_preprocess(arch.removesuffix("-embed"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "greatest"}, "pooling of an embedder is average or gem, got 'greatest'"),
        ({"pooling": 3}, "pooling of lite0-embed is a word"),
        ({"dimension": 49}, "an embedder of 48 features has a dimension within 16…48, got 49"),
        ({"dimension": 8}, "dimension of lite0-embed is int within 16…2048, got 8"),
        ({"dropout": 0.1}, "options of lite0-embed are"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        tiny(**options)


def test_a_checkpoint_gives_it_back_and_no_other_width(tmp_path):
    network = tiny(pooling="gem")
    options = {**SMALL, "pooling": "gem"}
    save_checkpoint(
        tmp_path / "e.pt",
        Checkpoint("lite0-embed", network.state_dict(), preset("lite", 32, 32), embed_spec(), options),
    )
    back = model_from_checkpoint(load_checkpoint(tmp_path / "e.pt"))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(back(x), network(x))
    plain = torch.load(tmp_path / "e.pt", weights_only=True)
    plain["arch_options"]["dimension"] = 24
    torch.save(plain, tmp_path / "other.pt")
    with pytest.raises(ModelFileError, match=r"projection.weight has shape \(24, 48\), got \(20, 48\)"):
        load_checkpoint(tmp_path / "other.pt")
    plain["arch_options"]["dimension"], plain["channels"] = 20, {"head.conv": [8, 8]}
    torch.save(plain, tmp_path / "pruned.pt")
    with pytest.raises(ModelFileError, match="never pruned"):
        load_checkpoint(tmp_path / "pruned.pt")


def test_the_first_stages_are_the_stem_and_their_blocks():
    network = backbones.build("lite0-embed", 0)
    assert network.first_stages(0) == []
    parts = network.first_stages(2)
    assert parts[0] is network.stem
    assert parts[1:] == list(network.blocks[:3])  # stages of one and two blocks
