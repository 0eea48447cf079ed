"""What an op is called with for one chunk: ranges at the edges, halos, crops, and numbers that move."""

from __future__ import annotations

import pytest

from onnx_autochunk.axes import Call, Factor, Linear, Patch, Place, Position, Rule, Step, Window, call, carry
from onnx_autochunk.axes.chunk import Numbers
from onnx_autochunk.axes.flow import Range

CONV = Window(8, step=1, before=1, span=3)
PADS = Patch("pads", (Linear(1, start=-1, first=1), Linear(1, stop=1, last=-1)))
DOWN = Window(9, step=2, before=1, span=3)


def _factor(window: Window | None, extent: int, *patches: Patch, crop: bool = False) -> Factor:
    return Factor("s", extent, (Place(1, window=window), None), (Place(1),), patches=patches, crop=crop)


def _step(factor: Factor, part: Position | None = None) -> Step:
    found = carry(Rule((factor,)), result=0, position=part or Position(1, 1, factor.extent, 1))
    assert isinstance(found, Step)
    return found


CALLS: list[tuple[str, Factor, Range, Range, Range, dict[int | str, Numbers]]] = [
    ("a slice", _factor(None, 8), (2, 5), (2, 5), (2, 5), {}),
    ("the first rows of a convolution", _factor(CONV, 8, PADS), (0, 4), (0, 5), (0, 4), {"pads": (1, 0)}),
    ("rows inside", _factor(CONV, 8, PADS), (3, 5), (2, 6), (3, 5), {"pads": (0, 0)}),
    ("the last rows", _factor(CONV, 8, PADS), (4, 8), (3, 8), (4, 8), {"pads": (0, 1)}),
    ("all of it", _factor(CONV, 8, PADS), (0, 8), (0, 8), (0, 8), {"pads": (1, 1)}),
    ("a stride", _factor(DOWN, 5), (1, 3), (1, 6), (1, 3), {}),
    ("a window that is cropped", _factor(CONV, 8, crop=True), (3, 5), (2, 6), (2, 6), {}),
    ("a window that is cropped at the edge", _factor(CONV, 8, crop=True), (0, 2), (0, 3), (0, 3), {}),
    ("an offset that moves", _factor(None, 8, Patch(1, Linear(-2, start=1))), (3, 5), (3, 5), (3, 5), {1: 1}),
    ("a number with a limit", _factor(None, 8, Patch(1, Linear(stop=1, most=4))),
     (3, 6), (3, 6), (3, 6), {1: 4}),
    ("an attribute that goes", _factor(None, 8, Patch("auto_pad", None)),
     (0, 2), (0, 2), (0, 2), {"auto_pad": None}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "wanted", "reads", "computed", "patches"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_call(
    factor: Factor, wanted: Range, reads: Range, computed: Range, patches: dict[int | str, Numbers]
) -> None:
    assert call(_step(factor), [(0, wanted)]) == Call((reads, None), (computed,), (wanted,), patches)


def test_steps_of_a_unit_are_rounded_outwards() -> None:
    """A wanted range that begins inside a step takes all of the step, in every value."""
    factor = Factor("h", 4, (Place(0, unit=3),), (Place(0, unit=3), Place(2)))
    step = _step(factor, Position(0, 1, 4, 3))
    assert call(step, [(0, (4, 8))]) == Call(((3, 9),), ((3, 9), (1, 3)), ((3, 9), (1, 3)), {})
    assert call(step, [(0, (4, 8)), (1, (3, 4))]).operands == ((3, 12),)


def test_a_range_of_a_minor_factor_is_that_of_each_repetition() -> None:
    factor = Factor("d", 5, (Place(0, outer=3),), (Place(1),))
    found = call(_step(factor), [(0, (1, 4))])
    assert found.operands == ((1, 4),) and found.results == ((1, 4),)


@pytest.mark.parametrize(
    ("window", "steps", "expected"),
    [
        (CONV, (0, 1), (0, 2)), (CONV, (7, 8), (6, 8)), (DOWN, (0, 5), (0, 9)), (DOWN, (4, 5), (7, 9)),
        (Window(5, step=3), (0, 1), (0, 1)), (Window(5, step=3), (0, 2), (0, 4)),
        (Window(3, before=4), (0, 1), (0, 0)),
        (Window(3, before=-2, span=2), (2, 3), (3, 3)),
    ],
)  # fmt: skip
def test_what_a_window_reads_is_clipped(window: Window, steps: Range, expected: Range) -> None:
    assert window.reach(*steps) == expected


def test_what_windows_lack_behind_the_last_step() -> None:
    assert [window.after for window in (CONV, DOWN, Window(5, step=3))] == [1, 0, -2]
