"""Where the ``edgevision`` command begins, and ends: Ctrl-C gives one line and status 130, from the first moment to the last.

Nothing but the words for it is imported before that is so.
"""

import os
import signal

from edgevision.cli.stopped import MESSAGE, STATUS


def main() -> int:
    """Run the command line of this process; returns the exit status."""
    # A shell's background jobs ignore SIGINT: they go on doing so.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
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
