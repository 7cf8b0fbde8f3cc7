from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from films import LOSSLESS, QUICK, encoded, i420, noise

from edgevision.errors import DamagedFrameError, InputError, SourceError
from edgevision.frames import Frame, PixelFormat
from edgevision.streams.reasons import Reason
from edgevision.streams.sources import ffmpeg
from edgevision.streams.sources.film import VideoFile

pytestmark = pytest.mark.requires("av")
av = pytest.importorskip("av")


def everything(path: Path) -> tuple[list[Frame], list[int]]:
    """All frames, and the numbers that damaged ones took."""
    film = VideoFile("film", path)
    film.open()
    frames, damaged = [], []
    while True:
        try:
            captured = film.read()
        except DamagedFrameError:
            damaged.append(len(frames) + len(damaged))
            continue
        if captured is None:
            break
        frames.append(captured.frame)
    film.close()
    return frames, damaged


@pytest.mark.parametrize("container", ["mp4", "h264", "mpegts", "matroska"])
def test_pixels_of_a_lossless_film_are_what_was_encoded(tmp_path, container):
    luma = noise(12, 96, 130)
    path = tmp_path / "film"
    path.write_bytes(encoded([i420(one) for one in luma], container=container, options=LOSSLESS))
    frames, damaged = everything(path)
    assert not damaged
    assert len(frames) == 12
    for frame, expected in zip(frames, luma, strict=True):
        assert frame.format is PixelFormat.I420
        np.testing.assert_array_equal(frame.planes[0], expected)
        assert (frame.planes[1] == 90).all()
        assert (frame.planes[2] == 170).all()


def test_a_film_can_be_played_again(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(encoded([i420(one) for one in noise(3, 48, 64)], container="mp4", options=QUICK))
    film = VideoFile("film", path)
    counts = []
    for _ in range(2):
        film.open()
        counts.append(len(list(iter(film.read, None))))
        film.close()
    assert counts == [3, 3]
    with pytest.raises(SourceError, match="not open"):
        film.read()


def test_a_film_has_its_own_time_however_fast_it_is_read(tmp_path):
    """Products are followed by it: ten seconds that are read in one are ten seconds."""
    path = tmp_path / "film.mp4"
    path.write_bytes(encoded([i420(one) for one in noise(4, 48, 64)], container="mp4", options=QUICK))
    before_ns = time.time_ns()
    frames, _ = everything(path)
    times = [one.captured_ns for one in frames]
    assert [one - times[0] for one in times] == [40_000_000 * n for n in range(4)]
    assert before_ns <= times[0] <= time.time_ns()
    film = VideoFile("film", path, paced=True)  # as a camera without a clock
    film.open()
    assert [one.frame.captured_ns for one in iter(film.read, None)] == [None] * 4
    film.close()


def test_a_film_that_was_cut_out_of_a_longer_one_begins_when_it_is_opened(tmp_path):
    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90 * number, np.uint8), format="bgr24")
            frame.pts = 36_000 * 25 + number  # ten hours into the recording
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    before_ns = time.time_ns()
    frames, _ = everything(path)
    assert before_ns <= frames[0].captured_ns <= time.time_ns()
    assert frames[2].captured_ns - frames[0].captured_ns == pytest.approx(80e6, abs=2e6)


def test_one_spoiled_packet_loses_the_frames_up_to_the_next_key_frame(tmp_path):
    """Of 15 frames with a key frame in each 5, number 7 is spoiled: 7, 8 and 9 are damaged, and nothing else."""
    data = bytearray(encoded([i420(one) for one in noise(15, 96, 128)], options=QUICK))
    starts = [at for at in range(len(data) - 4) if data[at : at + 3] == b"\0\0\1" and data[at + 3] & 31 in (1, 5)]
    assert len(starts) == 15
    spoiled = slice(starts[7] + 10, starts[8] - 8)
    data[spoiled] = np.random.default_rng(0).integers(1, 256, len(data[spoiled]), dtype=np.uint8).tobytes()
    path = tmp_path / "film.h264"
    path.write_bytes(data)
    frames, damaged = everything(path)
    assert damaged == [7, 8, 9]
    assert len(frames) == 12


def test_a_film_that_begins_in_the_middle_begins_with_its_next_key_frame(tmp_path):
    data = encoded([i420(one) for one in noise(15, 96, 128)], container="mpegts", options={**QUICK, "g": "6"})
    whole = tmp_path / "whole.ts"
    whole.write_bytes(data)
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[188 * (len(data) // 188 // 5) :])
    expected, _ = everything(whole)
    frames, _ = everything(cut)
    assert 0 < len(frames) < 15
    np.testing.assert_array_equal(frames[0].planes[0], expected[15 - len(frames)].planes[0])
    assert (15 - len(frames)) % 6 == 0


def of_sizes(path: Path, *sizes: tuple[int, int]) -> Path:
    """A film that changes its size after each three frames."""
    parts = [encoded([i420(one) for one in noise(3, *size)], options=QUICK) for size in sizes]
    one_pixel = encoded([np.full((3, 1, 1), 120, np.uint8)] * 3, format="yuv444p", options=QUICK)
    path.write_bytes(one_pixel.join(parts))
    return path


def test_sizes_may_change_even_to_one_pixel(tmp_path):
    frames, damaged = everything(of_sizes(tmp_path / "film.h264", (96, 128), (48, 64)))
    assert [(frame.height, frame.width) for frame in frames] == [(96, 128)] * 3 + [(1, 1)] * 3 + [(48, 64)] * 3
    assert not damaged


def test_a_giant_is_refused_before_it_is_decoded_and_what_follows_is_not(tmp_path, monkeypatch):
    monkeypatch.setitem(ffmpeg._DECODER, "max_pixels", str(200 * 100))
    frames, damaged = everything(of_sizes(tmp_path / "film.h264", (96, 128), (400, 600), (48, 64)))
    sizes = [(frame.height, frame.width) for frame in frames]
    assert sizes[-6:] == [(1, 1)] * 3 + [(48, 64)] * 3
    assert (400, 600) not in sizes
    assert len(damaged) >= 3


def test_the_largest_picture_is_bounded():
    assert 0 < ffmpeg.MAX_PIXELS < 2**26
    assert ffmpeg.decoder_options(live=True)["max_pixels"] == str(ffmpeg.MAX_PIXELS)


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
@pytest.mark.parametrize("seed", range(12))
def test_noise_in_a_film_never_does_more_than_lose_frames(tmp_path, codec, seed):
    random = np.random.default_rng(seed)
    options = QUICK if codec == "libx264" else {}
    format = "yuv420p" if codec == "libx264" else "yuvj420p"
    data = bytearray(
        encoded([i420(one) for one in noise(15, 96, 128)], codec=codec, container="mpegts" if seed % 2 else "avi",
                format=format, options=options)
    )  # fmt: skip
    for at in random.integers(2000, len(data), 40):
        data[at] = random.integers(256)
    path = tmp_path / "film"
    path.write_bytes(data[: random.integers(len(data) // 2, len(data) + 1)])
    try:
        frames, _ = everything(path)
    except SourceError as error:
        assert error.reason in (Reason.UNSUPPORTED, Reason.CORRUPT)  # noqa: PT017 - others may play
        return
    assert len(frames) <= 20
    assert all(frame.planes[0].shape[:2] == (frame.height, frame.width) for frame in frames)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{film}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{film}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD><Period><AdaptationSet><BaseURL>file://{film}</BaseURL></AdaptationSet></Period></MPD>',
    "text": "secret text that is no film\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".sdp", ".mpd"])
def test_a_file_that_names_other_files_is_refused(tmp_path, kind, suffix):
    film = tmp_path / "film.mp4"
    film.write_bytes(encoded([i420(one) for one in noise(3, 48, 64)], container="mp4", options=QUICK))
    path = tmp_path / f"list{suffix}"
    path.write_text(PLAYLISTS[kind].format(film=film))
    playlist = VideoFile("film", path)
    with pytest.raises(SourceError, match="cannot be played") as caught:
        playlist.open()
    assert caught.value.reason is Reason.UNSUPPORTED


def test_names_that_mean_something_to_ffmpeg_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = encoded([i420(one) for one in noise(3, 48, 64)], container="mp4", options=QUICK)
    for name in ("concat:a|b", "-i", "a%03d.mp4", "pipe:0"):
        Path(name).write_bytes(data)
        frames, _ = everything(Path(name))
        assert len(frames) == 3


def test_sound_alone_is_no_film(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())
    film = VideoFile("film", path)
    with pytest.raises(SourceError, match="no pictures") as caught:
        film.open()
    assert caught.value.reason is Reason.UNSUPPORTED
    film.close()


def test_a_paced_film_takes_its_time_and_can_be_interrupted(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(encoded([i420(one) for one in noise(4, 48, 64)], container="mp4", fps=2, options=QUICK))
    film = VideoFile("film", path, paced=True)
    assert film.live
    film.open()
    begin_s = time.monotonic()
    first, second = film.read(), film.read()
    assert second.received_s - first.received_s > 0.4  # half a second, by the film
    assert time.monotonic() - begin_s < 60
    threading.Timer(0.05, film.interrupt).start()
    film.read()
    assert film.read() is None
    film.close()


def test_a_film_that_is_not_there_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(InputError, match="no video file"):
        VideoFile("film", tmp_path / "film.mp4")
