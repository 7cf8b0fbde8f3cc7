"""Where the ``edgevision`` command begins, and ends: Ctrl-C gives one line and status 130, from the first moment to the last.

Nothing of ours is imported here before that is so.
"""

import os
import signal

MESSAGE = "stopped by the user; nothing is left half-written"
STATUS = 130  # as shells have it: 128 + SIGINT


def main() -> int:
    """Run the command line of this process; returns the exit status."""
    ours = (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )  # a shell's background jobs ignore it: let them
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from edgevision.cli import interrupts
    from edgevision.cli.main import main as run_command

    try:
        status = run_command()
    except KeyboardInterrupt:  # a second one, while the first was being told
        status = STATUS
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is open any more: the next one ends the process at once
    if status == STATUS:
        interrupts.leave_at_once(status)
    return status


def _leave(number: int, frame: object) -> None:
    """While the command starts: nothing is open yet, and what is being imported need not be."""
    os.write(2, f"edgevision: {MESSAGE}\n".encode())
    os._exit(STATUS)
