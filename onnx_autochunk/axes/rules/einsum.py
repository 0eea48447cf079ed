"""Einsum: the equation is the rule.

    bij,bjk->bik: b i j+, b j+ k -> b i k

Source: https://onnx.ai/onnx/operators/onnx__Einsum.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, rule
from onnx_autochunk.axes.rules.words import term

_DOTS = "..."


@rule("Einsum", since=12)
def einsum(node: Node) -> Answer:
    """Letters that the output lacks are summed; those that one operand repeats (a diagonal) are whole."""
    left, right = _sides(node.text("equation", ""))
    diagonal = {letter for written in left for letter, times in Counter(written).items() if times > 1}
    sides = [
        _operand(written, right, diagonal, shape) for written, shape in zip(left, node.operands, strict=True)
    ]
    return f"{', '.join(sides)} -> {term(f'{word}!' if word in diagonal else word for word in right)}"


def _sides(equation: str) -> tuple[list[list[str]], list[str]]:
    """The words of every operand and of the output, `...` one of them.

    An output that is not written has the letters that occur once, in order of their codes.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_split(written) for written in left.split(",")]
    if arrow:
        return terms, _split(right)
    times = Counter(word for words in terms for word in words)
    once = sorted(word for word, count in times.items() if count == 1 and word != _DOTS)
    return terms, [*([_DOTS] if _DOTS in times else []), *once]


def _split(written: str) -> list[str]:
    """`ab...c` -> [a, b, ..., c]."""
    head, dots, tail = written.partition(_DOTS)
    return [*head, *([dots] if dots else []), *tail]


def _operand(words: list[str], right: list[str], diagonal: Collection[str], shape: Shape | None) -> str:
    """One operand; a letter of size 1 broadcasts and has no place."""
    sizes = shape or ()
    dots = words.index(_DOTS) if _DOTS in words else len(words)
    behind = len(words) - dots - 1
    found = []
    for number, word in enumerate(words):
        size = sizes[number] if number < dots else 0 if number == dots else sizes[number - dots - 1 - behind]
        if word in diagonal:
            found.append(f"{word}{number}!")
        elif size == 1:
            found.append("1")
        else:
            found.append(word if word in right else f"{word}+")
    return term(found)
