"""Cameras of this machine (V4L2), by the name that stays theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.errors import InputError, SourceError
from edgevision.streams.options import CameraOptions
from edgevision.streams.reasons import Reason
from edgevision.streams.sources.ffmpeg import device_options, explain
from edgevision.streams.sources.live import LiveCamera

if TYPE_CHECKING:
    from av.container import InputContainer

FOLDERS = (Path("/dev/v4l/by-id"), Path("/dev/v4l/by-path"))


class DeviceCamera(LiveCamera):
    """A USB or CSI camera, by its name in /dev/v4l/by-id (the device itself) or /dev/v4l/by-path (the socket it is plugged into).

    Not by /dev/video0: such numbers are given anew at each start, and another camera would answer.
    """

    def __init__(self, options: CameraOptions, device: str, folders: tuple[Path, ...] = FOLDERS) -> None:
        """``device``: a name in one of ``folders``, or its whole path. Raises InputError for anything else.

        The camera need not be there yet.
        """
        super().__init__(options)
        self._path = _stable_path(options.name, device, folders)

    def _connected(self) -> InputContainer:
        import av

        if not self._path.exists():
            raise SourceError(Reason.GONE, f"there is no {self._path}; is it plugged in?")
        wait_s = self._options.timeout_s
        try:
            return av.open(str(self._path), format="v4l2", options=device_options(), timeout=(wait_s, wait_s))
        except (av.error.FFmpegError, ValueError) as error:
            reason, words = explain(error, opening=True)
        raise SourceError(reason, f"{self._path}: {words}")


def _stable_path(camera: str, device: str, folders: tuple[Path, ...]) -> Path:
    path = Path(device)
    if path.parent in folders:
        return path
    if len(path.parts) == 1 and device != "..":
        candidates = [folder / device for folder in folders]
        return next((one for one in candidates if one.exists()), candidates[0])
    found = sorted(one.name for folder in folders if folder.is_dir() for one in folder.iterdir())
    raise InputError(
        f"camera {camera!r}: {device!r} may be another camera after a restart; name it as in "
        f"{' or '.join(map(str, folders))}. Here are: {', '.join(found) or 'none'}"
    )
