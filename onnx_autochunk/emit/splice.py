"""Put a planned region in the place of its ops: in the model's graph, or in a body that is one itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from ..options import Form
from ..plan.plan import PlannedRegion
from .accumulate import emit_accumulating
from .body import Nest, Weaving
from .opened import emit_opened
from .scan import emit_scan
from .scope import Scope
from .sweep import emit_sweep
from .unroll import emit_unroll

_EMIT: Mapping[Form, Callable[[Weaving, Scope, PlannedRegion], dict[str, ir.Value]]] = {
    Form.SCAN: emit_scan,
    Form.SWEEP: emit_sweep,
    Form.UNROLL: emit_unroll,
}


def replace_region(weaving: Weaving, planned: PlannedRegion, scope: Scope) -> list[ir.Node]:
    """Write a region and take the old ops out; the new nodes."""
    graph = weaving.home
    accumulates = planned.region.accumulator is not None
    emit = emit_accumulating if accumulates else _EMIT[planned.form]
    if weaving.numbers is not None:
        emit = emit_opened
    outputs = emit(weaving, scope, planned)
    anchor = weaving.nodes[planned.region.ops[-1]]
    for constant in scope.constants.values():
        graph.register_initializer(constant)
    graph.insert_before(anchor, scope.nodes)
    for name, new in outputs.items():
        _hand_over(weaving, name, new)
    gone = [weaving.nodes[i] for i in reversed(planned.region.ops) if i not in planned.region.recomputed]
    graph.remove(gone, safe=True)
    while weaving.nests:
        _fill(weaving.nests.pop())
    return scope.nodes


def _fill(nest: Nest) -> None:
    """Put the loops into a body."""
    for inner in nest.nested.regions:
        replace_region(nest.weaving, inner, Scope(f"{nest.scope.prefix}/{inner.name}", nest.scope.names))
    nest.weaving.home.sort()


def _hand_over(weaving: Weaving, name: str, new: ir.Value) -> None:
    """Give a new value the place and the name of an old one."""
    old = weaving.values[name]
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    old.name, new.name = f"{old.name}/unchunked", old.name
    new.doc_string = old.doc_string
    new.metadata_props.update(old.metadata_props)
    weaving.values[name] = new
