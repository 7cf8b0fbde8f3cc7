"""The checkpoint: a network and everything needed to use, validate and compile it, in one ``.pt`` file.

The file is a plain dict of tensors, numbers, text and lists, so ``torch.load(weights_only=True)`` reads it and no code
in it can run. Keys: ``edgevision_checkpoint`` (format version), ``arch``, ``arch_options``, ``state_dict``,
``preprocess``, ``task`` (``TaskSpec.to_dict``), ``training``, ``photos``, ``channels`` (None, or of a pruned network
{layer: [channels in, out]}); and ``trained_on`` (uint8 [photos, 16]: the first bytes of each photo's SHA-256).

Version 1 is read too: it had ``labels`` ([id, name]) and ``output`` in place of ``task``, was always a classifier, called
the validation photos ``judge`` and ``in_training_set`` ``seen``, and may lack ``trained_on``.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.errors import EdgeVisionError, InputError, ModelFileError
from edgevision.evaluate.data.boxes import Box, PhotoBoxes
from edgevision.files import atomic_write
from edgevision.preprocess.spec import PreprocessSpec
from edgevision.tasks.base import TaskSpec
from edgevision.tasks.classify import classify_spec
from edgevision.tasks.registry import make_task
from edgevision.tasks.results import Label
from edgevision.train import backbones
from edgevision.train.channels import Channels, channels_from_plain, channels_to_plain

FORMAT_KEY = "edgevision_checkpoint"
FORMAT_VERSION = 2
MAX_BYTES = 4 << 30  # larger files are refused before anything is read
MAX_PHOTOS = 100_000
MAX_SIDE_PX = 1 << 16  # of a packed photo
_HASH_BYTES = 16  # of a photo's SHA-256: no two of a billion photos share them

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class PackedPhoto:
    """An encoded picture (JPEG or PNG) with its class: an index into the labels, or None; or with the ``boxes`` of its products; or
    with the ``attributes`` that are known of it, as indices into the labels.

    ``in_training_set``: the network was trained on it, so its accuracy here flatters. ``source_sha256``: SHA-256, in hexadecimal,
    of the file it was made from, which ``data`` may hold smaller and encoded anew; None = not known.
    """

    data: bytes
    label: int | None
    in_training_set: bool
    source_sha256: str | None = None
    boxes: PhotoBoxes | None = None
    attributes: tuple[int, ...] | None = None

    @property
    def truth(self) -> int | PhotoBoxes | tuple[int, ...] | None:
        """What is known of the photo: its attributes, else its boxes, else its class."""
        if self.attributes is not None:
            return self.attributes
        return self.label if self.boxes is None else self.boxes


@dataclass(frozen=True)
class PhotoPack:
    """Photos that travel with the checkpoint: some to calibrate on, others to validate with."""

    calibration: tuple[PackedPhoto, ...]
    validation: tuple[PackedPhoto, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all photos together."""
        return sum(len(photo.data) for photo in (*self.calibration, *self.validation))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """See the module. ``training`` is a record for people: options, metrics, data digest, versions, seconds.

    ``channels`` are a pruned network's, as ``channel_counts`` gives them; None = as the arch says. ``trained_on``: ``short_hashes`` of
    all photos the network was trained on, whether they travel along or not; empty = not known.
    """

    arch: str
    state_dict: Mapping[str, Tensor]
    preprocess: PreprocessSpec
    task: TaskSpec
    arch_options: Mapping[str, Any] = field(default_factory=dict)
    photos: PhotoPack | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    channels: Channels | None = None
    trained_on: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes, in the order of the network's outputs."""
        return self.task.labels

    def was_trained_on(self, sha256: str) -> bool | None:
        """Whether the network was trained on the photo whose file has this SHA-256; None = the checkpoint does not say."""
        return short_hashes([sha256])[0] in self.trained_on if self.trained_on else None


def short_hashes(sha256: Iterable[str]) -> tuple[str, ...]:
    """The first 32 digits of SHA-256 hashes in hexadecimal, sorted, each once: as ``Checkpoint.trained_on`` has them.

    >>> short_hashes(["9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"])
    ('9f86d081884c7d659a2feaa0c55ad015',)
    """
    return tuple(sorted({digest[: 2 * _HASH_BYTES].lower() for digest in sha256}))


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write the file, whole or not at all, after checking that it reads back.

    Raises InputError or EdgeVisionError when it cannot be written, ModelFileError when it is not a valid checkpoint.
    """
    data = to_plain(checkpoint)
    atomic_write(path, lambda file: torch.save(data, file), check=load_checkpoint)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read and check a file that ``save_checkpoint`` wrote.

    Raises ModelFileError for whatever is not a whole, valid checkpoint; code in the file is never run.

    >>> load_checkpoint("model.pt").arch
    'lite0'
    """
    return from_plain(read_plain(path), str(path))


def is_checkpoint(obj: object) -> bool:
    """Whether an object that ``torch.load`` gave is a checkpoint of ours, of any version."""
    return isinstance(obj, dict) and FORMAT_KEY in obj


def model_from_checkpoint(checkpoint: Checkpoint) -> nn.Module:
    """The network in eval mode, float32, with plain layers (convolution and batch norm apart)."""
    model = backbones.rebuild(checkpoint.arch, len(checkpoint.labels), checkpoint.channels, **checkpoint.arch_options)
    model.load_state_dict(dict(checkpoint.state_dict))
    return model.eval()


def state_digest(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values: the same weights give the same digest in any file."""
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        value = state_dict[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


# ---- file ↔ plain dict ----


def read_plain(path: str | Path, max_bytes: int = MAX_BYTES) -> object:
    """What a ``.pt`` file holds, read with ``weights_only=True``. Raises ModelFileError."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; give a .pt file made by 'edgevision train'")
        if size == 0:
            raise ModelFileError(f"{path} is empty; it was not written completely, train again or copy it anew")
        if size > max_bytes:
            raise ModelFileError(f"{path} has {size >> 20} MiB; more than {max_bytes >> 20} MiB are refused")
        _check_archive(path, size)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; give a .pt file made by 'edgevision train'") from None
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path} holds Python objects that could run code when opened, so it was not opened "
            f"({_gist(error)}). A checkpoint holds only tensors and plain values: get it from a source you trust"
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, EdgeVisionError):
            raise
        raise ModelFileError(
            f"{path} is damaged or not a PyTorch file ({_gist(error)}); copy or make it anew"
        ) from None


def _gist(error: BaseException) -> str:
    """The point of a message of torch's, which runs over many lines."""
    text = str(error)
    if refused := re.search(r"GLOBAL (\S+)", text):
        return f"it asks for {refused[1]}"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= 160 else f"{first[:157]}…"


def _check_archive(path: Path, size: int) -> None:
    """A zip whose entries are stored as they are, as torch writes them, so that nothing unfolds to more than the file;
    and whose checksums hold, which torch.load does not look at."""
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path} is not a whole PyTorch file (a zip archive); it is truncated or something else")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            if not stored or sum(entry.file_size for entry in entries) > size:
                raise ModelFileError(f"{path} has compressed or overlapping entries, which torch.save never writes")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ModelFileError(f"{path} is damaged ({error}); copy or make it anew") from None
    if damaged is not None:
        raise ModelFileError(f"{path} is damaged (the checksum of {damaged} is wrong); copy or make it anew")


def to_plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """The dict that goes into the file. Tensors are detached and on the CPU; photos are uint8 tensors."""
    photos = checkpoint.photos
    return {
        FORMAT_KEY: FORMAT_VERSION,
        "arch": checkpoint.arch,
        "arch_options": dict(checkpoint.arch_options),
        "state_dict": {k: v.detach().cpu().contiguous().clone() for k, v in checkpoint.state_dict.items()},
        "preprocess": checkpoint.preprocess.to_dict(),
        "task": checkpoint.task.to_dict(),
        "training": dict(checkpoint.training),
        "photos": photos and {half: _plain_photos(getattr(photos, half)) for half in _HALVES},
        "channels": None if checkpoint.channels is None else channels_to_plain(checkpoint.channels),
        "trained_on": _hash_rows(short_hashes(checkpoint.trained_on)),
    }


def _bytes_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)


def _hash_rows(hashes: tuple[str, ...]) -> Tensor:
    return _bytes_tensor(bytes.fromhex("".join(hashes))).reshape(-1, _HASH_BYTES)


def _plain_photos(photos: tuple[PackedPhoto, ...]) -> list[dict[str, Any]]:
    return [
        {
            "data": _bytes_tensor(p.data),
            "label": p.label,
            "in_training_set": p.in_training_set,
            "source_sha256": p.source_sha256,
            "boxes": None if p.boxes is None else [p.boxes.height, p.boxes.width, [list(box) for box in p.boxes.boxes]],
            "attributes": None if p.attributes is None else list(p.attributes),
        }
        for p in photos
    ]


# ---- plain dict → checked value ----

_HALVES = ("calibration", "validation")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "arch": str,
    "arch_options": dict,
    "state_dict": dict,
    "preprocess": dict,
    "task": dict,
    "training": dict,
    "photos": (dict, type(None)),
    "channels": (dict, type(None)),
}


def from_plain(obj: object, name: str) -> Checkpoint:
    """Check the dict that ``torch.load`` gave; ``name`` is the file's, for messages. Raises ModelFileError."""
    if not isinstance(obj, dict) or FORMAT_KEY not in obj:
        raise ModelFileError(f"{name} is not an EdgeVision checkpoint; one is made by 'edgevision train'")
    version = obj[FORMAT_KEY]
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(
            f"{name} is a checkpoint of version {version!r}, this EdgeVision reads versions up to {FORMAT_VERSION}; "
            f"install the EdgeVision that wrote it, or train again"
        )
    if version == 1:
        obj = _as_version_2(obj, name)
    for key, kind in _KEYS.items():
        if key not in obj or not isinstance(obj[key], kind):
            got = type(obj[key]).__name__ if key in obj else "nothing"
            raise ModelFileError(f"{name}: {key!r} of a checkpoint is {_kind_name(kind)}, got {got}; make it anew")
    try:
        task = TaskSpec.from_dict(obj["task"])
        make_task(task)
        checkpoint = Checkpoint(
            arch=obj["arch"],
            arch_options=obj["arch_options"],
            state_dict=obj["state_dict"],
            preprocess=PreprocessSpec.from_dict(obj["preprocess"]),
            task=task,
            photos=None if obj["photos"] is None else _photo_pack(obj["photos"], len(task.labels)),
            training=obj["training"],
            channels=None if obj["channels"] is None else channels_from_plain(obj["channels"]),
            trained_on=_trained_on(obj.get("trained_on")),
        )
        _check_state(checkpoint)
    except InputError as error:
        raise ModelFileError(f"{name}: {error}") from None
    return checkpoint


def _kind_name(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join("None" if k is type(None) else k.__name__ for k in kinds)


def _as_version_2(obj: dict[str, Any], name: str) -> dict[str, Any]:
    """A version 1 checkpoint with the keys of version 2. Raises ModelFileError where it has not its own."""
    rows, layout = obj.get("labels"), obj.get("output")
    if not isinstance(rows, list) or not isinstance(layout, str):
        raise ModelFileError(f"{name}: a checkpoint of version 1 has 'labels' and 'output'; make it anew")
    for row in rows:
        if not isinstance(row, (list, tuple)) or [type(value) for value in row] != [int, str]:
            raise ModelFileError(f"{name}: a label is [id, name], a whole number and a text, got {row!r}")
    photos = obj.get("photos")
    if isinstance(photos, dict):
        photos = {"validation" if half == "judge" else half: content for half, content in photos.items()}
    task = classify_spec([Label(*row) for row in rows], layout)
    return {**obj, "task": task.to_dict(), "photos": photos}


def _photo_pack(data: dict[str, Any], classes: int) -> PhotoPack:
    halves = []
    for half in _HALVES:
        photos = data.get(half)
        if not isinstance(photos, list) or len(photos) > MAX_PHOTOS:
            raise InputError(f"photos have a list {half!r} of at most {MAX_PHOTOS} photos, got {type(photos).__name__}")
        halves.append(tuple(_photo(photo, classes) for photo in photos))
    return PhotoPack(*halves)


def _photo(photo: object, classes: int) -> PackedPhoto:
    if not isinstance(photo, dict):
        raise InputError(f"a packed photo is a dict, got {type(photo).__name__}")
    data, label = photo.get("data"), photo.get("label")
    in_training_set = photo.get("in_training_set", photo.get("seen"))  # as version 1 called it
    if not isinstance(data, Tensor) or data.dtype != torch.uint8 or data.ndim != 1 or not _own_storage(data):
        raise InputError("the data of a packed photo is a flat uint8 tensor")
    if label is not None and (type(label) is not int or not 0 <= label < classes):
        raise InputError(f"the label of a packed photo is None or 0…{classes - 1}, got {label!r}")
    if not isinstance(in_training_set, bool):
        raise InputError(f"'in_training_set' of a packed photo is true or false, got {in_training_set!r}")
    source = photo.get("source_sha256")
    if source is not None and (not isinstance(source, str) or not _SHA256.fullmatch(source)):
        raise InputError(f"'source_sha256' of a packed photo is None or 64 hexadecimal digits, got {source!r}")
    boxes = photo.get("boxes")  # checkpoints of classifiers do not have them
    known = photo.get("attributes")  # only those of models of attributes have them
    return PackedPhoto(
        data.numpy().tobytes(), label, in_training_set, source, None if boxes is None else _boxes(boxes, classes),
        None if known is None else _attributes(known, classes),
    )  # fmt: skip


def _attributes(data: object, classes: int) -> tuple[int, ...]:
    if not isinstance(data, list) or len(data) > classes:
        raise InputError(f"'attributes' of a packed photo are a list of at most {classes} values")
    if bad := [place for place in data if type(place) is not int or not 0 <= place < classes]:
        raise InputError(f"an attribute of a packed photo is 0…{classes - 1}, got {bad[0]!r}")
    return tuple(data)


def _boxes(data: object, classes: int) -> PhotoBoxes:
    if not isinstance(data, list) or len(data) != 3 or not isinstance(data[2], list):
        raise InputError("'boxes' of a packed photo are its height, its width and a list")
    height, width, rows = data
    if not all(type(side) is int and 0 < side <= MAX_SIDE_PX for side in (height, width)):
        raise InputError(
            f"a packed photo has a height and width of 1…{MAX_SIDE_PX} pixels, got {height!r} and {width!r}"
        )
    return PhotoBoxes(height, width, tuple(_box(row, classes) for row in rows))


def _box(row: object, classes: int) -> Box:
    if not isinstance(row, (list, tuple)) or len(row) != len(Box._fields):
        raise InputError(f"a box of a packed photo has {list(Box._fields)}, got {row!r}")
    label, *corners, crowd, area = row
    numbers = corners if area is None else [*corners, area]
    if type(label) is not int or not 0 <= label < classes or type(crowd) is not bool:
        raise InputError(
            f"a box of a packed photo has a class of 0…{classes - 1}, and crowd true or false, got {row!r}"
        )
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        raise InputError(f"corners and area of a box of a packed photo are finite numbers, got {row!r}")
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    return Box(label, x1, y1, x2, y2, crowd, None if area is None else float(area))


def _trained_on(hashes: object) -> tuple[str, ...]:
    if hashes is None:
        return ()
    right = isinstance(hashes, Tensor) and hashes.dtype == torch.uint8 and hashes.ndim == 2 and _own_storage(hashes)
    if not isinstance(hashes, Tensor) or not right or hashes.shape[1] != _HASH_BYTES:
        raise InputError(f"'trained_on' is a uint8 tensor of [photos, {_HASH_BYTES}]")
    digits = hashes.numpy().tobytes().hex()
    return tuple(digits[start : start + 2 * _HASH_BYTES] for start in range(0, len(digits), 2 * _HASH_BYTES))


def _own_storage(tensor: Tensor) -> bool:
    """Whether every element has its own place in memory: no strides that make little data look like much."""
    return tensor.is_contiguous() and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _check_state(checkpoint: Checkpoint) -> None:
    """The state dict has exactly the names, shapes and kinds of the network."""
    expected = backbones.state_layout(
        checkpoint.arch, len(checkpoint.labels), channels=checkpoint.channels, **checkpoint.arch_options
    )
    state = checkpoint.state_dict
    what = f"the weights do not fit {checkpoint.arch} with {len(checkpoint.labels)} classes"
    if missing := [key for key in expected if key not in state]:
        raise InputError(f"{what}: {len(missing)} are missing, {missing[0]!r} first")
    if unknown := [key for key in state if key not in expected]:
        raise InputError(f"{what}: {len(unknown)} are unknown, {unknown[0]!r} first")
    for key, want in expected.items():
        got = state[key]
        if not isinstance(got, Tensor) or got.shape != want.shape or not _own_storage(got):
            shape = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
            raise InputError(f"{what}: {key} has shape {tuple(want.shape)}, got {shape}")
        if got.is_floating_point() != want.is_floating_point():
            raise InputError(f"{what}: {key} is {want.dtype}, got {got.dtype}")
        if got.is_floating_point() and not bool(torch.isfinite(got).all()):
            raise InputError(f"the weights hold NaN or infinity in {key}; train again with a lower --lr")
