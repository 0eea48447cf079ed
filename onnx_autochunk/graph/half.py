"""Which ops ONNX Runtime's CPU provider has kernels for in float16: a few that move data, and some more.

All others it computes in float32, between casts, and does not fold when it loads: `Where` of constants runs
every time. Constants are folded by the CPU's kernels whatever the provider.

Source: measured on ONNX Runtime 1.31, x86-64: the ops that its optimized graph leaves on float16
(tests/memory/test_halves.py repeats it); onnxruntime/core/optimizer/insert_cast_transformer.cc.
"""

from __future__ import annotations

from .model import Graph, Op

DTYPE = "float16"
_KERNELS = """
    Identity Reshape Squeeze Unsqueeze Flatten Transpose Expand Concat Split Slice
    Gather GatherElements GatherND ScatterND ScatterElements TensorScatter Compress Shape
    Cast CastLike Clip Max Min Mod Round Sign IsNaN IsInf
    LayerNormalization RMSNormalization SkipLayerNormalization Attention
"""
KERNELS = frozenset(_KERNELS.split())


def lacks_kernel(op: Op, graph: Graph) -> bool:
    """True for an op on float16 that the CPU computes on float32; what runs bodies takes any element type."""
    if op.type in KERNELS or op.subgraphs or "." in op.type:  # a dot: stands for something in a plan's prices
        return False
    return any(name in graph.values and graph.values[name].dtype == DTYPE for name in op.inputs)
