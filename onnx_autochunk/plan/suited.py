"""Which chunkings of a region run well on the provider that is planned for.

On CUDA,

1. Concat has a kernel for up to 32 equal parts.
2. What a Scan hands to its body are views, which many kernels want to begin where an allocation would: rows
   of a mask `[1, 1, 4097, 4097]` of float32 are 16,388 bytes, and go in chunks of 64.
3. It hands over what lies on the GPU: an operand that changes from chunk to chunk and is read on the CPU, as
   the diagonal of a Trilu is, would be copied at each iteration.

Source: `cuda.slow`, `cuda.host`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd, lcm

from ..axes import Linear, Patch
from ..cuda.host import host_operands
from ..cuda.slow import ALIGNED_BYTES, MOST_PARTS
from ..graph.model import Graph, nbytes
from ..options import Form
from .chunking import Chunking
from .price import is_view
from .region import Cut, Region
from .rules import Rules


def suited(
    graph: Graph, rules: Rules, region: Region, form: Form, chunkings: Iterable[Chunking], *, inside: bool
) -> tuple[Chunking, ...]:
    """The chunkings that CUDA runs well.

    Args:
        graph: where the region lies.
        rules: of its ops.
        region: what is cut.
        form: how it is written.
        chunkings: to choose from.
        inside: the region lies in a body, where a shorter last chunk would be put together at each iteration.
    """
    if form is Form.SWEEP:
        return tuple(chunkings)
    if form is Form.UNROLL:
        return tuple(chunking for chunking in chunkings if chunking.total <= MOST_PARTS)
    if _hands_to_host(graph, rules, region):
        return ()
    steps = aligned_steps(graph, region, form)
    return tuple(c for c in chunkings if not (inside and c.tail) and c.length % steps == 0)


def aligned_steps(graph: Graph, region: Region, form: Form) -> int:
    """What chunk lengths are to be multiples of, so that a Scan's views begin where allocations would."""
    if form is not Form.SCAN:
        return 1
    read = (cut for cut in region.sliced if is_view(graph, cut, even=True, provider="cuda"))
    strides = (_chunk_bytes(graph, cut, 1) for cut in (*read, *region.outputs))
    return lcm(*(ALIGNED_BYTES // gcd(ALIGNED_BYTES, stride) for stride in strides))


def _hands_to_host(graph: Graph, rules: Rules, region: Region) -> bool:
    for op in (graph.ops[index] for index in region.ops):
        factor = region.step(op, rules[op.index]).factor
        for patch in () if factor is None else factor.patches:
            if patch.target in host_operands(op) and _changes(patch):
                return True
    return False


def _changes(patch: Patch) -> bool:
    """Whether chunks of one length get different numbers."""
    numbers = (patch.numbers,) if isinstance(patch.numbers, Linear) else patch.numbers or ()
    return any(number.start + number.stop or number.first + number.last for number in numbers)


def _chunk_bytes(graph: Graph, cut: Cut, length: int) -> int:
    value = graph.values[cut.value]
    assert value.shape is not None, "a cut value has a shape"
    return nbytes(value.dtype, cut.position.sliced_shape(value.shape, length))
