"""8-bit products and convolutions, as ONNX Runtime's own quantizer writes them.

`MatMul(x, w)` -> `Dequantize(Quantize(MatMul(Dequantize(Quantize(x)), Dequantize(w as int8))))`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from models.export import quiet

QUANTIZED = ("MatMul", "Gemm", "Conv")


class Once(CalibrationDataReader):  # type: ignore[misc]  # it ships no types
    """One set of inputs to find the ranges of values with."""

    def __init__(self, inputs: Mapping[str, torch.Tensor]) -> None:
        self.left = [{name: x.numpy() for name, x in inputs.items()}]

    def get_next(self) -> Mapping[str, object] | None:
        """The inputs, and then None."""
        return self.left.pop() if self.left else None


def quantize(path: Path, inputs: Mapping[str, torch.Tensor]) -> None:
    """Give a model's file 8-bit products, with the ranges that a run on `inputs` shows."""
    with quiet():
        quantize_static(
            path,
            path,
            Once(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
