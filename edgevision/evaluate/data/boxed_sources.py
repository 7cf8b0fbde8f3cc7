"""Which kind of data set a file or folder with boxes is: YOLO, COCO or Pascal VOC."""

from __future__ import annotations

from pathlib import Path

from edgevision.evaluate.data.boxed import BoxedPhotos
from edgevision.evaluate.data.coco import ROBOFLOW, read_coco
from edgevision.evaluate.data.folders import photos_in
from edgevision.evaluate.data.voc import is_voc_folder, read_voc
from edgevision.evaluate.data.yolo import has_labels, read_yolo_folder
from edgevision.evaluate.data.yolo_yaml import is_yolo_yaml, read_yaml, read_yolo

_YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml")


def read_boxed(path: Path, part: str | None = None) -> BoxedPhotos | None:
    """The photos and boxes of ``path``; None where it is no data set with boxes, but a folder of classes, a list, ….

    * a ``data.yaml``, or a folder with one: YOLO;
    * a ``.json``, or a folder with ``_annotations.coco.json``: COCO;
    * a folder with ``Annotations`` and ``JPEGImages``, or with an ``.xml`` beside each photo: Pascal VOC;
    * a folder with ``images`` and ``labels``, or of photos whose labels are in such a ``labels``: YOLO.

    ``part``: ``train``, ``val`` or ``test``, of data sets that name their parts. Raises DataError for files that are one of
    these, and wrong.
    """
    if not path.is_dir():
        return _read_file(path, part)
    named = next((path / name for name in _YAML_NAMES if (path / name).is_file()), None)
    if named is not None:
        return read_yolo(named, part)
    if (path / ROBOFLOW).is_file():
        return read_coco(path / ROBOFLOW)
    if is_voc_folder(path):
        return read_voc(path, part)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return read_yolo_folder(path)
    return read_yolo_folder(path) if has_labels(path, photos_in(path).photos) else None


def named_parts(path: Path) -> tuple[str, ...]:
    """The parts that a data set names, of ``train``, ``val`` and ``test``; none where it does not.

    Raises DataError as ``read_boxed`` does.
    """
    if path.is_dir():
        named = next((path / name for name in _YAML_NAMES if (path / name).is_file()), None)
        lists = path / "ImageSets" / "Main"
        if named is None:
            return tuple(part for part in ("train", "val", "test") if (lists / f"{part}.txt").is_file())
        path = named
    if not is_yolo_yaml(path) or not path.is_file():
        return ()
    return tuple(part for part in ("train", "val", "test") if part in read_yaml(path).parts)


def _read_file(path: Path, part: str | None) -> BoxedPhotos | None:
    if not path.is_file():
        return None
    if is_yolo_yaml(path):
        return read_yolo(path, part)
    return read_coco(path) if path.suffix.lower() == ".json" else None
