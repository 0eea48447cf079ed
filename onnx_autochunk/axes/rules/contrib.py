"""Operators that ONNX Runtime adds to ONNX: what their families share, and those that no axis passes.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from onnx_autochunk.axes.factor import Patch
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec
from onnx_autochunk.axes.rules.words import steps

MICROSOFT = "com.microsoft"
contrib_rule = partial(rule, domain=MICROSOFT)
contrib_spec = partial(spec, domain=MICROSOFT)

_NO_KERNEL = "has no CPU kernel in ONNX Runtime to prove a rule on"
_ORDER = "stores its elements in an order that is not the one of the axes"
_PACKED = "packs the sequences of a batch into one axis, and says elsewhere where each begins"
_WHY: Mapping[str, str] = {
    "BeamSearch GreedySearch Sampling WhisperBeamSearch": "has a subgraph, which is left as it is",
    "BifurcationDetector DynamicTimeWarping Tokenizer Unique":
        "finds as many elements as the data has: no extent follows from a chunk's",
    "BitmaskBiasDropout BitmaskDropout": "packs 32 flags into a number",
    "DecoderAttention DecoderMaskedSelfAttention DynamicSparseAttention GatedDeltaNet"
    " GatedRelativePositionBias GemmFloat8 LongformerAttention MatMulBlockQuantizedFp4Weight"
    " MatMulBlockQuantizedFp8Weight MatMulNBitsMlp MatMulNBitsQkv SparseAttentionIndexer": _NO_KERNEL,
    "DequantizeBFP DequantizeWithOrder QOrderedAttention QOrderedGelu QOrderedLayerNormalization"
    " QOrderedLongformerAttention QOrderedMatMul QuantizeBFP QuantizeWithOrder RelativePositionBias": _ORDER,
    "DynamicQuantizeLSTM": "takes its scale from the least and the greatest of all elements",
    "EPContext Snpe": "is a model compiled for one device",
    "IsAllFinite": "gives one answer for several whole values",
    "PackedAttention PackedMultiHeadAttention PackedSparseAttentionIndexer PagedAttention RemovePadding"
    " RestorePadding SparsePagedAttention VarlenCausalConvWithState VarlenNGramHashMapping": _PACKED,
    "MaxpoolWithMask": "reads its mask at a place that depends on the number of channels of all images",
    "SparseAttention": "writes new keys and values into the buffer of the old ones",
    "SparseToDenseMatMul": "works on a sparse value",
}  # fmt: skip


def refuse(types: str, why: str, domain: str = MICROSOFT) -> None:
    """Give a family of operators a barrier."""

    @rule(types, domain=domain)
    def refused(node: Node) -> Answer:
        return barrier(f"{node.op.type} {why}")


for _types, _reason in _WHY.items():
    refuse(_types, _reason)

refuse(
    "AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool"
    " GlobalMaxPool GridSample InstanceNormalization LRN LpPool MaxPool MaxUnpool QLinearAveragePool"
    " QLinearConv QLinearConvTranspose Resize SpaceToDepth",
    "exists only inside a session: ONNX Runtime writes it for one device",
    "com.ms.internal.nhwc",
)

refuse(
    "DisentangledAttention_TRT EfficientNMS_TRT GRUUnit GivenTensorFill MultilevelCropAndResize_TRT"
    " PyramidROIAlign_TRT",
    "has no kernel in ONNX Runtime's own providers",
    domain="",
)
refuse("MemcpyFromHost MemcpyToHost", "copies between devices", domain="")

# channels lie in blocks that an axis does not show: only images can be told apart
_BLOCKED = "com.microsoft.nchwc"
spec("Conv", "n a! b! c!, (), (), n d! e! f! -> n d! e! f!", domain=_BLOCKED)
spec(
    "AveragePool GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample",
    "n a! b! c! -> n d! e! f!",
    domain=_BLOCKED,
)


def counted(*attributes: str, unit: int = 1) -> tuple[Patch, ...]:
    """Patches for attributes that count the factor's steps, each for `unit` of what they count."""
    return tuple(Patch(name, steps(unit)) for name in attributes)
