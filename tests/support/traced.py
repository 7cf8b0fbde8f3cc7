"""What a program does to the machine, seen from outside: its system calls, by strace."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OPENS = ("open", "openat", "openat2", "creat")
CHANGES = (
    "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "rmdir", "truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utimensat",
)  # fmt: skip
NETWORK = ("socket", "connect", "bind", "sendto", "sendmsg", "sendmmsg")
STARTS = ("execve", "execveat")
CALLS = (*OPENS, *CHANGES, *NETWORK, *STARTS)

_CALL = re.compile(r"([\d.]+) (\w+)\((.*)\) += (-?\d+ EEXIST|-?\d+|\?)")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')  # folder that it is relative to, path
_THERE = "-1 EEXIST"  # what was to be made is there already: nothing changes
_WRITES = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)")


@dataclass(frozen=True)
class Seen:
    """``written``: paths that were to be created, written, renamed or removed, whether that worked or
    not, links followed.
    ``network``: calls that have to do with internet addresses or with looking up names. ``started``: the programs that
    were started besides the traced one, each as strace shows its arguments. ``printed``: stdout and stderr."""

    written: tuple[Path, ...]
    network: tuple[str, ...]
    started: tuple[str, ...]
    printed: str

    def written_outside(self, *folders: Path) -> list[str]:
        """Of ``written``, what lies in none of ``folders`` and is none of the folders above them."""
        roots = [Path(os.path.realpath(folder)) for folder in folders]
        return sorted({
            str(path) for path in self.written
            if not any(path == root or root in path.parents or path in root.parents for root in roots)
        })  # fmt: skip


def trace(command: Sequence[str], folder: Path, cwd: Path, environment: Mapping[str, str]) -> Seen:
    """Run ``command`` to its end, in ``cwd``. ``folder``: for the traces; made here. The command has to succeed."""
    folder.mkdir()
    # One file for each thread (-ff), so that no call is cut in two; descriptors with their paths (-y), each call's time (-ttt).
    strace = ["strace", "-ff", "-y", "-ttt", "-qq", "-s", "4096", "--seccomp-bpf", "-e", f"trace={','.join(f'?{c}' for c in CALLS)}",
              "-e", "signal=none", "-o", str(folder / "trace"), *command]  # fmt: skip
    done = subprocess.run(strace, capture_output=True, text=True, check=False, cwd=cwd, env=dict(environment))
    assert done.returncode == 0, done.stdout + done.stderr
    # By time, so that the traced program comes first: the files are named by numbers of processes, which begin anew.
    timed = sorted((call for file in folder.iterdir() for call in _calls(file)), key=lambda call: call[0])
    calls = [(name, text, result) for _, name, text, result in timed]
    return Seen(
        tuple(
            Path(os.path.realpath(cwd / path))
            for name, text, result in calls
            if result != _THERE
            for path in _written(name, text)
        ),
        tuple(f"{name}({text})" for name, text, _ in calls if _is_network(name, text)),
        tuple(text for name, text, result in calls if name in STARTS and result == "0")[1:],
        done.stdout + done.stderr,
    )


def _calls(file: Path) -> Iterator[tuple[float, str, str, str]]:
    """(time in seconds, name, arguments, result) of each system call."""
    for line in file.read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            yield float(match[1]), match[2], match[3], match[4]


def _written(name: str, arguments: str) -> Iterator[Path]:
    paths = [Path(folder, path) for folder, path in _PATH.findall(arguments)]
    if name in OPENS and (name == "creat" or _WRITES.search(arguments)):
        yield paths[0]
    elif name.startswith("symlink"):
        yield paths[-1]
    elif name in CHANGES:
        yield from paths


def _is_network(name: str, arguments: str) -> bool:
    if name in NETWORK:
        return "AF_INET" in arguments or "resolve" in arguments  # systemd's resolver listens at a path
    return name in OPENS and any(file in arguments for file in ('"/etc/resolv.conf"', '"/etc/hosts"'))
