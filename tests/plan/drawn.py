"""Small random graphs with everything in them that makes chunking hard: 4 to 9 ops, axes of few steps.

`draw(7)` -> Neg -> LayerNormalization -> MatMul -> Softmax -> MatMul -> Add(residual), the same every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from onnx_autochunk.graph.loaded import Loaded
from tests.plan.graphs import loaded

Shape = tuple[int, ...]
FEWEST, MOST = 4, 9
UNARY = "Relu Exp Sigmoid Erf Neg".split()  # in place and not
SMALL = {"batch": (1, 2), "rows": (4, 8), "width": (2, 4)}
LARGE = {"batch": (1, 2), "rows": (256, 512), "width": (32, 64)}  # large enough for time to count


@dataclass
class Drawing:
    """A graph while it is drawn: its nodes in ONNX's text form and the shapes of its values."""

    draw: random.Random
    shapes: dict[str, Shape] = field(default_factory=dict)
    weights: dict[str, Shape] = field(default_factory=dict)
    nodes: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)  # result, text, operands

    def add(self, text: str, operands: Sequence[str], shape: Shape) -> str:
        """An op; `text` has a place for the operands."""
        name = f"v{len(self.nodes)}"
        self.shapes[name] = shape
        self.nodes.append((name, f"{name} = {text}({', '.join(operands)})", tuple(operands)))
        return name

    def weight(self, *shape: int) -> str:
        """A constant."""
        name = f"w{len(self.weights)}"
        self.weights[name] = shape
        return name

    def latest(self) -> str:
        """What comes next goes on from here: most often from the last value."""
        made = [name for name, _, _ in self.nodes]
        return made[-1] if self.draw.random() < 0.7 else self.draw.choice(made)


def unary(to: Drawing) -> None:
    value = to.latest()
    to.add(to.draw.choice(UNARY), [value], to.shapes[value])


def add_up(to: Drawing) -> None:
    """A residual: two values of one shape, or one and a mask that is broadcast."""
    value = to.latest()
    shape = to.shapes[value]
    made = [name for name, _, _ in to.nodes if name != value]
    others = [n for n in made if to.shapes[n] in (shape, shape[1:], (1, *shape[1:]), (*shape[:-1], 1))]
    to.add(to.draw.choice(["Add", "Mul"]), [value, to.draw.choice(others or [value])], shape)


def project(to: Drawing) -> None:
    """Rows times a constant matrix, which makes them wider or narrower."""
    value = to.latest()
    shape = to.shapes[value]
    columns = max(2, shape[-1] * to.draw.choice([1, 2, 4]) // 2)
    to.add("MatMul", [value, to.weight(shape[-1], columns)], (*shape[:-1], columns))


def attend(to: Drawing) -> None:
    """Scores of all rows with all rows, and a sum over rows."""
    value = to.latest()
    shape = to.shapes[value]
    turned = to.add("Transpose<perm=[0, 2, 1]>", [value], (shape[0], shape[2], shape[1]))
    scores = to.add("MatMul", [value, turned], (*shape[:2], shape[1]))
    scores = to.add("Softmax<axis=-1>", [scores], to.shapes[scores])
    to.add("MatMul", [scores, value], shape)


def normalise(to: Drawing) -> None:
    value = to.latest()
    shape = to.shapes[value]
    if to.draw.random() < 0.5:
        to.add(f"Softmax<axis={to.draw.choice([1, 2])}>", [value], shape)
    else:
        to.add("LayerNormalization<axis=-1>", [value, to.weight(shape[-1])], shape)


def reduce(to: Drawing) -> None:
    value = to.latest()
    shape = list(to.shapes[value])
    axis = to.draw.choice([1, 2])
    shape[axis] = 1
    to.add(to.draw.choice(["ReduceSum", "ReduceMax"]), [value, f"axis{axis}"], tuple(shape))


def transpose(to: Drawing) -> None:
    value = to.latest()
    batch, rows, columns = to.shapes[value]
    to.add("Transpose<perm=[0, 2, 1]>", [value], (batch, columns, rows))


def mask(to: Drawing) -> None:
    """A mask that is computed once and added to several values."""
    value = to.latest()
    shape = (1, *to.shapes[value][1:])
    made = to.add("Neg", [_input(to, "m", shape)], shape)
    first = to.add("Add", [value, made], to.shapes[value])
    to.add("Add", [to.add("Exp", [first], to.shapes[first]), made], to.shapes[first])


def _input(to: Drawing, stem: str, shape: Shape) -> str:
    name = f"{stem}{sum(known.startswith(stem) for known in to.shapes)}"
    to.shapes[name] = shape
    return name


STEPS: Sequence[Callable[[Drawing], None]] = (
    unary, unary, add_up, add_up, project, project, normalise, attend, attend, reduce, transpose, mask,
)  # fmt: skip


def draw(seed: int, *, large: bool = False) -> Loaded:
    """A graph of 4 to 9 ops, one or two of whose results are outputs."""
    dice = random.Random(seed)
    while True:
        drawing = _drawn(dice, LARGE if large else SMALL)
        last = drawing.nodes[-1][0]
        outputs = [last]
        if dice.random() < 0.2:
            outputs.append(dice.choice(drawing.nodes)[0])
        kept = _needed(drawing, outputs)
        if FEWEST <= len(kept) <= MOST:
            return _loaded(drawing, kept, list(dict.fromkeys(outputs)))


def _drawn(dice: random.Random, sizes: Mapping[str, tuple[int, ...]]) -> Drawing:
    to = Drawing(dice)
    shape = tuple(dice.choice(sizes[name]) for name in ("batch", "rows", "width"))
    to.add(dice.choice(UNARY), [_input(to, "x", shape)], shape)
    for _ in range(dice.randint(2, MOST - 1)):
        dice.choice(STEPS)(to)
    return to


def _needed(drawing: Drawing, outputs: Sequence[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """The nodes that the outputs depend on."""
    wanted, kept = set(outputs), []
    for node in reversed(drawing.nodes):
        if node[0] in wanted:
            kept.append(node)
            wanted.update(node[2])
    return kept[::-1]


def _loaded(
    drawing: Drawing, kept: Sequence[tuple[str, str, tuple[str, ...]]], outputs: Sequence[str]
) -> Loaded:
    read = {name for _, _, operands in kept for name in operands}
    inputs = [name for name in drawing.shapes if name in read and not name.startswith("v")]
    weights = {name: shape for name, shape in drawing.weights.items() if name in read}

    def typed(names: Sequence[str]) -> str:
        return ", ".join(f"float[{','.join(map(str, drawing.shapes[name]))}] {name}" for name in names)

    text = f"({typed(inputs)}) => ({typed(outputs)}) {{ {' '.join(text for _, text, _ in kept)} }}"
    return loaded(text, weights, axis1=[1], axis2=[2])
