"""A model whose weights are the mean of several: of the best epochs of one training, or of trainings of one network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitstrument.errors import ModelError, missing_extra
from splitstrument.files import atomic_path
from splitstrument.model_folder import KERAS_FILES, ModelFolder, copy_code, read_model_folder, write_model_folder

TOP_FILES = "top/epoch_*.weights.h5"


def average_models(sources: Sequence[Path], output: Path) -> ModelFolder:
    """Write a model folder with the mean of the weights, statistics of batch normalization included.

    Parameters
    ----------
    sources
        Weights files of run folders, or run folders: one that kept its best epochs (`records.keep_best`) stands for
        those, another one for its best weights.

    Raises
    ------
    ModelError
        If there is nothing to average, the networks differ, or `output` holds a model.
    """
    files = [file for source in sources for file in _weights_of(source)]
    if len(files) < 2:
        raise ModelError(
            f"There is nothing to average in {', '.join(map(str, sources))}: give several runs, or one that was "
            "trained with records.keep_best."
        )
    models = [read_model_folder(_home(file)) for file in files]
    different = next((model for model in models if model.settings.network != models[0].settings.network), None)
    if different or any(model.settings.input_shape != models[0].settings.input_shape for model in models):
        other = (different or models[-1]).path
        raise ModelError(f"{models[0].path} and {other} have different networks: average models of one kind.")
    if (output / "model.yaml").exists():
        raise ModelError(f"{output} holds a model already: give another folder with -o.")
    output.mkdir(parents=True, exist_ok=True)
    _write_mean(files, output / KERAS_FILES[0])
    copy_code(models[0], output)
    described = models[0].description
    summary = f"The mean of {len(files)} weights. {described.summary}".strip()
    changes = {"name": output.name, "summary": summary, "files": {}}
    write_model_folder(output, described.model_copy(update=changes), [KERAS_FILES[0]])
    return read_model_folder(output)


def _weights_of(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    top = sorted(source.glob(TOP_FILES))
    return top or [read_model_folder(source).file(*KERAS_FILES)]


def _home(file: Path) -> Path:
    """The run folder of a weights file."""
    return file.parent.parent if file.parent.name == "top" else file.parent


def _write_mean(files: Sequence[Path], path: Path) -> None:
    """Average every array of numbers with a fraction; what counts or seeds is the first file's."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("Averaging models", "train") from None
    with atomic_path(path) as temporary:
        shutil.copyfile(files[0], temporary)
        with h5py.File(temporary, "r+", locking=False) as mean:  # `atomic_path` holds its lock already
            names: list[str] = []
            mean.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                if np.issubdtype(mean[name].dtype, np.floating):
                    mean[name][...] = np.mean([_array(file, name) for file in files], axis=0, dtype=np.float64)


def _array(file: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(file, "r") as opened:
        if name not in opened:
            raise ModelError(f"{file} has no weights {name}: average models of one kind.")
        return opened[name][()]
