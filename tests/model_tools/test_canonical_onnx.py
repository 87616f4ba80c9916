"""The same network has the same bytes, whatever the exporting process has made before."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from splitstrument.model_tools.onnx import make_canonical


def network(rng: np.random.Generator | None = None) -> onnx.ModelProto:
    """Two branches that meet; with `rng`, nodes, weights and names come as another process might have made them."""
    weights = [("a", [1.0, 2.0]), ("b", [3.0, 4.0]), ("c", [5.0, 6.0])]
    nodes = [
        ("Mul", ["x", "a"], ["left"]), ("Add", ["left", "b"], ["left2"]), ("Mul", ["x", "c"], ["right"]),
        ("Relu", ["right"], ["right2"]), ("Sub", ["left2", "right2"], ["difference"]),
        ("Sigmoid", ["difference"], ["y"]),
    ]  # fmt: skip
    names = {name: name for _, _, outputs in nodes for name in outputs} | {name: name for name, _ in weights}
    order = list(range(len(nodes)))
    if rng is not None:
        names = {old: f"n{rng.integers(10**9)}" for old in names} | {"x": f"x{rng.integers(100)}"}
        order = [0, 2, 3, 1, 4, 5] if rng.integers(2) else [2, 0, 1, 3, 4, 5]
        weights = [weights[index] for index in rng.permutation(3)]
    made = [
        helper.make_node(
            kind, [names.get(name, name) for name in inputs], [names[name] for name in outputs],
            name=f"node{rng.integers(10**9)}" if rng is not None else f"{kind}{index}",
        )
        for index, (kind, inputs, outputs) in ((index, nodes[index]) for index in order)
    ]  # fmt: skip
    batch = "n" if rng is None else f"unk__{rng.integers(100)}"
    graph = helper.make_graph(
        made, "g" if rng is None else f"g{rng.integers(100)}",
        [helper.make_tensor_value_info(names.get("x", "x"), TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info(names["y"], TensorProto.FLOAT, [batch, 2])],
        [numpy_helper.from_array(np.float32(values), names[name]) for name, values in weights],
    )  # fmt: skip
    graph.doc_string = "" if rng is None else f"converted from call_{rng.integers(100)}"
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("seed", range(6))
def test_names_and_order_of_another_process_leave_no_trace(tmp_path, seed):
    onnx.save(network(), tmp_path / "one.onnx")
    onnx.save(network(np.random.default_rng(seed)), tmp_path / "other.onnx")
    assert (tmp_path / "one.onnx").read_bytes() != (tmp_path / "other.onnx").read_bytes()
    x = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
    before = answer(tmp_path / "one.onnx", x)
    for name in ("one.onnx", "other.onnx"):
        make_canonical(tmp_path / name)
        onnx.checker.check_model(onnx.load(tmp_path / name), full_check=True)
        assert np.array_equal(answer(tmp_path / name, x), before)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_another_network_has_other_bytes(tmp_path):
    model = network()
    onnx.save(model, tmp_path / "one.onnx")
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32([1.0, 2.5]), "a"))
    onnx.save(model, tmp_path / "other.onnx")
    for name in ("one.onnx", "other.onnx"):
        make_canonical(tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() != (tmp_path / "other.onnx").read_bytes()
