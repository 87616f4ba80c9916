"""Checks of an ONNX file before an engine opens it: a model is somebody else's program, and ours has no loops.

Only the fields that are needed are read, straight from the file's protocol buffers (onnx.proto of ONNX 1.16): the
package onnx is not part of the base install.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.errors import ModelError

ENDLESS = frozenset({"Loop"})
MAX_DEPTH = 8  # graphs within graphs
# numbers of fields in onnx.proto
MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
FUNCTION_NODE = 7
NODE_TYPE, NODE_ATTRIBUTE = 4, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 5, 6, 11
TENSOR_TYPE, TENSOR_FLOATS, TENSOR_RAW, TENSOR_ELSEWHERE = 2, 4, 9, 13
# TensorProto.DataType
FLOATS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}

Field = tuple[int, "int | memoryview"]


class Malformed(Exception):
    """Bytes that are no protocol buffer."""


def check_onnx(path: Path) -> None:
    """Refuse a network that may never end, reads other files, or whose weights are not numbers.

    Raises
    ------
    ModelError
        If there is a loop in its graph, a weight that is NaN, or no graph at all.
    """
    try:
        problem = _problem(memoryview(path.read_bytes()))
    except (OSError, ValueError, Malformed) as error:
        raise ModelError(f"{path} cannot be read as a network ({error}): get the file again.") from None
    if problem:
        raise ModelError(f"{path} {problem}: use a model that `splitstrument models export` wrote.")


def _problem(model: memoryview) -> str:
    """What speaks against a model; empty if nothing does."""
    for number, value in _messages(model):
        if number in (MODEL_GRAPH, MODEL_FUNCTIONS):
            node = GRAPH_NODE if number == MODEL_GRAPH else FUNCTION_NODE
            if problem := _problem_of_graph(value, node, 0):
                return problem
    return ""


def _problem_of_graph(graph: memoryview, node: int, depth: int) -> str:
    if depth > MAX_DEPTH:
        return f"holds graphs within graphs, more than {MAX_DEPTH} deep"
    for number, value in _messages(graph):
        if number == node and (problem := _problem_of_node(value, depth)):
            return problem
        if number == GRAPH_INITIALIZER and node == GRAPH_NODE and (problem := _problem_of_tensor(value)):
            return problem
    return ""


def _problem_of_node(node: memoryview, depth: int) -> str:
    for number, value in _messages(node):
        if number == NODE_TYPE and bytes(value).decode("utf-8", "replace") in ENDLESS:
            return f"holds a loop (operator {bytes(value).decode()!r}), which may never end"
        if number == NODE_ATTRIBUTE and (problem := _problem_of_attribute(value, depth)):
            return problem
    return ""


def _problem_of_attribute(attribute: memoryview, depth: int) -> str:
    for number, value in _messages(attribute):
        problem = ""
        if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            problem = _problem_of_graph(value, GRAPH_NODE, depth + 1)
        elif number == ATTRIBUTE_TENSOR:
            problem = _problem_of_tensor(value)
        if problem:
            return problem
    return ""


def _problem_of_tensor(tensor: memoryview) -> str:
    fields = list(_fields(tensor))
    if any(number == TENSOR_ELSEWHERE for number, _ in fields):
        return "reads its weights from another file"
    kind = next((value for number, value in fields if number == TENSOR_TYPE and isinstance(value, int)), 0)
    if kind not in FLOATS:
        return ""
    for number, value in fields:
        if number in (TENSOR_RAW, TENSOR_FLOATS) and isinstance(value, memoryview):
            dtype: np.dtype[Any] = FLOATS[kind] if number == TENSOR_RAW else FLOATS[1]
            whole = len(value) // dtype.itemsize * dtype.itemsize
            if np.isnan(np.frombuffer(value[:whole], dtype)).any():
                return "holds weights that are not numbers (NaN)"
    return ""


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of the fields of a message that are messages, texts or arrays."""
    return ((number, value) for number, value in _fields(data) if isinstance(value, memoryview))


def _fields(data: memoryview) -> Iterator[Field]:
    """Number and value of every field of a message; floats of a single field are passed over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        elif wire == 2:
            length, position = _varint(data, position)
            if length > len(data) - position:
                raise Malformed("it is cut off")
            yield number, data[position : position + length]
            position += length
        else:
            raise Malformed("it is no ONNX file")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Malformed("it is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise Malformed("it is no ONNX file")
