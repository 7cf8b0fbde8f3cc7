from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgevision import files
from edgevision.errors import EdgeVisionError, InputError
from edgevision.files import atomic_write, ensure_writable, is_same_file, is_temporary, read_regular


@pytest.mark.parametrize("content", [b"", b"x", bytes(3_000_000)])
@pytest.mark.parametrize("as_function", [False, True])
def test_writes(tmp_path, content, as_function):
    path = tmp_path / "out.bin"
    for _ in range(2):  # new, then replaced
        atomic_write(str(path), (lambda file: file.write(content)) if as_function else content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_one_file_by_several_names(tmp_path):
    path, other, link, missing = (tmp_path / name for name in ("a", "b", "link", "missing"))
    path.write_bytes(b"same")
    other.write_bytes(b"same")
    link.symlink_to(path)
    assert is_same_file(path, link)
    assert is_same_file(str(path), tmp_path / "." / "a")
    for unlike in (other, missing, tmp_path, "a\0b"):
        assert not is_same_file(path, unlike)
    assert not is_same_file(missing, missing)


def test_the_function_may_seek_and_read_back_its_place(tmp_path):
    def write(file):
        file.write(b"....data")
        assert file.tell() == 8
        file.seek(0)
        file.write(b"head")

    atomic_write(tmp_path / "out.bin", write)
    assert (tmp_path / "out.bin").read_bytes() == b"headdata"


def test_old_content_stays_until_the_end(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")

    def write(file):
        file.write(bytes(100_000))
        assert path.read_bytes() == b"old"

    def check(temporary):
        assert is_temporary(temporary)
        assert temporary.parent == path.parent
        assert temporary.read_bytes() == bytes(100_000)
        assert path.read_bytes() == b"old"

    atomic_write(path, write, check=check)
    assert path.read_bytes() == bytes(100_000)


def test_the_file_is_synced_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(fd):
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"sync {os.fstat(fd).st_size} bytes")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", lambda *a, **k: (calls.append("rename"), replace(*a, **k))[1])
    atomic_write(tmp_path / "out.bin", b"12345")
    assert calls == ["sync 5 bytes", "rename", "sync folder"]


@pytest.mark.parametrize(
    "raised", [ValueError("boom"), KeyboardInterrupt(), InputError("no"), OSError(errno.EIO, "I/O")]
)
@pytest.mark.parametrize("where", ["data", "check"])
def test_failures_leave_nothing_behind(tmp_path, raised, where):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")

    def fail(file):
        if where == "data":
            file.write(b"half")
        raise raised

    expected = EdgeVisionError if isinstance(raised, OSError) else type(raised)
    with pytest.raises(expected):
        atomic_write(path, fail if where == "data" else b"new", check=fail if where == "check" else None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ---- what a file system may say ----


@pytest.mark.parametrize(
    ("call", "code", "kind", "message"),
    [
        ("open", errno.EROFS, InputError, "read-only; choose another place"),
        ("open", errno.EACCES, InputError, "permission denied; choose a folder"),
        ("open", errno.ENOSPC, EdgeVisionError, "the disk is full; free some space"),
        ("fsync", errno.ENOSPC, EdgeVisionError, "the disk is full; free some space"),
        ("fsync", errno.EDQUOT, EdgeVisionError, "quota is used up"),
        ("fsync", errno.EIO, EdgeVisionError, "check the disk"),
        ("replace", errno.EPERM, InputError, "permission denied"),
        ("replace", errno.ENAMETOOLONG, InputError, "name is too long"),
        ("replace", errno.EBUSY, EdgeVisionError, "choose another place"),
    ],
)
def test_reasons(tmp_path, monkeypatch, call, code, kind, message):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")

    def fail(*args, **options):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(EdgeVisionError, match=message) as raised:
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"cannot write {path}: ")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("size", [10, 100_000])  # found at flush, found at write
def test_a_full_disk(tmp_path, monkeypatch, size):
    """The descriptor is the kernel's own full disk."""
    create = files._create_temporary

    def on_full_disk(folder):
        temporary, descriptor = create(folder)
        os.close(descriptor)
        return temporary, os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(files, "_create_temporary", on_full_disk)
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(EdgeVisionError, match=r"out\.bin: the disk is full"):
        atomic_write(path, bytes(size))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_another_error(tmp_path, monkeypatch):
    """``torch.save`` turns the system's error into a RuntimeError about positions; the user still reads why."""

    def on_full_disk(folder):
        return folder / "temporary", os.open("/dev/full", os.O_WRONLY)

    def save(file):
        try:
            file.write(bytes(100_000))
        except OSError:
            raise RuntimeError("unexpected pos 768 vs 662") from None

    monkeypatch.setattr(files, "_create_temporary", on_full_disk)
    with pytest.raises(EdgeVisionError, match="the disk is full"):
        atomic_write(tmp_path / "out.bin", save)


def test_a_file_size_limit(tmp_path):
    """As ``ulimit -f`` sets it; in a process of its own, since it cannot be raised again."""
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from edgevision.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: atomic_write(sys.argv[1], bytes(50_000))\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"EdgeVisionError cannot write {path}: the file is larger than the limit")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("act", [lambda path: atomic_write(path, b"new"), ensure_writable])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("none/out.bin", "the folder does not exist; create it"),
        ("file/out.bin", "its parent is a file"),
        ("folder", "it is a folder; give the name of a file"),
        ("folder/", "it is a folder"),
        ("", "it is a folder"),
        ("loop", "round in a circle"),
        ("pipe", "a device or a pipe"),
        ("null", "a device or a pipe"),
        ("a\0b", "not a file name"),
    ],
)
def test_targets_that_cannot_be_files(tmp_path, monkeypatch, act, target, message):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "null").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        act(target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("act", [lambda path: atomic_write(path, b"new"), ensure_writable])
def test_a_read_only_folder(tmp_path, act):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="permission denied"):
            act(path)
        assert path.read_bytes() == b"old"
    finally:
        tmp_path.chmod(0o700)


def test_a_name_of_the_longest_length(tmp_path):
    path = tmp_path / ("n" * 255)
    atomic_write(path, b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(InputError, match="name is too long"):
        atomic_write(tmp_path / ("n" * 256), b"x")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES])
def test_file_systems_that_cannot_sync_folders(tmp_path, monkeypatch, code):
    fsync = os.fsync

    def only_files(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    atomic_write(tmp_path / "out.bin", b"x")
    assert (tmp_path / "out.bin").read_bytes() == b"x"


# ---- what is kept ----


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "models").mkdir()
    link = tmp_path / "current.edge"
    link.symlink_to("models/v1.edge")
    for content in (b"new", b"newer"):  # to a file that is not there yet, then to one that is
        atomic_write(link, content)
        assert link.is_symlink()
        assert (tmp_path / "models/v1.edge").read_bytes() == content
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["v1.edge"]


def test_permissions(tmp_path):
    path = tmp_path / "out.bin"
    before = os.umask(0o027)
    try:
        atomic_write(path, b"x")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # as any new file
        path.chmod(0o604)
        atomic_write(path, b"y")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604  # the old file's
    finally:
        os.umask(before)


def test_ensure_writable_touches_nothing(tmp_path):
    path = tmp_path / "out.bin"
    ensure_writable(path)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"old")
    ensure_writable(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "temporary"),
    [
        (".edgevision-0123456789abcdef.tmp", True),
        ("/some/where/.edgevision-0123456789abcdef.tmp", True),
        (".edgevision-0123456789abcdef.tmp/model.edge", False),
        (".edgevision-0123456789abcdef.tmp.edge", False),
        ("edgevision-0123456789abcdef.tmp", False),
        (".edgevision-x.tmp", False),
        ("model.edge", False),
    ],
)
def test_temporary_names(name, temporary):
    assert is_temporary(name) is temporary


@pytest.mark.parametrize("limit", [0, 1, 20_000, 49_999])
def test_killed_in_the_middle_of_a_write(tmp_path, limit):
    """SIGXFSZ ends the process at exactly this byte of the file: the old one stays, the next write works."""
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from edgevision.files import atomic_write\n"
        "limit = int(sys.argv[2]); signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "atomic_write(sys.argv[1], bytes(50_000))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(limit)], check=False)
    assert done.returncode == -signal.SIGXFSZ
    assert path.read_bytes() == b"old"
    left = [p for p in tmp_path.iterdir() if p != path]
    assert [is_temporary(p) for p in left] == [True]
    assert left[0].stat().st_size == limit
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"


# ---- reading what a cache holds ----


def test_a_regular_file_is_read_up_to_the_limit(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    (tmp_path / "link").symlink_to("x")
    assert read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="more than the 4 bytes"):
        read_regular(path, 4)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
    ],
    ids=["pipe", "folder", "device", "loop"],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, message):
    make(tmp_path / "x")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.glob("*")))
    with pytest.raises(OSError, match=message):
        read_regular(tmp_path / "x", 5)
    assert len(list(descriptors.glob("*"))) == before


@pytest.mark.parametrize("limit", [5, 10**12, 2**63 - 1])
def test_a_generous_limit_costs_nothing(tmp_path, limit):
    """Python allocates what a file is asked for before it reads."""
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(tmp_path / "file", limit) == b"12345"
