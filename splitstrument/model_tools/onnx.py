"""From Keras weights to ``model.onnx``, the file that the fast engines read. Needs the extra ``train``."""

from __future__ import annotations

import numpy as np

from splitstrument.errors import ModelError, missing_extra
from splitstrument.files import atomic_path
from splitstrument.model_folder import KERAS_FILES, ONNX_FILE, ModelFolder, read_model_folder, write_model_folder

TOLERANCE_DB = -80.0


def export_onnx(folder: ModelFolder) -> ModelFolder:
    """Write ``model.onnx`` beside the Keras weights, list it in ``model.yaml``, and compare both.

    Raises
    ------
    ModelError
        If the exported network differs from Keras by more than `TOLERANCE_DB` on random chunks.
    """
    network = _inference_network(folder)
    with atomic_path(folder.path / ONNX_FILE) as temporary:
        network.export(str(temporary), format="onnx", verbose=False)
    names = [name for name in folder.description.files if name != ONNX_FILE]
    write_model_folder(folder.path, folder.description, [*names, ONNX_FILE])
    exported = read_model_folder(folder.path)
    error_db = export_error_db(exported, "onnxruntime")
    if not error_db < TOLERANCE_DB:
        raise ModelError(
            f"{folder.path / ONNX_FILE} differs from the Keras weights by {error_db:.0f} dB: do not use it."
        )
    return exported


def export_error_db(
    folder: ModelFolder, engine: str, reference: str = "keras", n_chunks: int = 2, seed: int = 0
) -> float:
    """Difference between two engines on random chunks, in dB relative to the energy of the reference's masks."""
    from splitstrument.separation.engines import open_engine

    rng = np.random.default_rng(seed)
    chunks = rng.random((n_chunks, *folder.settings.input_shape), np.float32) ** 4
    wanted = open_engine(folder, reference).predict(chunks).astype(np.float64)
    error = np.sum((open_engine(folder, engine).predict(chunks) - wanted) ** 2)
    return float(10 * np.log10((error + 1e-30) / (np.sum(wanted**2) + 1e-30)))


def _inference_network(folder: ModelFolder):
    """The Keras network with its weights and one output: the last module's masks."""
    try:
        import keras

        from splitstrument.network.registry import build_network
    except ImportError:
        raise missing_extra("Exporting a model", "train") from None
    weights = folder.file(*KERAS_FILES)
    network = build_network(folder.settings, code=folder.code)
    network.load_weights(weights)
    network = keras.Model(network.inputs[0], network.outputs[-1])
    network(np.zeros((1, *folder.settings.input_shape), np.float32))  # export asks for a model that was called once
    return network
