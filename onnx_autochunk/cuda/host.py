"""What CUDA kernels read and leave in the CPU's memory, and calls that have no kernel after all.

`Slice(data, starts, ends)`: the kernel runs on the GPU, its bounds are read on the CPU. A bound that was
computed on the GPU is copied first, and the CPU waits for it.

Source: `InputMemoryType(OrtMemTypeCPUInput, ...)` and `OutputMemoryType` in the registrations of
onnxruntime/core/providers/cuda and onnxruntime/contrib_ops/cuda; the file of each is named beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..graph.model import Op

# Files lie in core/providers/cuda.
_OPERANDS: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),  # generator/constant_of_shape.cc
    "Range": (0, 1, 2),  # generator/range.cc
    "CumSum": (1,),  # math/cumsum.cc
    "MatMulInteger": (2, 3),  # math/matmul_integer.cc
    "TopK": (1,),  # math/topk.cc
    "Dropout": (1, 2),  # nn/dropout.cc
    "NonMaxSuppression": (2, 3, 4),  # object_detection/non_max_suppression.cc
    "GRU": (4,),  # rnn/gru.cc
    "LSTM": (4,),  # rnn/lstm.cc
    "RNN": (4,),  # rnn/rnn.cc
    "Expand": (1,),  # tensor/expand.cc
    "OneHot": (1, 2),  # tensor/onehot.cc
    "Pad": (1, 2, 3),  # tensor/pad.cc
    "Reshape": (1,),  # tensor/reshape.cc
    "Resize": (1, 2, 3),  # tensor/resize.cc
    "SequenceAt": (1,),  # tensor/sequence_op.cc
    "SequenceErase": (1,),  # tensor/sequence_op.cc
    "SequenceInsert": (2,),  # tensor/sequence_op.cc
    "Slice": (1, 2, 3, 4),  # tensor/slice.cc
    "Split": (1,),  # tensor/split.cc
    "Squeeze": (1,),  # tensor/squeeze.cc
    "Tile": (1,),  # tensor/tile.cc
    "Trilu": (1,),  # tensor/trilu.cc
    "Unsqueeze": (1,),  # tensor/unsqueeze.cc
    "Upsample": (1,),  # tensor/upsample.cc
    "If": (0,),  # controlflow/if.cc
    "Loop": (0, 1),  # controlflow/loop.cc; a Scan's operands are all on the GPU since version 9 (scan.cc)
    # The axes of every reduction: reduction/reduction_ops.cc.
    **dict.fromkeys(
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare".split(),
        (1,),
    ),
}
# Files lie in contrib_ops/cuda.
_CONTRIB_OPERANDS: Mapping[str, tuple[int, ...]] = {
    "Attention": (6,),  # bert/attention.cc
    "DecoderMaskedMultiHeadAttention": (7, 8),  # bert/decoder_masked_multihead_attention.cc
    "DecoderMaskedSelfAttention": (6, 7),  # bert/decoder_masked_self_attention.cc
    "GroupQueryAttention": (6,),  # bert/group_query_attention.cc
    "MultiHeadAttention": (8,),  # bert/multihead_attention.cc
    "RelativePositionBias": (1, 2),  # bert/relative_attn_bias.cc
    "ConvTransposeWithDynamicPads": (2,),  # conv_transpose_with_dynamic_pads.cc
    "BiasDropout": (3, 4),  # math/bias_dropout.cc
    "BitmaskDropout": (1, 2),  # math/bitmask_dropout.cc
    "BitmaskBiasDropout": (3, 4),  # math/bias_dropout.cc
    "QAttention": (3, 4, 6, 7),  # quantization/attention_quantization.cc
    "QOrderedGelu": (1, 2),  # quantization/qordered_ops/qordered_unary_ops.cc
    "QOrderedLayerNormalization": (1, 4),  # quantization/qordered_ops/qordered_layer_norm.cc
    "QuantizeWithOrder": (1,),  # quantization/qordered_ops/qordered_qdq.cc
    "DequantizeWithOrder": (1,),  # quantization/qordered_ops/qordered_qdq.cc
    "SparseAttention": (7,),  # sparse/sparse_attention.cc
    "Trilu": (1,),  # tensor/trilu.cc
}
_RESULTS: Mapping[str, tuple[int, ...]] = {
    "Shape": (0,),  # tensor/shape_op.cc
    "Size": (0,),  # tensor/size.cc
    "SequenceLength": (0,),  # tensor/sequence_op.cc
}
_CONTRIB_RESULTS: Mapping[str, tuple[int, ...]] = {"RemovePadding": (3,)}  # bert/remove_padding.cc


def host_operands(op: Op) -> tuple[int, ...]:
    """Positions of the operands that the CUDA kernel reads in the CPU's memory."""
    return _side(op, _OPERANDS, _CONTRIB_OPERANDS)


def host_results(op: Op) -> tuple[int, ...]:
    """Positions of the results that the CUDA kernel leaves in the CPU's memory."""
    return _side(op, _RESULTS, _CONTRIB_RESULTS)


def _side(
    op: Op, standard: Mapping[str, tuple[int, ...]], contrib: Mapping[str, tuple[int, ...]]
) -> tuple[int, ...]:
    return {"": standard, "com.microsoft": contrib}.get(op.domain, {}).get(op.type, ())


def refused(op: Op) -> str | None:
    """Why the CUDA provider leaves a call to the CPU although it has a kernel for its types.

    Source: `GetCapability` in onnxruntime/core/providers/cuda/cuda_execution_provider.cc.
    """
    wants = _REFUSALS.get(op.type)
    return None if wants is None or op.domain else wants(op)


def _last_index(op: Op) -> str | None:
    return "select_last_index has no CUDA kernel" if op.integer("select_last_index", 0) else None


def _asymmetric(op: Op) -> str | None:
    pads = op.attributes.get("pads", ())
    half = len(pads) // 2 if isinstance(pads, tuple) else 0
    uneven = isinstance(pads, tuple) and pads[:half] != pads[half:]
    by_name = str(op.attributes.get("auto_pad", "NOTSET")).startswith("SAME")
    return "cuDNN pads both sides alike" if uneven or by_name else None


_REFUSALS: Mapping[str, Callable[[Op], str | None]] = {
    "ArgMax": _last_index,
    "ArgMin": _last_index,
    "ConvTranspose": _asymmetric,
}
