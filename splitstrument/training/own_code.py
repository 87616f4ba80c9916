"""The functions of the user's own that a training needs: where they lie, and that they stay the same."""

from __future__ import annotations

from pathlib import Path

from splitstrument.errors import TrainingError
from splitstrument.model_folder import MODEL_FILE, read_model_folder
from splitstrument.settings import load_settings
from splitstrument.training.checkpoint import PROVENANCE_FILE, STATE_FILE
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import CODE_FOLDER, UserCode, is_reference, plugin_files


def references(settings: TrainingSettings) -> list[str]:
    """Each ``module:function`` that the settings name, for loss and network."""
    return [name for name in (settings.loss.name, settings.model.network.kind) if is_reference(name)]


def code_of(recipe_folder: Path | None, is_run: bool = False) -> UserCode:
    """Return the folder of a recipe's functions: beside it, or the ``code/`` of a run folder.

    Who trains a recipe allows the code beside it. Code in a run folder must be on this machine's list, as it is where
    the run was trained here. A folder ``code/`` beside a recipe that is in no run folder is somebody's own affair.

    Parameters
    ----------
    recipe_folder
        Of the recipe; None for settings that lie nowhere.
    is_run
        Whether it is a run folder that the user gave, and no recipe.
    """
    if recipe_folder and (is_run or _keeps_code(recipe_folder)):
        return UserCode((recipe_folder / CODE_FOLDER,), owner=f"The run {recipe_folder}")
    return UserCode((recipe_folder,) if recipe_folder else (), allowed=True, owner="The recipe")


def _keeps_code(folder: Path) -> bool:
    """Tell whether it is a run folder with functions of its own; the lock alone, in ``state/``, makes none."""
    records = (MODEL_FILE, STATE_FILE, PROVENANCE_FILE)
    return (folder / CODE_FOLDER).is_dir() and any((folder / record).is_file() for record in records)


def files_of(code: UserCode, settings: TrainingSettings) -> list[Path]:
    """The Python files of a training's loss and network that are not ours: the user's own, and those of plug-ins."""
    from splitstrument.network.losses.registry import LOSSES
    from splitstrument.network.registry import NETWORKS

    plugins = plugin_files(LOSSES), plugin_files(NETWORKS)
    named = (plugins[0].get(settings.loss.name), plugins[1].get(settings.model.network.kind))
    return [*(code.file_of(reference) for reference in references(settings)), *filter(None, named)]


def digests(code: UserCode, settings: TrainingSettings) -> dict[str, str]:
    """SHA-256 of the file of each function that the settings name."""
    return {reference: code.digest(reference) for reference in references(settings)}


def check_same_code(folder: Path, recorded: dict[str, str], now: dict[str, str]) -> None:
    """Refuse to go on with a training by other code.

    Raises
    ------
    TrainingError
        With the functions whose files differ.
    """
    changed = sorted(name for name in now if recorded.get(name, now[name]) != now[name])
    if changed:
        raise TrainingError(
            f"{folder} was trained with another file of {', '.join(changed)}: resume with --resume -o {folder} alone, "
            f"which takes the code that {folder / CODE_FOLDER} keeps, or train into a new folder."
        )


def code_in(folder: Path) -> tuple[UserCode, list[str]]:
    """The code of a model or run folder, and the functions that it needs."""
    code = UserCode((folder / CODE_FOLDER,), owner=f"The model {folder}")
    if (folder / "settings.yaml").is_file():
        return code, references(load_settings(folder / "settings.yaml", TrainingSettings).settings)
    return code, read_model_folder(folder).references()
