"""The demo's kiosk: what ``edgevision serve`` needs for it: a bundle, a price list, pictures of the products, and a rendered camera."""

from __future__ import annotations

import csv
import io
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from edgevision.demo.compiling import CLASSIFIER, ProgressFn, compile_checkpoint, make_folder, silent
from edgevision.demo.kept import keep_frame
from edgevision.demo.labels import front
from edgevision.demo.packages import package
from edgevision.demo.products import LISTED, Product, Shape
from edgevision.files import atomic_write
from edgevision.frames import ImageArray

CURRENCY = "EUR"
_FPS = 10  # enough to see a hand, on a small machine too
_PICTURE_PX = 480  # height of a product's picture
_CENTS = {
    Shape.CARTON: 149, Shape.BOX: 329, Shape.CHEST: 279, Shape.CAN: 89, Shape.TIN: 119, Shape.POUCH: 549, Shape.BAG: 199, Shape.BOTTLE: 65,
    Shape.JAR: 259,
}  # fmt: skip


@dataclass(frozen=True)
class KioskShop:
    """What the kiosk is started with. ``camera``: as ``edgevision serve --camera`` takes it."""

    bundle: Path
    prices: Path
    pictures: Path
    camera: str

    def words(self) -> list[str]:
        """The arguments of ``edgevision serve`` for it."""
        return [
            str(self.bundle), "--camera", self.camera, "--prices", str(self.prices), "--product-pictures", str(self.pictures),
        ]  # fmt: skip


def prepare_kiosk(
    folder: Path, *, seed: int = 0, threads: int | None = None, progress: AbstractContextManager[ProgressFn] | None = None
) -> KioskShop:  # fmt: skip
    """Everything in ``folder``: compiles ``model.edge`` unless an earlier demo has, and writes prices and pictures.

    Raises MissingExtraError where the compiler's packages are not installed and have to be, InputError where it cannot write.
    """
    bundle, shop = folder / "model.edge", folder / "shop"
    if not bundle.is_file():
        with progress or nullcontext(silent) as tell:
            compile_checkpoint(CLASSIFIER, bundle, threads, tell)
    make_folder(shop)
    prices = shop / "prices.csv"
    atomic_write(prices, price_list().encode())
    for number, product in enumerate(LISTED):
        keep_frame(shop / "pictures" / f"{number}.jpg", product_picture(product))
    return KioskShop(bundle, prices, shop / "pictures", f"rendered:till?seed={seed}&fps={_FPS}")


def price_list() -> str:
    """A CSV file: the id that the model has for a product, its name, its price and the currency.

    >>> price_list().splitlines()[:2]
    ['id,name,price,currency', '0,Moovalle Whole Milk,1.49,EUR']
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "name", "price", "currency"))
    for number, product in enumerate(LISTED):
        cents = _CENTS[product.shape]
        rows.writerow((number, product.name, f"{cents // 100}.{cents % 100:02d}", CURRENCY))
    return text.getvalue()


def product_picture(product: Product) -> ImageArray:
    """The product's front, as a shop's list shows it: H×W×3 uint8 BGR."""
    width, _, height = package(product).size
    return front(product, max(64, round(_PICTURE_PX * width / height)), _PICTURE_PX)
