"""What there is to read about a product, as a text for an encoder and as words to compare."""

from __future__ import annotations

import re
import unicodedata

from edgevision.gallery.products import GalleryProduct

MAX_CHARACTERS = 2_000  # of one product's wording: an encoder reads some 250 words
SHORT = 40  # characters: a text that is no longer is a kind or a taste, a longer one a sentence

# Scripts that are written without spaces between words (Thai, Lao, Burmese, Khmer, kana, Chinese characters).
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PARTS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ACCENTS = re.compile("[\u0300-\u036f]")


def wording_of(product: GalleryProduct) -> str:
    """The product as one text for an encoder: its name, then its fields that are texts, the short ones first.

    >>> wording_of(GalleryProduct(7, "Granny-Smith", {"kind": "apple", "price": 1.2}))
    'Granny Smith, apple'
    """
    texts = [one.strip() for one in product.fields.values() if isinstance(one, str) and one.strip()]
    short = ", ".join((spaced(product.name), *(one for one in texts if len(one) <= SHORT)))
    return ". ".join((short, *(one for one in texts if len(one) > SHORT)))[:MAX_CHARACTERS]


def spaced(name: str) -> str:
    """A name as people would write it: ``Granny-Smith`` and ``granny_smith`` are two words."""
    return re.sub(r"(?<=\w)[-_](?=\w)", " ", name.replace("_", " ").strip())


def words_of(text: str) -> list[str]:
    """The words of a text, for comparing: without case, accents and punctuation. Scripts without spaces give pairs of letters,
    as search engines take them.

    >>> words_of("Äpple & PÄRON, 1,5 l")
    ['apple', 'paron', '1', '5', 'l']
    >>> words_of("苹果汁")
    ['苹果', '果汁']
    """
    decomposed = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    plain = "".join(c if _is_letter(c) else " " for c in unicodedata.normalize("NFC", decomposed))
    return [word for run in plain.split() for part in _PARTS.findall(run) for word in _cut(part)]


def _is_letter(c: str) -> bool:
    return c.isalnum() or unicodedata.category(c).startswith("M")  # marks: vowels of many scripts


def _cut(part: str) -> list[str]:
    if len(part) < 3 or not _IS_UNSPACED.match(part):
        return [part]
    return [part[at : at + 2] for at in range(len(part) - 1)]
