"""What the files are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, numpy_helper, parser

NAME = "in.onnx"
WEIGHT = np.arange(16, dtype=np.float32).reshape(4, 4)
HEADER = '<ir_version: 10, opset_import: ["": 21, "local": 1, "com.microsoft": 1]>'


def model(text: str, **weights: object) -> ModelProto:
    """A model from ONNX's own notation, `(float[4] x) => (float[4] y) { y = Neg(x) }`, and its weights."""
    proto = parser.parse_model(f"{HEADER} g {text}")
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(data), name) for name, data in weights.items()
    )
    return proto


def product() -> ModelProto:
    """What most files would be without what is wrong with them."""
    return model("(float[4,4] x) => (float[4,4] y) { y = MatMul(x, w) }", w=WEIGHT)


def put(folder: Path, proto: ModelProto) -> None:
    """Write a model as the file that the command reads."""
    (folder / NAME).write_bytes(proto.SerializeToString())
