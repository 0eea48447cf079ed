"""Models of a few nodes, written as ONNX text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import parser


def save(folder: Path, name: str, text: str, **weights: tuple[int, ...]) -> Path:
    """Write the model of this graph as `<folder>/<name>.onnx`, with random weights of these shapes."""
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1]> {text}')
    generator = np.random.default_rng(0)
    for weight, shape in weights.items():
        array = generator.standard_normal(shape, dtype=np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path
