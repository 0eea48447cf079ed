"""What becomes of mutants: every rule is mutated as data, and the oracle must notice.

A mutant of an operator is caught when any case of the operator catches it. It does not count where it is no
mistake:

1. The ops that it runs are the same, on the same operands, and the same is taken of their results.
2. It only gives another name to a factor that the rule has as well.
3. It is right and reads all that the rule reads, and more: a wider window, an operand read whole. (That rules
   do not read too much themselves shows in the narrower mutants, which are caught.)
4. It is right, and `test_missing` lists why the rule does not let that axis pass.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from onnx_autochunk.axes import Factor, Rule, Step
from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Node
from onnx_autochunk.graph.model import Graph
from tests.axes.cases import CASES
from tests.axes.guarded import guarded
from tests.axes.mutants import Mutant, mutants
from tests.axes.oracle import Array, Case, Chunk, Run, assert_step, chunks, flows, graph_of, rule_of, runner
from tests.axes.reasons import WHOLE_THOUGH_IT_PASSES

Key = tuple[str, str, str]  # domain, operator, what is wrong
Runs = list[tuple[Step, list[Chunk]]]


class Fate(enum.Enum):
    """What became of a mutant in one case."""

    CAUGHT = 1
    EQUIVALENT = 2
    SURVIVED = 3


@dataclass(frozen=True)
class Score:
    """Mutants by their fate, of all cases together."""

    caught: tuple[Key, ...]
    survived: tuple[Key, ...]
    equivalent: tuple[Key, ...]

    @property
    def share(self) -> float:
        """Caught ones of those that count."""
        return len(self.caught) / max(len(self.caught) + len(self.survived), 1)


@cache
def score() -> Score:
    """Mutate every rule in every case."""
    fates: dict[Key, set[Fate]] = {}
    for key, fate in guarded(_tasks, Fate.CAUGHT):
        fates.setdefault(key, set()).add(fate)
    caught = tuple(key for key, found in fates.items() if Fate.CAUGHT in found)
    survived = tuple(k for k, found in fates.items() if Fate.SURVIVED in found and Fate.CAUGHT not in found)
    equivalent = tuple(key for key, found in fates.items() if found == {Fate.EQUIVALENT})
    return Score(caught, survived, equivalent)


def _tasks() -> Iterator[tuple[Key, Callable[[], Fate]]]:
    caught: set[Key] = set()
    for case in CASES:
        run = runner(case)
        whole = run(case.operands)
        rule = rule_of(case, whole)
        graph = graph_of(case, whole)
        node = Node(graph.ops[0], graph, *_shapes(graph))
        for mutant in mutants(rule, node):
            key = case.domain, case.type, mutant.what
            yield key, partial(_fate_once, key, caught, partial(_fate, case, run, rule, mutant, whole))


def _fate_once(key: Key, caught: set[Key], fate: Callable[[], Fate]) -> Fate:
    """What becomes of a mutant; one case that catches it is enough."""
    found = Fate.CAUGHT if key in caught else fate()
    if found is Fate.CAUGHT:
        caught.add(key)
    return found


def _shapes(graph: Graph) -> tuple[tuple[Shape | None, ...], tuple[Shape | None, ...]]:
    return tuple(map(graph.shape, graph.ops[0].inputs)), tuple(map(graph.shape, graph.ops[0].outputs))


def _fate(case: Case, run: Run, rule: Rule, mutant: Mutant, whole: Sequence[Array]) -> Fate:
    """Whether the oracle notices."""
    if _renamed(rule, mutant):
        return Fate.EQUIVALENT
    try:
        for factor in mutant.factors:
            made = replace(mutant.rule, factors=(factor,))
            for step in flows(made):
                assert_step(case, run, made, step, whole)
    except Exception:  # a wrong rule may fail in any way
        return Fate.CAUGHT
    return Fate.EQUIVALENT if _is_no_mistake(case, rule, mutant, whole) else Fate.SURVIVED


def _renamed(rule: Rule, mutant: Mutant) -> bool:
    there = {_nameless(factor) for factor in rule.factors}
    return mutant.rule.sizes == rule.sizes and all(_nameless(factor) in there for factor in mutant.factors)


def _nameless(factor: Factor) -> Factor:
    return replace(factor, name="")


def _is_no_mistake(case: Case, rule: Rule, mutant: Mutant, whole: Sequence[Array]) -> bool:
    """Criteria 1, 3 and 4, of a mutant that is right."""
    if len(mutant.factors) > 1:
        return False
    (factor,) = mutant.factors
    if (case.type, f"{factor.name}{factor.mark.value}") in WHOLE_THOUGH_IT_PASSES:
        return True
    original = next(f for f in rule.factors if f.name == factor.name)
    before = _runs(case, replace(rule, factors=(original,)), whole)
    after = _runs(case, replace(mutant.rule, factors=(factor,)), whole)
    if _paired(before, after, lambda one, other: _same(case, one, other)):
        return True
    only_reads = replace(factor, operands=original.operands) == original
    return only_reads and _paired(before, after, _reads_more)


def _runs(case: Case, rule: Rule, whole: Sequence[Array]) -> Runs:
    return [(step, list(chunks(case, rule, step, whole))) for step in flows(rule)]


def _paired(before: Runs, after: Runs, agree: Callable[[Chunk, Chunk], bool]) -> bool:
    if len(before) != len(after):
        return False
    return all(
        one.mark is other.mark and len(ones) == len(others) and all(map(agree, ones, others))
        for (one, ones), (other, others) in zip(before, after, strict=True)
    )


def _same(case: Case, one: Chunk, other: Chunk) -> bool:
    """Criterion 1."""
    equal = all(
        a is b or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(one.operands, other.operands, strict=True)
    )
    return equal and _attributes(case, one) == _attributes(case, other) and one.parts == other.parts


def _attributes(case: Case, chunk: Chunk) -> dict[str, object]:
    found = {**case.attributes, **chunk.attributes}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if value is not None
    }


def _reads_more(one: Chunk, other: Chunk) -> bool:
    """Criterion 3."""
    return all(
        more is None or (less is not None and more[0] <= less[0] and less[1] <= more[1])
        for less, more in zip(one.reads, other.reads, strict=True)
    )
