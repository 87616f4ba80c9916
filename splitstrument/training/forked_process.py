"""A training in a forked process: the framework is imported once, which saves seconds a training.

Only systems with ``os.fork`` have it, and the parent must never compute: TensorFlow starts its threads with its first
operation, and threads do not survive a fork.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from splitstrument.errors import TrainingError


class ForkedProcess:
    """A command in a fork of this process, with the part of `subprocess.Popen` that a queue uses.

    Parameters
    ----------
    main
        Runs the command line ``main(arguments)`` and ends with `SystemExit`.

    Attributes
    ----------
    stdout
        What the process writes there and to stderr, to be read as it comes.
    """

    def __init__(self, main: Callable[[list[str]], object], arguments: Sequence[str]) -> None:
        if not hasattr(os, "fork"):
            raise TrainingError("This system cannot fork processes: leave --warm out.")
        import splitstrument.training.run  # noqa: F401  what is worth importing before the fork

        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            _run(main, list(arguments))
        os.close(writing)
        self.stdout: TextIO = os.fdopen(reading, encoding="utf-8", errors="replace")

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for the end; the exit status, or minus the signal that ended it."""
        self.stdout.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _run(main: Callable[[list[str]], object], arguments: list[str]) -> None:
    """Be the command, and end without what the parent has registered for its own end."""
    status = 1
    sys.argv = ["splitstrument", *arguments]
    try:
        main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
