"""The models that the demonstrator offers, with their cards and examples of failures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from demonstrator.markdown import to_html
from demonstrator.settings import DemonstratorSettings
from splitstrument.errors import SettingsError
from splitstrument.files import safe_name
from splitstrument.model_folder import ModelFolder
from splitstrument.settings import Settings, read_yaml, validate

FAILURES = "failures.yaml"
MAX_CARD = 40_000  # characters: rendering takes the square of what is made to take time


class FailureEntry(Settings):
    """One entry of a model's failures.yaml: file names by what they hold."""

    title: str
    sounds: dict[str, str]


class FailureList(Settings):
    """A model's failures.yaml."""

    failures: list[FailureEntry]


@dataclass(frozen=True)
class Failure:
    """Seconds of a song that a model spoils.

    Attributes
    ----------
    sounds
        What to play, by its label: the song, the model's answer, what was asked for.
    """

    title: str
    sounds: dict[str, Path]


@dataclass(frozen=True)
class OfferedModel:
    """A model that visitors may choose."""

    name: str
    folder: ModelFolder

    @property
    def targets(self) -> tuple[str, ...]:
        """The instruments that it extracts, in order."""
        return self.folder.settings.names

    def label(self, stem: str) -> str:
        """Return what people call a stem: the instrument of a model of one by its own name."""
        return self.targets[0] if stem == "instrument" else stem

    @property
    def summary(self) -> str:
        """One line about it."""
        return self.folder.description.summary

    @cached_property
    def card(self) -> str:
        """Its model card as HTML, rendered once; empty if there is none."""
        path = self.folder.path / "card.md"
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return to_html(file.read(MAX_CARD))

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """Sounds of what it gets wrong, if its folder lists any (see `splitstrument.release.failures`)."""
        listed = self.folder.path / FAILURES
        if not listed.is_file():
            return ()
        entries = validate(read_yaml(listed), FailureList, str(listed)).failures
        return tuple(Failure(entry.title, _files_beside(listed, entry.sounds)) for entry in entries)


def offered_models(settings: DemonstratorSettings, config_folder: Path) -> dict[str, OfferedModel]:
    """Models by the name that pages use; a request can only choose among these names.

    Raises
    ------
    SettingsError
        If there is none, or two have the same name.
    ModelError
        If one is not there.
    """
    from splitstrument.model_folder import find_model, shipped_models

    entries = [(entry.model, entry.name) for entry in settings.models] or [(name, name) for name in shipped_models()]
    offered: dict[str, OfferedModel] = {}
    for model, name in entries:
        beside = config_folder / model
        folder = find_model(beside if beside.is_dir() else model)
        name = name or safe_name(folder.description.name, 60)
        if name in offered:
            raise SettingsError(f"Two models are called {name!r}: give one of them another `name` under `models`.")
        offered[name] = OfferedModel(name, folder)
    if not offered:
        raise SettingsError(
            "There is no model to offer: this installation ships none; name a run folder under `models` in a "
            "configuration file and start with `splitstrument demo --config FILE`."
        )
    return offered


def _files_beside(listing: Path, names: dict[str, str]) -> dict[str, Path]:
    """Files that a list names, if they lie in its own folder."""
    files = {label: listing.with_name(safe_name(name)) for label, name in names.items()}
    return {label: path for label, path in files.items() if path.is_file()}
