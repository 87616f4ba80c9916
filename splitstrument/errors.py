"""Errors that a user can mend.

Each message is one sentence that names the file or setting, says what was expected and how to mend it. The command
line prints it without a traceback and exits with status 1; anything else that is raised is a bug.
"""

from __future__ import annotations

import errno


class SplitstrumentError(Exception):
    """Base of every error whose message is meant for the user."""


class AudioFileError(SplitstrumentError):
    """A file that is no audio, is damaged, or cannot be read or written as asked."""


class SettingsError(SplitstrumentError):
    """A recipe, setting or flag that is wrong."""


class DatasetError(SplitstrumentError):
    """A dataset or a folder of tracks that is missing, incomplete or inconsistent."""


class ModelError(SplitstrumentError):
    """A model or run folder that is missing, damaged, foreign or of another target."""


class TrainingError(SplitstrumentError):
    """A training that cannot start or must not go on."""


class MissingExtraError(SplitstrumentError):
    """A command needs an optional part of the package, or a program, that is not installed."""


class FolderInUseError(SplitstrumentError):
    """Another process writes to the same place."""


class CancelledError(SplitstrumentError):
    """The user, or a progress callback, asked to stop."""


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Say which extra of the package brings `what`."""
    return MissingExtraError(
        f"{what} needs packages that are not installed: run `pip install 'splitstrument[{extra}]'` and try again."
    )


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no other file will do better
_REMEDIES = {
    errno.ENOSPC: "the disk is full, make room or write elsewhere",
    errno.EDQUOT: "the disk quota is used up, make room or write elsewhere",
    errno.EFBIG: "the file grew past the largest size allowed there, write elsewhere",
    errno.EROFS: "the disk is read-only, write elsewhere",
    errno.EACCES: "there is no permission, mend that or write elsewhere",
    errno.EPERM: "there is no permission, mend that or write elsewhere",
    errno.ENOENT: "there is no such file, check the path",
    errno.ELOOP: "it is a symbolic link that leads to itself, remove it",
    errno.ENAMETOOLONG: "the name is too long, shorten it",
    errno.EMFILE: "too many files are open, run fewer jobs at once",
}


def file_error_text(error: OSError) -> str:
    """One sentence about what the operating system refused, and how to mend it."""
    name = error.filename2 or error.filename or "A file"
    name = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    remedy = _REMEDIES.get(error.errno or 0, "check the file, its permissions and the free space")
    return f"{name} could not be read or written ({error.strerror or error}): {remedy}."
