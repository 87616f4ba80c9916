"""The count of operations beside an independent one, from the TensorFlow graph instead of the layers."""

from __future__ import annotations

import math

import pytest

from splitstrument.network.settings import BandUnetSettings, HourglassSettings, ModelSettings, SpectrogramSettings
from splitstrument.training.describe import count_operations

HOURGLASS = HourglassSettings(filters=8, levels=3, modules=2)
FORMS = {
    "hourglass": ModelSettings(spectrogram=SpectrogramSettings(n_fft=512), n_frames=32, network=HOURGLASS),
    "bandunet": ModelSettings(
        spectrogram=SpectrogramSettings(n_fft=2048, hop_length=512), n_frames=128, network=BandUnetSettings()
    ),
}


def operations_in_graph(network):
    """Two per multiply-add of every convolution and matrix product of the graph, for a batch of one."""
    import tensorflow as tf

    graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(
        tf.TensorSpec((1, *network.input_shape[1:]))
    ).graph  # fmt: skip

    def multiply_adds(op):
        inputs, (output,) = [list(tensor.shape) for tensor in op.inputs], [list(tensor.shape) for tensor in op.outputs]
        if op.type == "Conv2D":
            return math.prod(output) * math.prod(inputs[1][:3])
        if op.type == "Conv2DBackpropInput":
            return math.prod(inputs[2]) * math.prod(inputs[1][:3])
        return math.prod(output) * inputs[0][-1]  # of a (..., n, k) by (..., k, m) product

    kinds = ("Conv2D", "Conv2DBackpropInput", "MatMul", "BatchMatMulV2")
    assert not [op.type for op in graph.get_operations() if op.type in ("Einsum", "DepthwiseConv2dNative")]
    return sum(2 * multiply_adds(op) for op in graph.get_operations() if op.type in kinds)


@pytest.mark.parametrize("form", FORMS)
def test_operations_are_counted_as_the_graph_has_them(form):
    from splitstrument.network.registry import build_network

    network = build_network(FORMS[form])
    assert count_operations(network) == operations_in_graph(network)
