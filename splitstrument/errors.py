"""Errors that a user can mend.

Each message is one sentence that names the file or setting, says what was expected and how to mend it. The command
line prints it without a traceback and exits with status 1; anything else that is raised is a bug.
"""

from __future__ import annotations


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


class CancelledError(SplitstrumentError):
    """The user, or a progress callback, asked to stop."""


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """Say which extra of the package brings `what`."""
    return MissingExtraError(
        f"{what} needs packages that are not installed: run `pip install 'splitstrument[{extra}]'` and try again."
    )
