"""What to say where a budget cannot be met: the floor, the values that make it, and what would help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

from ..graph.model import Graph, Value
from ..memory.kernels import is_linear
from ..memory.lifetime import Timeline
from ..options import Form
from ..plan.plan import Burden, Plan, PlannedRegion
from ..plan.planner import Planner
from .build import LARGE, reason
from .text import mib

MOST_VALUES = 4
IN_A_BODY = "in a body; --include-subgraphs chunks what can be chunked there"


def budget_message(
    budget_bytes: int,
    measured_bytes: int | None,
    floor: Timeline | None,
    why: Callable[[str], str],
    helps: Sequence[str],
) -> str:
    """Why a budget cannot be met.

    Args:
        budget_bytes: the budget.
        measured_bytes: what the best plan takes; None when none was measured.
        floor: memory of the smallest plan; None when no plan keeps the other limits.
        why: for a value of the model, why it is not chunked; empty where nothing is known.
        helps: options that could lower the floor.
    """
    lines = [f"the budget of {mib(budget_bytes)} cannot be met."]
    if measured_bytes is not None:
        lines.append(f"The best plan measured takes {mib(measured_bytes)}.")
    if floor is not None:
        lines.append(f"The floor is about {mib(floor.peak_bytes)}; it is made by {_held(floor, why)}.")
    what = ", ".join(["a budget above the floor", *helps])
    lines.append(f"What would help: {what}; --best-effort writes the smallest plan")
    return " ".join(lines)


def elements_message(planner: Planner, names: Sequence[str], plan: Plan) -> str:
    """Why the limit on elements cannot be kept.

    Args:
        planner: of the model.
        names: values that have more.
        plan: that leaves them.
    """
    found = [_too_large(planner, name, plan) for name in names[:MOST_VALUES]]
    more = len(names) - len(found)
    listed = ", ".join([*found, *([f"{more} more"] if more else [])])
    return f"more than {planner.options.most_elements} elements in a tensor: {listed}"


def _too_large(planner: Planner, name: str, plan: Plan) -> str:
    value = _found(planner.graph, name)  # None for one that emission has named
    count = "" if value is None or value.shape is None else f"{prod(value.shape)} elements"
    said = ": ".join(filter(None, (count, why_held(planner, plan, name))))
    return f"{name} ({said})" if said else name


def _found(graph: Graph, name: str) -> Value | None:
    """A value of a graph or of a body in it."""
    bodies = (body for op in graph.ops for body in op.subgraphs.values())
    return graph.values.get(name) or next(filter(None, (_found(body, name) for body in bodies)), None)


def _held(floor: Timeline, why: Callable[[str], str]) -> str:
    """The largest values at the peak, with their sizes and what keeps them."""
    buffers = sorted(floor.at(floor.peak_step), key=lambda buffer: -buffer.nbytes)[:MOST_VALUES]
    large = [buffer for buffer in buffers if buffer.nbytes >= LARGE * floor.peak_bytes]
    found = dict.fromkeys((_plain(buffer.values[0]), buffer.nbytes) for buffer in large)
    return ", ".join(f"{name} ({': '.join(filter(None, (mib(size), why(name))))})" for name, size in found)


def why_held(planner: Planner, plan: Plan, name: str) -> str:
    """Why a value of the model or of a body has to exist whole, as far as it is known."""
    options = planner.options
    home = next((inner for inner in planner.graphs if name in inner.graph.producer), None)
    if home is None:
        return "" if name in planner.graph.values or not _found(planner.graph, name) else IN_A_BODY
    graph, op = home.graph, home.graph.producer[name]
    if name in graph.results:
        return "a result of the body" if home.home else "an output of the model"
    if options.keeps_out(op.name):
        return f"--include or --exclude keeps {op.name} out"
    if is_linear(op, graph, options.provider):
        return f"the kernel of {op.type} is linear in memory as it is"
    return reason(home, plan, op, name)


def remedies(planner: Planner, loops: Sequence[PlannedRegion]) -> tuple[str, ...]:
    """Options that were given, or left as they are, and that keep the floor up."""
    return tuple(_remedies(planner, loops))


def _remedies(planner: Planner, loops: Sequence[PlannedRegion]) -> Iterator[str]:
    options, floor_bytes = planner.options, planner.floor_bytes
    most = options.max_chunks
    if most is not None and any(2 * loop.chunking.total > most for loop in loops):
        yield f"more than --max-chunks {most}"
    if planner.within(floor_bytes) is None:
        slower = planner.within(floor_bytes, Burden(float("inf"), planner.limit.resident_bytes))
        if slower is not None:
            yield f"--max-load-time {slower.load_seconds:.0f} instead of {options.max_load_s:g}"
    if options.form is not Form.AUTO:
        yield f"any form instead of --form {options.form.value}"
    if options.max_opset is not None:
        yield f"a higher opset than --max-opset {options.max_opset}"
    if not planner.seconds.fixed:
        yield "--fix-dims, which leaves more to choose from, for the sizes given only"
    if any(options.keeps_out(op.name) for op in planner.graph.ops):
        yield "chunking what --include or --exclude keeps out"


def _plain(name: str) -> str:
    """The model's own name for a value that emission renamed, without the parts that say where it is."""
    parts = [
        part for part in name.split("/") if part not in {"frame", "chunk", "framed", "stacked", "turned"}
    ]
    return parts[-1] if parts else name
