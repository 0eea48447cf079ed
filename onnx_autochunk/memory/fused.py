"""The ops that ONNX Runtime really runs, of a graph as exported: what its optimizer folds and joins.

Only what decides the peak of exported models is repeated here, so that the raw graph predicts well enough
to search on; a graph that ORT wrote itself passes unchanged. `MatMul, Add(bias)` -> one op that reads what
both read.

Source: onnxruntime/core/optimizer/constant_folding.cc, noop_elimination.cc, matmul_add_fusion.cc,
matmul_scale_fusion.cc, gelu_fusion.cc, fast_gelu_fusion.cc and quick_gelu_fusion.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from ..graph.fold import added_to_nothing
from ..graph.half import lacks_kernel
from ..graph.model import Graph, Op, Origin
from .halves import Constants

RANDOM = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli".split()
)
SCALAR_STEPS = frozenset("Add Sub Mul Div Pow".split())  # steps that a fused activation may consist of
MOST_STEPS = 8  # on either side of its Tanh, Erf or Sigmoid
CURVES = frozenset("Tanh Erf Sigmoid".split())  # the op in the middle of Gelu and SiLU


def ops_as_run(graph: Graph, halves: Constants | None = None) -> tuple[Op | None, ...]:
    """For each op of the graph, the op that runs at its place; None when nothing runs there.

    The rules it follows:
        1. An op that reads nothing but constants is folded before the run.
        2. A MatMul by a constant matrix joins the Add of a constant vector, any MatMul a Mul or Div by a
           scalar.
        3. The steps of Gelu and SiLU around one Tanh, Erf or Sigmoid become one op.
        4. An Add of one constant zero is left out: what reads its result reads the other operand.
        5. In float16 on the CPU, what lacks a kernel is not folded, a scalar that is cast is none, and only
           a MatMul and an Add join unless a constant was converted.

    Args:
        graph: as exported.
        halves: its constants in float16; None where float16 has all kernels.
    """
    return _Rewrite.of(graph, halves).ops()


@dataclass(frozen=True, slots=True)
class _Rewrite:
    graph: Graph
    constants: frozenset[str]
    halves: Constants | None

    @classmethod
    def of(cls, graph: Graph, halves: Constants | None) -> _Rewrite:
        constants = {name for name, value in graph.values.items() if value.origin is Origin.CONSTANT}
        for op in graph.ops:
            runs = op.type in RANDOM or bool(op.subgraphs) or not constants.issuperset(op.reads)
            if not runs and (halves is None or not lacks_kernel(op, graph)):
                constants.update(op.outputs)
        return cls(graph, frozenset(constants - graph.results), halves)

    def ops(self) -> tuple[Op | None, ...]:
        run: list[Op | None] = [op if self._runs(op) else None for op in self.graph.ops]
        for op in self.graph.ops:
            if op.type == "MatMul":
                self._join(op, run)
            elif op.type in CURVES and self._fuses():
                self._join_activation(op, run)
        return self._without_zeros(run)

    def _without_zeros(self, run: Sequence[Op | None]) -> tuple[Op | None, ...]:
        """Nothing runs where nothing is added; in their order, so that several in a row are left out."""
        zeros = {
            op.index: same for op in run if op and (same := added_to_nothing(op, self.graph)) is not None
        }
        if not zeros:
            return tuple(run)
        named = self.graph.results.union(*(op.captures for op in self.graph.ops))
        stands: dict[str, str] = {}
        ops: list[Op | None] = []
        for op in run:
            if op is None:
                ops.append(None)
            elif op.index in zeros and op.outputs[0] not in named:
                ops.append(None)
                stands[op.outputs[0]] = stands.get(zeros[op.index], zeros[op.index])
            elif stands.keys().isdisjoint(op.inputs):
                ops.append(op)
            else:
                ops.append(replace(op, inputs=tuple(stands.get(name, name) for name in op.inputs)))
        return tuple(ops)

    def _fuses(self) -> bool:
        return self.halves is None or self.halves.converted

    def _runs(self, op: Op) -> bool:
        return not op.outputs or not self.constants.issuperset(name for name in op.outputs if name)

    def _join(self, product: Op, run: list[Op | None]) -> None:
        """Move a MatMul into the op after it."""
        after = self._only_reader(product.outputs[0])
        if after is None or not self._takes_in(product, after):
            return
        others = tuple(name for name in after.inputs if name != product.outputs[0])
        run[product.index] = None
        kind = "Gemm" if after.type == "Add" else "FusedMatMul"
        run[after.index] = replace(after, type=kind, inputs=product.inputs + others)

    def _takes_in(self, product: Op, after: Op) -> bool:
        other = next((name for name in after.inputs if name != product.outputs[0]), "")
        if after.type in {"Mul", "Div"}:
            return (
                self._fuses() and self._is_scalar(other) and (after.type == "Mul" or after.inputs[1] == other)
            )
        by_matrix = product.inputs[1] in self.constants and self._rank(product.inputs[1]) == 2
        return after.type == "Add" and other in self.constants and self._rank(other) == 1 and by_matrix

    def _join_activation(self, curve: Op, run: list[Op | None]) -> None:
        """Replace the last step of an activation by all of it, if its steps serve nothing else."""
        before = set(self._steps_before(curve.inputs[0]))
        sources = self._sources(before | {curve.index})
        if len(sources) != 1:
            return
        (source,) = sources
        steps, last = self._steps_after(curve, source, before | {curve.index})
        if last is None or not self._serve_only(steps - {last.index}, steps):
            return
        for index in steps:
            run[index] = None
        kind = "QuickGelu" if curve.type == "Sigmoid" else "Gelu"
        run[last.index] = replace(last, type=kind, inputs=(source,))

    def _steps_after(self, curve: Op, source: str, steps: set[int]) -> tuple[set[int], Op | None]:
        """Follow scalar steps and products with the source; the last product, or what scales it, ends it."""
        found, last, at = set(steps), None, curve
        multiplied = False
        while (after := self._only_reader(at.outputs[0])) is not None and after.type in SCALAR_STEPS:
            others = [name for name in after.inputs if name != at.outputs[0] and not self._is_scalar(name)]
            side = {index for name in others for index in self._steps_before(name)}
            if others and (after.type != "Mul" or self._sources(side, others) != {source}):
                break
            multiplied = multiplied or bool(others)
            found |= side | {after.index}
            at = after
            last = after if multiplied else None
        return (found, last) if last is not None else (steps, None)

    def _steps_before(self, name: str) -> Iterator[int]:
        """Scalar steps that lead to a value, the nearest ones."""
        waiting, seen = [name], set[int]()
        while waiting and len(seen) < MOST_STEPS:
            op = self.graph.producer.get(waiting.pop())
            if op is not None and op.index not in seen and self._is_scalar_step(op):
                seen.add(op.index)
                yield op.index
                waiting.extend(operand for operand in op.inputs if not self._is_scalar(operand))

    def _is_scalar_step(self, op: Op) -> bool:
        if op.type not in SCALAR_STEPS or op.outputs[0] in self.constants:
            return False
        wide = {name for name in op.inputs if not self._is_scalar(name)}
        return len(wide) == 1 or (op.type in {"Add", "Mul"} and self._is_polynomial(op))

    def _is_polynomial(self, op: Op) -> bool:
        """True for `x + c * x * x * x` and its parts: one operand is made of the other by scalar steps."""
        left, right = op.inputs
        return left in self._ancestry(right) or right in self._ancestry(left)

    def _ancestry(self, name: str) -> Iterator[str]:
        for _ in range(4):
            op = self.graph.producer.get(name)
            if op is None or op.type not in SCALAR_STEPS:
                return
            wide = [operand for operand in op.inputs if not self._is_scalar(operand)]
            yield from wide
            name = wide[0] if wide else ""

    def _sources(self, steps: set[int], names: Sequence[str] = ()) -> set[str]:
        """Values that the steps read and do not make, and those of `names` that they do not make."""
        made = {self.graph.ops[index].outputs[0] for index in steps}
        read = {name for index in steps for name in self.graph.ops[index].inputs if not self._is_scalar(name)}
        return (read | set(names)) - made

    def _serve_only(self, inner: set[int], steps: set[int]) -> bool:
        outputs = [self.graph.ops[index].outputs[0] for index in inner]
        readers = {op.index for name in outputs for op in self.graph.consumers.get(name, ())}
        return readers <= steps and self.graph.results.isdisjoint(outputs)

    def _only_reader(self, name: str) -> Op | None:
        readers = self.graph.consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.graph.results else None

    def _is_scalar(self, name: str) -> bool:
        shape = self.graph.shape(name)
        if self.halves is not None and name in self.halves.cast:
            return False
        return name in self.constants and shape is not None and prod(shape) == 1

    def _rank(self, name: str) -> int | None:
        shape = self.graph.shape(name)
        return None if shape is None else len(shape)
