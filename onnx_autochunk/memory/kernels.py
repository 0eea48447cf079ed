"""What ONNX Runtime's kernels do with buffers, as data: aliases, in-place updates, memory of their own.

`Reshape` hands on its operand's buffer, `Relu` overwrites it when nobody else reads it, `Where` takes two hidden


Source: `Alias` and `MayInplace` in ORT's kernel registrations (onnxruntime/core/providers/{cpu,cuda},
onnxruntime/contrib_ops/{cpu,cuda}); temporaries measured.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..graph.model import Graph, Op
from .temporaries import CPU, CUDA, Call, Shapes

ALIASES = frozenset(
    "Reshape Squeeze Unsqueeze Flatten Identity Optional OptionalGetElement ExpandDims".split()
)

_ACTIVATIONS = "Elu HardSigmoid LeakyRelu Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu ParametricSoftplus ScaledTanh"

# Operand whose buffer the first output may take when this op is its last reader and both have one size.
IN_PLACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "cpu": {
        **dict.fromkeys(f"{_ACTIVATIONS} Clip Shrink Softmax LogSoftmax Cast Trilu".split(), (0,)),
        **dict.fromkeys("Scatter ScatterElements TensorScatter".split(), (0,)),
    },
    "cuda": {
        **dict.fromkeys(f"{_ACTIVATIONS} Gelu FastGelu QuickGelu Trilu".split(), (0,)),
        **dict.fromkeys("ScatterND TensorScatter".split(), (0,)),
    },
}

_TEMPORARIES = {"cpu": CPU, "cuda": CUDA}


def alias_of(op: Op) -> int | None:
    """Operand whose buffer the first output always shares; None when the op writes a buffer of its own."""
    return 0 if op.type in ALIASES else None


def inplace_operands(op: Op, provider: str = "cpu") -> tuple[int, ...]:
    """Operands that the first output may overwrite."""
    return IN_PLACE[provider].get(op.type, ())


def temporary_bytes(op: Op, graph: Graph, provider: str = "cpu", shape_of: Shapes | None = None) -> int:
    """Bytes the kernel allocates for itself while it runs, beyond its operands and results.

    Args:
        op: the call to price.
        graph: where element types (and shapes, unless `shape_of` says otherwise) are looked up.
        provider: whose kernels, "cpu" or "cuda".
        shape_of: shapes at which to price the op, e.g. those of one chunk.
    """
    kind = f"{op.domain}.{op.type}" if op.domain else op.type
    rule = _TEMPORARIES[provider].get(kind)
    return 0 if rule is None else rule(Call(op, graph, shape_of or graph.shape))
