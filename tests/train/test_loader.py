from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from edgevision.decode import read_image
from edgevision.errors import ImageError
from edgevision.evaluate.data.dataset import read_dataset
from edgevision.preprocess import Preprocessor
from edgevision.preprocess.spec import ColorOrder, PreprocessSpec, preset
from edgevision.train.augment import Augmentation
from edgevision.train.loader import BatchMaker, PhotoCache, network_seed, normalise, work_ahead
from edgevision.train.mix import mix

pytestmark = pytest.mark.requires("torch")


def maker(folder, batch=5, seed=0, cache_bytes=1 << 30, augmentation=None, **mixing):
    dataset = read_dataset(folder)
    cache = PhotoCache(64, cache_bytes)
    return BatchMaker(dataset, cache, preset("lite", 32, 32), batch, seed, augmentation or Augmentation(), **mixing)


def test_each_pass_holds_every_photo_once_in_an_order_of_its_own(colour_photos):
    stream = maker(colour_photos)
    passes = [[stream.order.photo(place) for place in range(24 * n, 24 * n + 24)] for n in range(3)]
    assert all(sorted(order) == list(range(24)) for order in passes)
    assert passes[0] != passes[1] != passes[2]
    assert list(stream.order.positions(4)) == [20, 21, 22, 23, 24]


def test_a_batch_is_a_function_of_seed_and_number(colour_photos):
    straight = [maker(colour_photos, cutmix=0.5, mixup=0.5).make(number, 32) for number in range(4)]
    jumped = maker(colour_photos, cutmix=0.5, mixup=0.5, cache_bytes=0).make(3, 32)
    assert torch.equal(straight[3].images, jumped.images)
    assert torch.equal(straight[3].targets, jumped.targets)
    other = maker(colour_photos, seed=1).make(3, 32)
    assert not torch.equal(other.images, jumped.images)


def test_targets_are_the_photos_classes(colour_photos):
    stream = maker(colour_photos, batch=24)
    batch = stream.make(0, 32)
    truth = read_dataset(colour_photos).truth
    assert batch.targets.argmax(1).tolist() == [truth[stream.order.photo(place)] for place in range(24)]
    assert batch.images.shape == (24, 3, 32, 32)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_the_loader_and_the_runtime_prepare_alike(colour_photos, no_augmentation):
    """Without augmentation both resize with 2×2 taps; the loader rounds to whole grey levels in between."""
    stream = maker(colour_photos, batch=24, augmentation=no_augmentation)
    dataset = read_dataset(colour_photos)
    expected = Preprocessor(preset("lite", 32, 32)).batch(
        [read_image(dataset.paths[stream.order.photo(i)]) for i in range(24)]
    )
    assert abs(stream.make(0, 32).images.numpy() - expected).max() <= 1.01 / 128


def test_photos_of_no_class_come_to_a_batch_and_leave_its_own_as_they_are(colour_photos, unknown_photos):
    unknown = read_dataset(unknown_photos).paths
    stream = maker(colour_photos, cutmix=0.5, ood=unknown, ood_batch=3)
    for number in range(8):
        batch = stream.make(number, 32)
        alone = maker(colour_photos, cutmix=0.5).make(number, 32)
        assert (len(batch.images), batch.ood, alone.ood) == (8, 3, 0)
        assert torch.equal(batch.images[:5], alone.images)
        assert torch.equal(batch.targets[:5], alone.targets)
        assert batch.targets[5:].tolist() == [pytest.approx([1 / 3] * 3)] * 3
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        again = maker(colour_photos, cutmix=0.5, cache_bytes=0, ood=unknown, ood_batch=3).make(number, 32)
        assert torch.equal(batch.images, again.images)
    assert maker(colour_photos, ood=unknown, ood_batch=3).rows == 8
    assert maker(colour_photos, ood_batch=3).rows == 5  # none were given


def test_every_photo_of_no_class_is_seen_in_a_pass(colour_photos, unknown_photos, no_augmentation):
    """Twelve of them, three a batch; told apart by their pixels."""
    unknown = read_dataset(unknown_photos).paths
    stream = maker(colour_photos, augmentation=no_augmentation, ood=unknown, ood_batch=3)
    rows = [row for number in range(8) for row in stream.make(number, 32).images[5:]]
    first, second = ([row.numpy().tobytes() for row in some] for some in (rows[:12], rows[12:]))
    assert len(set(first)) == 12
    assert set(first) == set(second)
    assert first != second


@pytest.mark.parametrize("color", [ColorOrder.RGB, ColorOrder.BGR])
def test_normalise(color):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    spec = PreprocessSpec(3, 4, color=color, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    ordered = pixels[..., ::-1] if color is ColorOrder.RGB else pixels
    expected = (ordered.astype(np.float64) - [1, 2, 3]) / [4, 5, 6]
    np.testing.assert_allclose(normalise(pixels, spec).numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-6)


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_mixed_targets_sum_to_one_and_match_the_pixels(mixup, cutmix):
    """Photo i is the constant i, so a mixed picture's mean says how much of each photo is in it."""
    n = 6
    images = torch.arange(n, dtype=torch.float32)[:, None, None, None].expand(n, 3, 20, 30).contiguous()
    targets = torch.eye(n)
    changed = False
    for seed in range(20):
        mixed, soft = mix(images, targets, np.random.default_rng(seed), mixup, cutmix)
        assert mixed.shape == images.shape
        torch.testing.assert_close(soft.sum(1), torch.ones(n))
        torch.testing.assert_close(
            mixed.mean((1, 2, 3)), soft @ torch.arange(n, dtype=torch.float32), rtol=1e-4, atol=1e-4
        )
        changed |= not torch.equal(soft, targets)
    assert changed
    assert torch.equal(images, torch.arange(n, dtype=torch.float32)[:, None, None, None].expand(n, 3, 20, 30))


def test_not_mixing_leaves_the_batch_alone():
    images, targets = torch.randn(4, 3, 8, 8), torch.eye(4)
    assert mix(images, targets, np.random.default_rng(0), 0.0, 0.0) == (images, targets)


def test_cache_keeps_what_fits_and_reads_the_rest_anew(colour_photos):
    dataset = read_dataset(colour_photos)
    cache = PhotoCache(24, 3 * 20 * 24 * 3)  # 40×48 pixels shrink to 20×24; room for three
    for path in dataset.paths[:5]:
        assert cache.read(path).shape == (20, 24, 3)
    assert [cache.read(path) is cache.read(path) for path in dataset.paths[:5]] == [True, True, True, False, False]


def test_a_photo_that_cannot_be_read_is_named(tmp_path, colour_photos):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    batches = work_ahead(lambda number: maker(tmp_path).make(number, 32), 0)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        next(batches)


def test_work_is_done_ahead_and_in_order():
    asked = []

    def make(number):
        asked.append(number)
        return number

    batches = work_ahead(make, 3)
    assert list(itertools.islice(batches, 4)) == [3, 4, 5, 6]
    batches.close()
    assert asked == sorted(asked)
    assert len(asked) <= 12


def test_network_seeds_differ_and_fit():
    seeds = {network_seed(seed, number) for seed in (0, 1) for number in range(100)}
    assert len(seeds) == 200
    assert max(seeds) < 2**63
