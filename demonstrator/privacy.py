"""Songs, the database and the key are for the user who runs the server: files 0600 in folders 0700."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from splitstrument.errors import SettingsError

PRIVATE_UMASK = 0o077
OURS = ("jobs", "jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm", "key", "lock")


def make_private(folder: Path) -> int:
    """Make what a data folder holds of ours private, and everything that this process writes from now on.

    The folder itself is closed to others unless other things lie in it.

    Returns
    -------
    The umask of before.

    Raises
    ------
    SettingsError
        If the folder cannot be made or belongs to somebody else.
    """
    before = os.umask(PRIVATE_UMASK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if {path.name for path in folder.iterdir()} <= set(OURS):
            folder.chmod(0o700)
        for name in OURS:
            _close(folder / name)
        for path in (folder / "jobs").rglob("*"):
            _close(path)
    except OSError as error:
        os.umask(before)
        raise SettingsError(
            f"The data folder {folder} cannot be used ({error.strerror}): choose one of your own with --data."
        ) from None
    return before


def _close(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # went meanwhile
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
