"""What ONNX Runtime's kernels do with buffers, as data: aliases, in-place updates, memory of their own.

`Reshape` hands on its operand's buffer; `Relu` overwrites it when nobody else reads it; `Where` takes two
hidden tensors. The planner walks these tables and never looks at an op's type.

Source: `Alias` and `MayInplace` in ORT's kernel registrations (onnxruntime/core/providers/{cpu,cuda},
onnxruntime/contrib_ops/{cpu,cuda}); those of the CPU were also measured, one op at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..graph.model import Graph, Op
from . import attention
from .temporaries import CPU, CUDA, Call, Shapes
from .workspace import ATTENTION

# Dropout is here because ORT removes it before the run.
ALIASES = frozenset("Reshape Squeeze Unsqueeze Flatten Identity Dropout Optional OptionalGetElement".split())

_ACTIVATIONS = (
    "Celu Elu HardSigmoid LeakyRelu Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu Shrink"
)
_CPU = f"{_ACTIVATIONS} Clip Softmax LogSoftmax Cast Trilu Scatter ScatterElements TensorScatter"
_CUDA = f"{_ACTIVATIONS} Gelu QuickGelu Trilu ScatterND TensorScatter"

# Operands whose buffer the first output may take when this op is the last reader and both have one size.
IN_PLACE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "cpu": {
        **dict.fromkeys(_CPU.split(), (0,)),
        **dict.fromkeys("Conv FusedConv".split(), (3,)),  # what a fused Add adds
    },
    "cuda": dict.fromkeys(_CUDA.split(), (0,)),
}

_TEMPORARIES = {"cpu": CPU, "cuda": {**CUDA, **ATTENTION}}


def alias_of(op: Op) -> int | None:
    """Operand whose buffer the first output always shares; None when the op writes a buffer of its own."""
    return 0 if op.type in ALIASES else None


def inplace_operands(op: Op, provider: str = "cpu") -> tuple[int, ...]:
    """Operands that the first output may overwrite."""
    return IN_PLACE[provider].get(op.type, ())


def temporary_bytes(
    op: Op, graph: Graph, provider: str = "cpu", shape_of: Shapes | None = None, *, used: bool = False
) -> int:
    """Bytes the kernel allocates for itself while it runs, beyond its operands and results.

    Args:
        op: the call to price.
        graph: where element types (and shapes, unless `shape_of` says otherwise) are looked up.
        provider: whose kernels, "cpu" or "cuda".
        shape_of: shapes at which to price the op, e.g. those of one chunk.
        used: whether its first result lies in a buffer that held something before.
    """
    kind = f"{op.domain}.{op.type}" if op.domain else op.type
    rule = _TEMPORARIES[provider].get(kind)
    return 0 if rule is None else rule(Call(op, graph, shape_of or graph.shape, used))


def is_linear(op: Op, graph: Graph, provider: str = "cpu") -> bool:
    """True for attention whose kernel works through its scores block by block: chunks would gain nothing.

    On the CPU that is MultiHeadAttention, which keeps all scores after all with a padding mask or a bias;
    those are operands 4 and 5. On CUDA it depends on the call.

    Source: onnxruntime/contrib_ops/cpu/bert/multihead_attention.cc.
    """
    if provider == "cuda":
        return attention.is_linear(Call(op, graph, graph.shape))
    return (op.domain, op.type) == ("com.microsoft", "MultiHeadAttention") and not any(op.inputs[4:6])
