"""Model folders for tests that need a network but no TensorFlow: a small ONNX graph, written by hand.

The mask is ``sigmoid(convolution of the normalised magnitudes)``: it depends on the neighbours in time and frequency,
so that every mistake in cutting chunks shows, and `reference_mask` computes it again in NumPy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from splitstrument.model_folder import ModelDescription, ModelFolder, read_model_folder, write_model_folder
from splitstrument.network.settings import BandUnetSettings, HourglassSettings, ModelSettings, SpectrogramSettings

KERNEL = np.array([[0.5, -1.0, 0.5], [2.0, 6.0, -3.0], [0.5, 1.0, 1.5]], np.float32)
BIAS = -0.5


def tiny_settings(sample_rate_hz: int = 22050, n_fft: int = 512, n_frames: int = 16, **more) -> ModelSettings:
    """Settings of a small model."""
    return ModelSettings(
        spectrogram=SpectrogramSettings(sample_rate_hz=sample_rate_hz, n_fft=n_fft),
        n_frames=n_frames,
        network=HourglassSettings(filters=4, levels=2, initial_widths=(4, 4), end_width=4),
        **more,
    )


def band_settings(
    stems: tuple[str, ...] = ("guitar", "piano", "bass"), channels: str = "mid_side", **more
) -> ModelSettings:
    """Settings of a small model of several instruments."""
    views = 2 if channels == "mid_side" else 1
    return ModelSettings(
        target=stems[0],
        stems=stems if len(stems) > 1 else (),
        channels=channels,
        spectrogram=SpectrogramSettings(sample_rate_hz=22050, n_fft=512),
        n_frames=16,
        network=BandUnetSettings(levels=1, width=4, growth=4, blocks=1, inputs=views, outputs=views * len(stems)),
        **more,
    )


def band_kernel(settings: ModelSettings) -> np.ndarray:
    """A kernel (n_outputs, n_inputs, 3, 3) of its own for every mask, which looks at all views."""
    outputs, inputs = settings.network.outputs, settings.n_views
    return np.random.default_rng(outputs).normal(0, 4, (outputs, inputs, 3, 3)).astype(np.float32)


def tiny_model(path: Path, settings: ModelSettings | None = None, kernel: np.ndarray = KERNEL) -> ModelFolder:
    """Write a model folder whose ``model.onnx`` is the convolution above; kernels may be (outputs, inputs, 3, 3)."""
    settings = settings or tiny_settings()
    path.mkdir(parents=True, exist_ok=True)
    n_bins, n_frames, n_views = settings.input_shape
    kernel = kernel.reshape(-1, n_views, 3, 3).astype(np.float32)
    weights = numpy_helper.from_array(kernel, "kernel")
    bias = numpy_helper.from_array(np.full(len(kernel), BIAS, np.float32), "bias")
    nodes = [
        helper.make_node("Transpose", ["mixture"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel", "bias"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["conv"], ["sigmoid"]),
        helper.make_node("Transpose", ["sigmoid"], ["mask"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("mixture", TensorProto.FLOAT, ["batch", n_bins, n_frames, n_views])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", n_bins, n_frames, len(kernel)])],
        [weights, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path / "model.onnx")
    write_model_folder(path, ModelDescription(name="tiny", model=settings), ["model.onnx"])
    return read_model_folder(path)


def reference_mask(chunk: np.ndarray, kernel: np.ndarray = KERNEL) -> np.ndarray:
    """The mask of one normalised chunk (n_bins, n_frames), computed by shifts."""
    padded = np.pad(chunk.astype(np.float64), 1)
    total = np.full(chunk.shape, BIAS)
    for row in range(3):
        for column in range(3):
            total += kernel[row, column] * padded[row : row + chunk.shape[0], column : column + chunk.shape[1]]
    return 1 / (1 + np.exp(-total))


def music(rng: np.random.Generator, n_samples: int, n_channels: int = 2, peak: float = 0.5) -> np.ndarray:
    """Sound with a spectrum like music's: brown-ish noise with decaying tones, (n_samples, n_channels) float32."""
    time = np.arange(n_samples)[:, None]
    noise = rng.standard_normal((n_samples, n_channels))
    tones = sum(np.sin(time * f + rng.random(n_channels)) * np.exp(-(time % 9000) / 3000) for f in (0.02, 0.05, 0.13))
    audio = noise * 0.2 + tones
    return (audio / np.abs(audio).max() * peak).astype(np.float32)
