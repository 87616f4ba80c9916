"""From Keras weights to ``model.onnx``, the file that the fast engines read. Needs the extra ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        make_canonical(temporary)
    names = [name for name in folder.description.files if name != ONNX_FILE]
    write_model_folder(folder.path, folder.description, [*names, ONNX_FILE])
    exported = read_model_folder(folder.path)
    error_db = export_error_db(exported, "onnxruntime")
    if not error_db < TOLERANCE_DB:
        raise ModelError(
            f"{folder.path / ONNX_FILE} differs from the Keras weights by {error_db:.0f} dB: do not use it."
        )
    return exported


def make_canonical(path: Path) -> None:
    """Rewrite an ONNX file so that the same network has the same bytes, whenever and wherever it was exported.

    Names of nodes and tensors, which count what a process has made before, follow the graph instead; nodes stand in the
    order in which the outputs need them, weights in the order of their use.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    nodes = _in_order_of_need(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    names = {value.name: f"input{index}" for index, value in enumerate(graph.input)}
    names |= {value.name: f"output{index}" for index, value in enumerate(graph.output)}
    used: list[Any] = []
    for node in nodes:
        for name in node.input:
            if name in weights and name not in names:
                names[name] = f"weight{len(used)}"
                used.append(weights[name])
        for name in node.output:
            names.setdefault(name, f"tensor{len(names)}")
    for index, node in enumerate(nodes):
        node.name, node.doc_string = f"node{index}", ""
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    for value in (*graph.input, *graph.output):
        value.name, value.doc_string = names[value.name], ""
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = "batch" if axis == 0 else f"axis{axis}"
    for tensor in used:
        tensor.name, tensor.doc_string = names[tensor.name], ""
    _replace(graph, nodes, used)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _in_order_of_need(graph: Any) -> list[Any]:
    """Copies of the nodes, each behind those whose outputs it takes, first those of its first input."""
    maker = {name: node for node in graph.node for name in node.output if name}
    order: dict[int, Any] = {}
    pending = [maker[value.name] for value in reversed(graph.output) if value.name in maker]
    while pending:
        node = pending[-1]
        needed = [maker[name] for name in node.input if name in maker and id(maker[name]) not in order]
        if id(node) in order or not needed:
            pending.pop()
            order.setdefault(id(node), node)
        else:
            pending.append(needed[0])
    copies = []
    for node in order.values():
        copy = type(node)()
        copy.CopyFrom(node)
        copies.append(copy)
    return copies


def _replace(graph: Any, nodes: list[Any], weights: list[Any]) -> None:
    """Give a graph its nodes and weights in their order; shapes of tensors in between are what readers find out."""
    copies = [type(weight)() for weight in weights]
    for copy, weight in zip(copies, weights, strict=True):
        copy.CopyFrom(weight)
    for field in ("node", "initializer", "value_info"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.initializer.extend(copies)
    graph.name, graph.doc_string = "network", ""


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
