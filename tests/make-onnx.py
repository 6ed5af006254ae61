#!/usr/bin/env python3
# SPDX-FileCopyrightText: the classify authors
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes a model of ours as ONNX, for comparing with what runs that (tests/bench-peer.sh).

    make-onnx.py MODEL.h5 OUT.onnx

Needs the Python packages h5py, numpy and onnx. Takes chains of Conv2D, BatchNormalization over
channels, MaxPooling2D, GlobalAveragePooling2D, Dropout and Dense. The input is (1, H, W, 3),
floats of 0 to 255: the pre-processing is the graph's first two nodes.
"""
import json
import sys

import h5py
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save


def text(value):
    return value.decode() if isinstance(value, bytes) else value


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.value, self.n = [], [], 'input', 0

    def constant(self, array):
        self.n += 1
        name = f'c{self.n}'
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, kind, *inputs, **attributes):
        self.n += 1
        output = f'v{self.n}'
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], [output], **attributes))
        self.value = output


def activate(graph, name):
    if name != 'linear':
        graph.add({'relu': 'Relu', 'sigmoid': 'Sigmoid', 'softmax': 'Softmax'}[name])


def add_layer(graph, kind, config, weights, size):
    """Returns the height (and width) after the layer."""
    w = {key.split('/')[-1].split(':')[0]: np.array(value) for key, value in weights.items()}
    if kind == 'Conv2D':
        stride, kernel = config['strides'][0], config['kernel_size'][0]
        after = -(-size // stride) if config['padding'] == 'same' else (size - kernel) // stride + 1
        pad = max((after - 1) * stride + kernel - size, 0) if config['padding'] == 'same' else 0
        begin, end = pad // 2, pad - pad // 2
        graph.add('Conv', graph.constant(w['kernel'].transpose(3, 2, 0, 1)),
                  graph.constant(w['bias']), strides=[stride] * 2, kernel_shape=[kernel] * 2,
                  pads=[begin, begin, end, end])
        activate(graph, config['activation'])
        return after
    if kind == 'BatchNormalization':
        graph.add('BatchNormalization', *[graph.constant(w[name]) for name in (
            'gamma', 'beta', 'moving_mean', 'moving_variance')], epsilon=config['epsilon'])
    elif kind == 'MaxPooling2D':
        graph.add('MaxPool', kernel_shape=config['pool_size'], strides=config['strides'])
        return size // config['strides'][0]
    elif kind == 'GlobalAveragePooling2D':
        graph.add('GlobalAveragePool')
        graph.add('Flatten')
    elif kind == 'Dense':
        graph.add('Gemm', graph.constant(w['kernel']), graph.constant(w['bias']))
        activate(graph, config['activation'])
    elif kind not in ('Dropout', 'InputLayer'):
        sys.exit(f'make-onnx.py: {kind} is not known here')
    return size


def main():
    graph = Graph()
    with h5py.File(sys.argv[1]) as file:
        layers = json.loads(text(file.attrs['model_config']))['config']['layers']
        pre = json.loads(text(file.attrs['classify_preprocess']))
        size = pre['height']
        graph.add('Sub', graph.constant(np.array(pre['mean'], np.float32)))
        graph.add('Mul', graph.constant(np.array(pre['scale'], np.float32)))
        graph.add('Transpose', perm=[0, 3, 1, 2])
        for layer in layers:
            config = layer['config']
            group = file['model_weights'].get(config['name'], {})
            weights = {}
            if hasattr(group, 'visititems'):
                group.visititems(lambda name, item: weights.update(
                    {name: item[()]} if isinstance(item, h5py.Dataset) else {}))
            size = add_layer(graph, layer['class_name'], config, weights, size)
    graph.nodes[-1].output[0] = 'output'
    onnx = helper.make_model(
        helper.make_graph(
            graph.nodes, 'classify',
            [helper.make_tensor_value_info('input', TensorProto.FLOAT,
                                           [1, pre['height'], pre['width'], 3])],
            [helper.make_tensor_value_info('output', TensorProto.FLOAT, [1, None])],
            graph.initializers),
        opset_imports=[helper.make_opsetid('', 17)])
    onnx.ir_version = 8
    # GStreamer's onnxinference wants an identifier for each output
    helper.set_model_props(onnx, {'output': 'classify-probabilities'})
    checker.check_model(onnx)
    save(onnx, sys.argv[2])


if __name__ == '__main__':
    main()
