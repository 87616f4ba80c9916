"""``model.int8.onnx``: weights and activations in eight bits, four times as fast where the processor has VNNI.

Eight bits need to know how large the activations get, so the network is calibrated on songs; use songs of the
training, never of an evaluation. What it costs is for `splitstrument evaluate --engine onnxruntime-int8` to say: int8
is never a default. Needs the extra ``train`` (onnx).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from splitstrument.errors import SettingsError, missing_extra
from splitstrument.files import atomic_path, scratch_folder
from splitstrument.model_folder import ONNX_FILE, ModelFolder, read_model_folder, write_model_folder
from splitstrument.model_tools.song_chunks import normalised, song_chunks
from splitstrument.network.settings import ModelSettings
from splitstrument.separation.engines import INT8_FILE
from splitstrument.spectrogram import Float

CHUNKS_PER_SONG = 8
MAX_CHUNKS = 64


def export_int8(folder: ModelFolder, songs: Sequence[Path], seed: int = 0) -> ModelFolder:
    """Write ``model.int8.onnx`` beside ``model.onnx`` and list it in ``model.yaml``.

    Parameters
    ----------
    songs
        Mixtures to calibrate on; `CHUNKS_PER_SONG` random chunks are taken of each.

    Raises
    ------
    SettingsError
        If there are no audible chunks in the songs.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise missing_extra("Quantizing a model", "train") from None
    chunks = calibration_chunks(folder.settings, songs, seed)
    if not chunks:
        raise SettingsError("There is nothing audible to calibrate on: give songs of the training by --calibrate.")
    with scratch_folder() as scratch, atomic_path(folder.path / INT8_FILE) as temporary:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(folder.file(ONNX_FILE), prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            temporary,
            _Chunks(chunks, onnx.load(prepared).graph.input[0].name),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    names = [name for name in folder.description.files if name != INT8_FILE]
    write_model_folder(folder.path, folder.description, [*names, INT8_FILE])
    return read_model_folder(folder.path)


def calibration_chunks(settings: ModelSettings, songs: Sequence[Path], seed: int) -> list[Float]:
    """Random audible chunks as the network sees them, each (1, n_bins, n_frames, n_views)."""
    rng = np.random.default_rng(seed)
    found: list[Float] = []
    for song in songs:
        candidates = [chunk for chunk in song_chunks(settings, song) if chunk.any()]
        chosen = rng.permutation(len(candidates))[:CHUNKS_PER_SONG]
        found += [normalised(candidates[index], settings) for index in sorted(chosen)]
    order = rng.permutation(len(found))[:MAX_CHUNKS]
    return [found[index] for index in sorted(order)]


class _Chunks:
    """Calibration data as onnxruntime asks for them, for the network's input `name`."""

    def __init__(self, chunks: list[Float], name: str) -> None:
        self._left, self._name = iter(chunks), name

    def get_next(self) -> dict[str, Float] | None:
        chunk = next(self._left, None)
        return None if chunk is None else {self._name: chunk}
