"""Inference engines side by side on one model: time per chunk, share of the machine's matrix product, output error.

    splitstrument models export runs/mine --calibrate datasets/mine
    python benchmarks/engines.py runs/mine --threads 1 --song song.wav
    python benchmarks/engines.py --thesis --threads 2

Every engine runs once per round, one after another, so that whatever else the machine does hits all of them; the best
round counts. With one thread the processor's own time is taken, which other programs do not add to; with more it is
the clock. The fastest matrix product (OpenBLAS through NumPy, oneDNN through TensorFlow, MLAS through ONNX Runtime) is
measured in the same rounds. `--thesis` makes the thesis's network (192 filters) with random weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")  # OpenBLAS does not know newer processors and takes slow kernels
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

MATRIX = 2048


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="model or run folder with model.onnx")
    parser.add_argument("--thesis", action="store_true", help="the thesis's network with random weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--song", type=Path, help="also compare the separated instrument of this song's first minute")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = thesis_model(Path(scratch)) if options.thesis else find(options.model, parser)
        engines = open_all(folder, options.threads)
        chunks = np.random.default_rng(0).random((options.threads, *folder.settings.input_shape), np.float32) ** 4
        work: dict[str, Callable[[], np.ndarray]] = {
            name: (lambda engine=engine: engine.predict(chunks)) for name, engine in engines.items()
        }
        masks = {name: run() for name, run in work.items()}
        products = matrix_products(options.threads)
        best = interleaved({**work, **products}, options.rounds, options.threads)
        best.update({name: best[name] / len(chunks) for name in work})
        print_report(folder, best, masks, set(products))
        if options.song:
            print_song(folder, engines, options.song)


def find(name: str | None, parser: argparse.ArgumentParser):
    """The model folder that was asked for."""
    from splitstrument.model_folder import find_model

    if name is None:
        parser.error("give a model folder or --thesis")
    return find_model(name)


def thesis_model(folder: Path):
    """The thesis's network, random weights, exported and quantized."""
    from splitstrument.audio import write
    from splitstrument.model_folder import ModelDescription, read_model_folder, write_model_folder
    from splitstrument.model_tools.int8 import export_int8
    from splitstrument.model_tools.onnx import export_onnx
    from splitstrument.network.registry import build_network
    from splitstrument.network.settings import ModelSettings

    settings = ModelSettings()
    build_network(settings).save_weights(folder / "best.weights.h5")
    write_model_folder(folder, ModelDescription(name="thesis", model=settings), ["best.weights.h5"])
    write(folder / "noise.wav", np.random.default_rng(0).normal(0, 0.1, (220500, 1)).astype(np.float32), 22050)
    return export_int8(export_onnx(read_model_folder(folder)), [folder / "noise.wav"])


def open_all(folder, threads: int) -> dict:
    """Every engine that is installed and has its file, the reference first."""
    from splitstrument.separation.engines import ENGINES, open_engine

    if ENGINES.get("keras").fits(folder):
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    names = sorted(
        (name for name, kind in ENGINES.members().items() if kind.fits(folder)), key=lambda name: name != "keras"
    )
    return {name: open_engine(folder, name, threads) for name in names}


def matrix_products(threads: int) -> dict[str, Callable[[], np.ndarray]]:
    """Square float32 matrix products of `MATRIX` rows in the libraries that the engines build on."""
    rng = np.random.default_rng(0)
    left, right = rng.random((2, MATRIX, MATRIX), np.float32)
    products: dict[str, Callable[[], np.ndarray]] = {"OpenBLAS": lambda: left @ right}
    try:
        import tensorflow

        tensors = tensorflow.constant(left), tensorflow.constant(right)
        products["oneDNN"] = lambda: tensorflow.linalg.matmul(*tensors).numpy()
    except ImportError:
        pass
    products["MLAS"] = mlas_product(left, right, threads)
    return products


def mlas_product(left: np.ndarray, right: np.ndarray, threads: int) -> Callable[[], np.ndarray]:
    """The same product in ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper

    names = ("left", "right", "product")
    left_info, right_info, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [MATRIX, MATRIX]) for name in names
    )
    node = helper.make_node("MatMul", names[:2], names[2:])
    graph = helper.make_graph([node], "product", [left_info, right_info], [product])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options)
    return lambda: session.run(None, {"left": left, "right": right})[0]


def interleaved(work: dict[str, Callable[[], np.ndarray]], rounds: int, threads: int) -> dict[str, float]:
    """Best time of each piece of work in seconds."""
    clock = time.process_time if threads == 1 else time.perf_counter
    best = dict.fromkeys(work, float("inf"))
    for _ in range(rounds + 1):
        for name, run in work.items():
            started = clock()
            run()
            best[name] = min(best[name], clock() - started)
    return best


def print_report(folder, best: dict[str, float], masks: dict[str, np.ndarray], products: set[str]) -> None:
    """One table: time, ratio to Keras, share of the fastest matrix product, error."""
    reference = "keras" if "keras" in masks else "onnxruntime"
    exact = masks[reference].astype(np.float64)
    operations = conv_operations(folder.file("model.onnx"))
    rates = {name: 2 * MATRIX**3 / best[name] for name in products}
    fastest = max(rates, key=rates.get)
    print(f"{operations / 1e9:.1f} GFLOP a chunk of {folder.settings.chunk_s:.2f} s")
    print("matrix products: " + ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()))
    print(f"\n| engine | ms a chunk | times real time | speed / {reference} | of {fastest} | error dB |")
    print("|---|---|---|---|---|---|")
    for name, mask in masks.items():
        error = 10 * np.log10((np.sum((mask - exact) ** 2) + 1e-30) / np.sum(exact**2))
        share = operations / best[name] / rates[fastest]
        print(
            f"| {name} | {1000 * best[name]:.1f} | {folder.settings.chunk_s / best[name]:.1f} "
            f"| {best[reference] / best[name]:.2f} | {share:.0%} | {f'{error:.0f}' if name != reference else '-'} |"
        )


def conv_operations(path: Path) -> float:
    """Two per multiply-add of every convolution and matrix product of an ONNX file with a batch of one."""
    import onnx

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    values = [*model.graph.value_info, *model.graph.output, *model.graph.input]
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    weights = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    total = 0.0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += 2 * np.prod(weights[node.input[1]][1:]) * np.prod(shapes[node.output[0]])
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            total += 2 * weights[node.input[1]][0] * np.prod(shapes[node.output[0]])
    return float(total)


def print_song(folder, engines: dict, song: Path) -> None:
    """Error of the separated instrument of each engine against the first one's."""
    from splitstrument.audio import read
    from splitstrument.separation.api import separate
    from splitstrument.separation.pipeline import LoadedModel

    audio, rate = read(song)
    audio = audio[: 60 * rate]
    stems = {
        name: separate(audio, rate, LoadedModel(folder, engine)).instrument.astype(np.float64)
        for name, engine in engines.items()
    }
    reference = next(iter(stems))
    print(f"\nthe separated instrument of {song.name} against {reference}'s:")
    for name, stem in stems.items():
        error = np.sum((stem - stems[reference]) ** 2) / np.sum(stems[reference] ** 2)
        print(f"  {name}: {10 * np.log10(error + 1e-30):.1f} dB")


if __name__ == "__main__":
    main()
