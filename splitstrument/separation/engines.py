"""Inference engines: one small interface, several ways to run the network.

An engine is opened on a model folder and maps magnitudes (batch, n_bins, n_frames, 1) float32 to masks
(batch, n_bins, n_frames, n_outputs) float32. ``keras`` is the reference; ``onnxruntime`` is the default because it
starts in a tenth of the time, needs a third of the memory and no TensorFlow. What each gains and costs is measured by
``benchmarks/engines.py`` and written down in ``docs/separation.md``.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from splitstrument.errors import MissingExtraError, ModelError, missing_extra
from splitstrument.executor import available_cores
from splitstrument.model_folder import KERAS_FILES, ONNX_FILE, ModelFolder
from splitstrument.network.registry import build_network, predict_masks
from splitstrument.registry import Registry
from splitstrument.separation.onnx_graph import check_onnx
from splitstrument.spectrogram import Float

INT8_FILE = "model.int8.onnx"
MAX_PARALLEL = 4  # chunks that are computed side by side: each needs some 60 MB with the shipped networks


class Engine(Protocol):
    """A network, ready to run.

    Attributes
    ----------
    chunks_at_once
        Chunks a call should bring at least, so that every core has work.
    """

    name: str
    chunks_at_once: int

    def predict(self, magnitudes: Float) -> Float:
        """Map magnitudes (batch, n_bins, n_frames, 1) to masks (batch, n_bins, n_frames, n_outputs)."""
        ...


class KerasEngine:
    """The reference: Keras itself, called by ``predict_on_batch``."""

    name, chunks_at_once = "keras", 1

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        weights = folder.file(*KERAS_FILES)
        self._network = build_network(folder.settings, code=folder.code)
        self._load(weights, folder)
        if any(np.isnan(values).any() for values in self._network.get_weights()):
            raise ModelError(f"{weights} holds weights that are not numbers (NaN): get the model again.")

    def _load(self, weights: Path, folder: ModelFolder) -> None:
        try:
            with warnings.catch_warnings():
                # Keras only warns where the file lacks a layer, and leaves that layer as it was drawn
                warnings.simplefilter("error", UserWarning)
                self._network.load_weights(weights)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise ModelError(
                f"{weights} does not fit the network that {folder.path}/model.yaml describes "
                f"({_first_line(error)}): copy the whole model folder again."
            ) from None

    def predict(self, magnitudes: Float) -> Float:
        """See `Engine`."""
        return predict_masks(self._network, magnitudes)


class OnnxEngine:
    """ONNX Runtime on ``model.onnx``, in full float32.

    Chunks run side by side, one core each, rather than one chunk on all cores: nothing waits inside a chunk, and no
    core is held between chunks, when the rest of the pipeline needs it.
    """

    name, model_file = "onnxruntime", ONNX_FILE

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        path = folder.file(self.model_file)
        check_onnx(path)
        import onnxruntime

        onnxruntime.disable_telemetry_events()  # on Windows they are on by default
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = -(-threads // MAX_PARALLEL)
        self.chunks_at_once = threads // options.intra_op_num_threads
        options.inter_op_num_threads = 1
        # idle threads must not turn in circles on cores that the pipeline's other stages need
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no class of their own
            raise _unreadable(path, error) from None
        inputs = [one.name for one in self._session.get_inputs()]
        if len(inputs) != 1:
            raise ModelError(f"{path} takes {len(inputs)} inputs instead of one: it is no network of Splitstrument.")
        self._input = inputs[0]
        self._output = self._session.get_outputs()[-1].name
        self._pool = ThreadPoolExecutor(self.chunks_at_once, "splitstrument-engine")

    def predict(self, magnitudes: Float) -> Float:
        """See `Engine`."""
        parts = np.array_split(magnitudes, min(len(magnitudes), self.chunks_at_once))
        return np.concatenate(list(self._pool.map(self._run, parts)))

    def _run(self, magnitudes: Float) -> Float:
        return self._session.run([self._output], {self._input: np.ascontiguousarray(magnitudes)})[0]


class OnnxInt8Engine(OnnxEngine):
    """ONNX Runtime on ``model.int8.onnx`` (see `splitstrument.model_tools.int8`): four times as fast, -28 dB."""

    name, model_file = "onnxruntime-int8", INT8_FILE


class OpenVinoEngine:
    """OpenVINO on ``model.onnx``; `precision` is ``f32`` or ``bf16`` (its own default depends on the processor)."""

    name, precision, chunks_at_once = "openvino", "f32", 1

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        path = folder.file(ONNX_FILE)
        check_onnx(path)
        # OpenVINO tells an address of Google about every import unless this package is missing
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        try:
            import openvino
        except ImportError:
            raise missing_extra(f"The engine {self.name!r}", "engines") from None
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._model = openvino.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise _unreadable(path, error) from None

    def predict(self, magnitudes: Float) -> Float:
        """See `Engine`."""
        results = self._model(np.ascontiguousarray(magnitudes))
        return results[len(self._model.outputs) - 1]


class OpenVinoBf16Engine(OpenVinoEngine):
    """OpenVINO in bfloat16, for processors that have it: about twice as fast, and less exact (-40 dB)."""

    name, precision = "openvino-bf16", "bf16"


@dataclass(frozen=True)
class EngineKind:
    """A member of `ENGINES`: how to open it, what must be installed, which of the model's files it reads.

    Attributes
    ----------
    open
        From a model and a number of threads.
    package
        The module that it imports.
    files
        Of the model; it needs one of them.
    exact
        Whether it computes in full float32. Others are taken only when they are asked for.
    extra
        The extra of this package that brings `package`; None for that of somebody else.
    """

    open: Callable[[ModelFolder, int], Engine]
    package: str
    files: tuple[str, ...]
    exact: bool = False
    extra: str | None = None

    def fits(self, folder: ModelFolder) -> bool:
        """Tell whether the packages are installed and the model has a file for this engine."""
        installed = importlib.util.find_spec(self.package) is not None
        return installed and any(name in folder.description.files for name in self.files)


# in the order of preference
ENGINES: Registry[EngineKind] = Registry(
    "engine",
    "splitstrument.engines",
    {
        "onnxruntime": EngineKind(OnnxEngine, "onnxruntime", (ONNX_FILE,), exact=True, extra="engines"),
        "keras": EngineKind(KerasEngine, "keras", KERAS_FILES, exact=True, extra="train"),
        "openvino": EngineKind(OpenVinoEngine, "openvino", (ONNX_FILE,), exact=True, extra="engines"),
        "openvino-bf16": EngineKind(OpenVinoBf16Engine, "openvino", (ONNX_FILE,), extra="engines"),
        "onnxruntime-int8": EngineKind(OnnxInt8Engine, "onnxruntime", (INT8_FILE,), extra="engines"),
    },
    lambda member: isinstance(member, EngineKind),
    "an EngineKind",
)


def open_engine(folder: ModelFolder, engine: str | None = None, threads: int | None = None) -> Engine:
    """Open a model in an engine and try it on one silent chunk.

    Parameters
    ----------
    engine
        A name of `ENGINES`; None takes the first exact one of ours that fits.
    threads
        None is one per available core.

    Raises
    ------
    ModelError
        If the weights are damaged, foreign, or of another shape than ``model.yaml`` says.
    SettingsError, MissingExtraError
        If there is no such engine, or its package is not installed.
    """
    kind = engine_kind(folder, engine)
    opened = kind.open(folder, threads or available_cores())
    _try(opened, folder)
    return opened


def engine_kind(folder: ModelFolder, engine: str | None = None) -> EngineKind:
    """The entry of `ENGINES` that `open_engine` opens; its errors are those of the name and the package."""
    if engine is None:
        own = (ENGINES.get(name) for name in ENGINES.table)
        return next((kind for kind in own if kind.exact and kind.fits(folder)), _none_fits(folder))
    kind = ENGINES.get(engine)
    if importlib.util.find_spec(kind.package) is None:
        if kind.extra:
            raise missing_extra(f"The engine {engine!r}", kind.extra)
        raise MissingExtraError(f"The engine {engine!r} needs the Python package {kind.package}: install it.")
    return kind


def _none_fits(folder: ModelFolder) -> EngineKind:
    """Stand-in whose opening says what is missing."""

    def fail(*_: Any) -> Engine:
        if any(name in folder.description.files for name in KERAS_FILES):
            raise ModelError(
                f"The model {folder.path} has only Keras weights: run `splitstrument models export {folder.path}` "
                "where TensorFlow is installed (extra: train)."
            )
        raise ModelError(f"The model {folder.path} lists no weights: copy the whole folder again.")

    return EngineKind(fail, "", ())


def _try(engine: Engine, folder: ModelFolder) -> None:
    """Run one silent chunk, so that a foreign file is refused before the first block of a song."""
    shape = (1, *folder.settings.input_shape)
    try:
        masks = engine.predict(np.zeros(shape, np.float32))
    except Exception as error:  # every engine has its own errors for a wrong shape
        raise ModelError(
            f"The weights of {folder.path} do not take chunks of {shape[1]} x {shape[2]}, which its model.yaml "
            f"describes ({_first_line(error)}): they belong to another model."
        ) from None
    outputs = folder.settings.network.outputs
    if masks.shape != (*shape[:3], outputs) or not np.isfinite(masks).all():
        raise ModelError(
            f"The weights of {folder.path} give masks of shape {masks.shape} instead of {(*shape[:3], outputs)}, or "
            "values that are not numbers: they are damaged or belong to another model."
        )


def _unreadable(path: Path, error: Exception) -> ModelError:
    if "bad_alloc" in str(error) or isinstance(error, MemoryError):
        return ModelError(f"There is not enough memory to open {path}: close other programs, or raise the limit.")
    return ModelError(f"{path} cannot be read as a network ({_first_line(error)}): get the file again.")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
