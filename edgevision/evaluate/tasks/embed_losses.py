"""What an embedder's variant lost of each product: photos that do not find another photo of it any more."""

from __future__ import annotations

from edgevision.evaluate.statistics.paired import ClassLoss, class_losses
from edgevision.evaluate.tasks.embed_scores import EmbedScores, same_photos
from edgevision.tasks.results import Label


class ProductLoss(ClassLoss):
    """A ``ClassLoss`` of a product. ``index``: its place among the products that the photos show.

    >>> ProductLoss("salt", 4, 20, lost=4, gained=1, reference_right=18).sentence()
    "product 'salt' loses 3 of 20 photos"
    """

    def sentence(self) -> str:
        """Name and loss in words."""
        return f"product {self.name!r} loses {self.net} of {self.n} photos"


def product_losses(reference: EmbedScores, other: EmbedScores) -> tuple[ProductLoss, ...]:
    """What each product that has judged photos lost, most lost first; none where no photo is judged.

    Raises InputError for scores of different photos.
    """
    same_photos(reference, other)
    judged = reference.judged & other.judged
    if not judged.any():
        return ()
    products = reference.products
    labels = [Label(place, name) for place, name in enumerate(products.names)]
    losses = class_losses(reference.right[judged], other.right[judged], products.truth[judged], labels)
    return tuple(ProductLoss(**vars(loss)) for loss in losses)
