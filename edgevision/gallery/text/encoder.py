"""A text encoder: a vector for a text, whose direction tells what it means."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import EngineError, InputError
from edgevision.gallery.vectors import Vectors

MAX_TOKENS = 256  # of one text; what MiniLM was trained with. What follows is not read
_BATCH = 32  # texts at a time


class TextEncoder(Protocol):
    """What the search needs of an encoder; pass one of your own where MiniLM's English is not enough."""

    @property
    def id(self) -> str:
        """Names the encoder and its weights: vectors of two encoders are never compared."""
        ...

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[texts, dimension] float32, rows of length 1."""
        ...


class OnnxTextEncoder:
    """A sentence encoder as an ONNX graph with its tokenizer: mean of the tokens' vectors, made length 1.

    The graph takes ``input_ids``, ``attention_mask`` and maybe ``token_type_ids``, each [n, tokens] int64, and gives
    [n, tokens, dimension] float32 first. It is trusted: ``minilm`` checks its hash. Threads may share an encoder.
    """

    def __init__(self, name: str, graph: bytes, tokenizer: Path, *, threads: int = 1) -> None:
        from edgevision.engines.importing import import_onnxruntime

        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # an idle kiosk stays cool
        self._session: Any = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._tokenizer = _open_tokenizer(tokenizer)
        self._lock = threading.Lock()  # of the tokenizer's padding alone; sessions may run side by side
        self._id = name
        self._dimension = int(self._session.get_outputs()[0].shape[-1])

    @property
    def id(self) -> str:
        """The name it was made with."""
        return self._id

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        return self._dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[texts, dimension] float32, rows of length 1. Raises EngineError for an answer that is no vector."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # like lengths together: less padding
        for start in range(0, len(texts), _BATCH):
            chosen = order[start : start + _BATCH]
            vectors[chosen] = self._encode([texts[place] for place in chosen])
        return vectors

    def _encode(self, texts: list[str]) -> Vectors:
        with self._lock:
            encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        mask = np.array([one.attention_mask for one in encoded], np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        return _unit_rows(mean_of_tokens(hidden, mask))


def mean_of_tokens(hidden: Vectors, mask: npt.NDArray[np.int64]) -> Vectors:
    """[n, dimension]: the mean over the tokens that are not padding, of [n, tokens, dimension]."""
    weights = mask[..., None].astype(np.float32)
    mean: Vectors = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
    return mean


def _unit_rows(rows: npt.NDArray[np.floating[Any]]) -> Vectors:
    """The rows, [n, d], made length 1. Raises EngineError for a row of zeros or NaN."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise EngineError("the text encoder gave a vector of zeros or NaN; install its package again")
    return (rows / lengths).astype(np.float32)


def check_query(text: str, limit: int = 2_000) -> str:
    """The text without spaces around it. Raises InputError where nothing is left, or it is too long."""
    bare = text.strip()
    if not bare:
        raise InputError("the text to search for is empty; give some words, such as 'green apple'")
    if len(bare) > limit:
        raise InputError(f"the text to search for is {len(bare)} characters long, expected at most {limit}")
    return bare


def _open_tokenizer(path: Path) -> Any:
    """Padded to the longest text of a batch, cut at ``MAX_TOKENS``."""
    from edgevision.engines.importing import import_package

    tokenizers = import_package("tokenizers", "text", "searching by what words mean", needs="Tokenizer")
    tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    return tokenizer
