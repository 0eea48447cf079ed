"""Rule strings: what they bind to, how bound rules print, and what bad ones say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnx_autochunk.axes import Factor, Mark, Patch, Place, Rule, Window, written
from onnx_autochunk.axes.fit import Shape, bind
from onnx_autochunk.errors import RuleError

Shapes = list[Shape | None]

GOLDEN: list[tuple[str, Shapes, Shapes, str]] = [
    ("... -> ...", [(2, 3)], [(2, 3)], ".0 .1 -> .0 .1 | .0=2 .1=3"),
    ("... -> ...", [()], [()], "nothing to cut"),
    ("... * -> ...", [(2, 1, 4), (3, 1), ()], [(2, 3, 4)], ".0 1 .2, .1, () -> .0 .1 .2 | .0=2 .2=4 .1=3"),
    ("... m k+, k n -> ... m n", [(2, 3, 4), (4, 5)], [(2, 3, 5)],
     ".0 m k+, k+ n -> .0 m n | .0=2 m=3 k=4 n=5"),
    ("n c ...!, c -> n c ...", [(1, 3, 4, 5), (3,)], [(1, 3, 4, 5)],
     "1 c .0! .1!, c -> 1 c .0! .1! | c=3 .0=4 .1=5"),
    ("a b -> (a b)", [(2, 3)], [(6,)], "a b -> (a b) | a=2 b=3"),
    ("n (h=4 d) -> n h d", [(2, 12)], [(2, 4, 3)], "n (h d) -> n h d | n=2 h=4 d=3"),
    ("(a b), (b c), c -> a", [(6,), (12,), (4,)], [(2,)], "(a b), (b c), c -> a | a=2 b=3 c=4"),
    ("n 1 -> n", [(3, 1)], [(3,)], "n -> n | n=3"),
    ("a, (), b^ -> a", [(2,), (9,), (3,)], [(2,)], "a, (), b^ -> a | a=2 b=3"),
    ("a, b, c -> a, d!", [(2,), None], [(2,), None], "a, () -> a, () | a=2"),
    ("a b! -> a b *", [(2, 3)], [(2, 3), (2, 3)], "a b! -> a b!, a b! | a=2 b=3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "operands", "results", "expected"), GOLDEN)
def test_bound_rules_print(text: str, operands: Shapes, results: Shapes, expected: str) -> None:
    assert written(Rule(bind(text, operands, results))) == expected


def test_places_of_a_merged_axis() -> None:
    assert bind("n (h=4 d+) -> n h", [(2, 12)], [(2, 4)])[1:] == (
        Factor("h", 4, (Place(1, 1, 3),), (Place(1),)),
        Factor("d", 3, (Place(1, 4, 1),), (None,), Mark.SUM),
    )


def test_barriers_and_spelled_shapes_print() -> None:
    assert written(Rule(barrier="random")) == "barrier: random"
    rule = Rule(bind("a, () -> a", [(2,), (1,)], [(2,)]), {1: 0})
    assert written(rule) == "a, () -> a | a=2 | operand 1 spells result 0"


SEEN = {"s": Window(8, step=2, before=1, span=3)}


def test_windows_bind_and_print() -> None:
    factors = bind("n s~ -> n s", [(2, 8)], [(2, 4)], SEEN)
    assert factors[1] == Factor("s", 4, (Place(1, window=SEEN["s"]),), (Place(1),))
    assert written(Rule(factors)) == "n s~ -> n s | n=2 s=4 | s~ 2i-1+[0,3) of 8"
    changed = replace(factors[1], patches=(Patch("pads", ()), Patch(2, ())), crop=True)
    assert written(Rule((changed,))).endswith(" | s changes pads, operand 2; is cropped")


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("n s~ -> n s", (2, 9), "s~ of size 9 has the window Window(size=8"),
        ("n t~ -> n t", (2, 8), "t~ of size 8 has the window None"),
        ("n (s~ t) -> n s", (2, 8), "(s t) is merged and seen through a window"),
    ],
)
def test_windows_that_do_not_fit(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(RuleError) as caught:
        bind(text, [shape], [(2, 4)], SEEN)
    assert message in str(caught.value)


BAD: list[tuple[str, Shapes, Shapes, str]] = [
    ("a b", [(2, 3)], [], "exactly one '->'"),
    ("a -> b -> c", [(2,)], [(2,)], "exactly one '->'"),
    ("a ? -> a", [(2,)], [(2,)], "at 1: cannot read '?'"),
    ("a, (b -> a", [(2,), (2,)], [(2,)], "a bracket is left open"),
    ("a ((b) c) -> a", [(2,)], [(2,)], "at 3: '(' is out of place"),
    ("a) -> a", [(2,)], [(2,)], "at 1: ')' is out of place"),
    ("a *, b -> a", [(2,)], [(2,)], "'*' belongs to the last term"),
    ("a b -> a b", [(2,)], [(2,)], "2 axes are written for (2,)"),
    ("a -> a", [(2,)], [(3,)], "a is both 2 and 3"),
    ("a, 1 -> a", [(2,), (3,)], [(2,)], "1 is both 1 and 3"),
    ("a -> a", [(2,), (2,)], [(2,)], "2 operands, terms for 1"),
    ("(a b) -> (a b)", [(6,)], [(6,)], "(a b) does not make 6"),
    ("(a=4 b) -> a b", [(6,)], [(4, 1)], "(a b) does not make 6"),
    ("a a -> a", [(2, 2)], [(2,)], "a stands twice in one term"),
    ("a! -> a+", [(2,)], [(2,)], "a has the marks ! and +"),
]


@pytest.mark.parametrize(("text", "operands", "results", "message"), BAD)
def test_bad_rules_say_what_and_where(text: str, operands: Shapes, results: Shapes, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        bind(text, operands, results)
    assert message in str(caught.value) and repr(text) in str(caught.value)
