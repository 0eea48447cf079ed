"""What a chunk of an accumulating region runs beside the model's ops: parts are put to what there is so far.

    y = ReduceSum(x)        part = ReduceSum(chunk of x)  ->  y/so_far + part
    y = MatMul(Softmax(s), v)
        top' = Max(top, ReduceMax(s)), e = Exp(s - top'), ratio = Exp(top - top')
        total' = total * ratio + ReduceSum(e),  y' = y * ratio + MatMul(e, v);  at the end y / total

`top` starts at the lowest number, not at minus infinity: a row that is masked so far then adds nothing, and
one that is masked all through ends as 0 / 0, which is what Softmax gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..axes import Mark
from ..graph.model import Graph, Op, Value
from .lines import Lines, Shape, version_of
from .online import Spread, spread_of
from .recipes import CARRIED, Recipe, recipe_of
from .region import Region
from .rules import Rules


@dataclass(frozen=True, slots=True)
class State:
    """A value that goes from chunk to chunk.

    Attributes:
        value: as a chunk finds it.
        leaves: as it leaves it.
        start: each element before the first chunk.
    """

    value: str
    leaves: str
    start: float | int


@dataclass(frozen=True)
class Combining:
    """Writes what an accumulating region's chunks run in place of its last op and its Softmax."""

    graph: Graph
    region: Region
    rules: Rules

    @property
    def softmax(self) -> int | None:
        """Index of the Softmax."""
        return None if self.region.accumulator is None else self.region.accumulator.softmax

    @property
    def recipe(self) -> Recipe:
        """How the last op's parts combine."""
        found = recipe_of(self.last, self._own_mark())
        assert found is not None, "the last op of an accumulating region has a recipe"
        return found

    @property
    def last(self) -> Op:
        """The op that reduces."""
        return self.graph.ops[self.region.ops[-1]]

    def _own_mark(self) -> Mark:
        """The mark of the flow's factor in the op's own rule."""
        factor = self.region.step(self.last, self.rules[self.last.index]).factor
        assert factor is not None
        return next(f.mark for f in self.rules[self.last.index].factors if f.name == factor.name)

    def states(self, values: Mapping[str, Value]) -> tuple[State, ...]:
        """What is carried, once the chunk's values are known."""
        result = self.last.outputs[0]
        low, found = self.recipe.start, []
        if self.softmax is not None:
            made = self.graph.ops[self.softmax].outputs[0]
            top, total = f"{made}/top", f"{made}/total"
            found = [
                State(top, f"{top}/next", float(np.finfo(values[top].dtype).min)),
                State(total, f"{total}/next", 0.0),
            ]
        dtype = values[f"{result}/so_far"].dtype
        start = low if dtype.startswith("float") else _whole_number(low, dtype)
        return (*found, State(f"{result}/so_far", f"{result}/next", start))

    def soft(self, lines: Lines, op: Op) -> None:
        """In place of a Softmax: powers above the largest logit so far."""
        logits, made, axis = op.inputs[0], op.outputs[0], self._axis()
        kind = lines.values[made].dtype
        logits = lines.cast(logits, CARRIED[kind], f"{made}/logits")
        rows = tuple(1 if at == axis else size for at, size in enumerate(lines.shape(logits)))
        top, total = f"{made}/top", f"{made}/total"
        for name in (top, total):
            lines.values[name] = Value(name, CARRIED[kind], rows)
        here = lines.reduce("ReduceMax", logits, (axis,), 1, f"{made}/here")
        higher = lines.add("Max", (top, here), f"{top}/next", here)
        apart = lines.add("Sub", (logits, higher), f"{made}/below", logits)
        plain = kind == CARRIED[kind]
        powers = lines.add("Exp", (apart,), made if plain else f"{made}/powers", logits)
        lines.stand_in(op, self.softmax or 0)
        lower = lines.add("Sub", (top, higher), f"{made}/lower", here)
        ratio = lines.add("Exp", (lower,), f"{made}/ratio", here)
        added = lines.reduce("ReduceSum", powers, (axis,), 1, f"{made}/added")
        scaled = lines.add("Mul", (total, ratio), f"{total}/scaled", here)
        lines.add("Add", (scaled, added), f"{total}/next", here)
        if not plain:
            lines.cast(powers, kind, made)

    def end(self, lines: Lines, op: Op) -> None:
        """In place of the last op: a part of the result, put to what there is so far."""
        result, recipe = op.outputs[0], self.recipe
        value = self.graph.values[result]
        part, kind = f"{result}/part", CARRIED[value.dtype]
        if recipe.part:
            axes, keepdims = self._reduced(), _keepdims(op)
            lines.reduce(recipe.part, op.inputs[0], axes, keepdims, part)
            lines.stand_in(op, self.last.index)
            part = lines.reshape(part, value.shape or (), f"{part}/shaped")
        else:
            lines.values[part] = replace(value, name=part)
            lines.copy(replace(op, outputs=(part,)), self.last.index)
        part = lines.cast(part, kind, f"{part}/wide")
        so_far = f"{result}/so_far"
        lines.values[so_far] = replace(lines.values[part], name=so_far)
        if self.softmax is not None:
            made = self.graph.ops[self.softmax].outputs[0]
            ratio = _laid(lines, lines.cast(f"{made}/ratio", kind, f"{made}/rate"), self._spread())
            so_far = lines.add("Mul", (so_far, ratio), f"{result}/scaled", part)
        if recipe.combine == "ReduceLogSumExp":
            _log_add(lines, so_far, part, f"{result}/next")
        else:
            lines.add(recipe.combine, (so_far, part), f"{result}/next", part)

    def ending(self, values: Mapping[str, Value]) -> Lines:
        """What makes the result of what is carried, after the last chunk; the result keeps its name.

        Args:
            values: of a chunk.
        """
        result, recipe = self.last.outputs[0], self.recipe
        total, made = f"{result}/next", self.softmax
        lines = Lines(version_of(self.graph), {total: values[total]})
        kind = values[total].dtype
        if made is not None:
            powers = f"{self.graph.ops[made].outputs[0]}/total/next"
            lines.values[powers] = values[powers]
            spread = self._spread()
            powers = _laid(lines, lines.cast(powers, kind, f"{powers}/wide"), spread)
            total = lines.add("Div", (total, powers), f"{result}/divided", total)
            total = _guarded(lines, total, powers, f"{result}/guarded") if spread.guarded else total
        if recipe.ending == "Mean":
            count = lines.constant(np.array(self._count(), kind), f"{result}/count")
            total = lines.add("Div", (total, count), f"{result}/mean", total)
        elif recipe.ending:
            total = lines.add(recipe.ending, (total,), f"{result}/ended", total)
        lines.cast(total, self.graph.values[result].dtype, f"{result}/narrow")
        return lines

    def _axis(self) -> int:
        assert self.softmax is not None
        return self.region.flow[self.graph.ops[self.softmax].outputs[0]].axis

    def _spread(self) -> Spread:
        assert self.softmax is not None
        behind = self.region.ops[self.region.ops.index(self.softmax) + 1 :]
        found = spread_of(self.graph, self.rules, self.graph.ops[self.softmax], self._axis(), behind)
        assert found is not None, "growth takes no Softmax that cannot be rescaled"
        return found

    def _reduced(self) -> tuple[int, ...]:
        """Axes of the operand that the result lacks."""
        rule = self.rules[self.last.index]
        return tuple(sorted(
            place.axis for f in rule.factors if (place := f.operands[0]) is not None and f.results[0] is None
        ))  # fmt: skip

    def _count(self) -> int:
        """Elements that go into one of the result."""
        whole, kept = (self.graph.shape(name) or () for name in (self.last.inputs[0], self.last.outputs[0]))
        return prod(whole) // max(1, prod(kept))


def _guarded(lines: Lines, total: str, powers: str, name: str) -> str:
    """0 where there are no powers, or where they are not numbers."""
    zero = lines.constant(np.array(0, lines.values[total].dtype), f"{name}/zero")
    some = f"{name}/some"
    lines.add("Greater", (powers, zero), some, powers)
    lines.values[some] = replace(lines.values[some], dtype="bool")
    return lines.add("Where", (some, total, zero), name, total)


def _whole_number(start: float, dtype: str) -> int:
    if np.isinf(start):
        return int(np.iinfo(dtype).min if start < 0 else np.iinfo(dtype).max)
    return int(start)


def _keepdims(op: Op) -> int:
    found = op.attributes.get("keepdims", 1)
    assert isinstance(found, int)
    return found


def _laid(lines: Lines, rows: str, spread: Spread) -> str:
    """One number for each row of a Softmax, along the axes of the result."""
    shape = lines.shape(rows)
    kept = [at for at in spread.order if shape[at] > 1]
    if kept != sorted(kept):
        turned: Shape = tuple(shape[at] for at in spread.order)
        rows = lines.add("Transpose", (rows,), f"{rows}/turned", rows, turned, perm=spread.order)
    if _broadcast(lines.shape(rows), len(spread.shape)) == spread.shape:
        return rows
    return lines.reshape(rows, spread.shape, f"{rows}/laid")


def _broadcast(shape: Shape, rank: int) -> Shape | None:
    return None if len(shape) > rank else (1,) * (rank - len(shape)) + shape


def _log_add(lines: Lines, so_far: str, part: str, name: str) -> None:
    """log(exp(a) + exp(b)), by the operator itself: it knows what to do with infinities."""
    shape = lines.shape(part)
    rows = tuple(lines.reshape(value, (1, *shape), f"{value}/row") for value in (so_far, part))
    both = lines.add("Concat", rows, f"{name}/both", part, (2, *shape), axis=0)
    lines.reduce("ReduceLogSumExp", both, (0,), 0, name)
