"""Intermediate tensors of ONNX Runtime's Einsum, which transposes, multiplies matrices and transposes back.

`bihd,bjhd->bhij` -> copies of both operands (the second one twice) and two copies of the result.

Source: onnxruntime/core/providers/cpu/math/einsum_utils/einsum_typed_compute_processor.cc; measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

SPARE_LABELS = "@#$%&!?~^+"  # stand for the axes under an ellipsis


def einsum_elements(equation: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Most elements that Einsum holds at once besides its operands and its result.

    The rules it follows:
        1. Labels are numbered as they appear; an operand whose axes are not in that order is copied.
        2. Operands are combined in pairs, by a batched MatMul over (shared, left, reduced, right) axes; an
           operand in another order is copied (again). Axes of size 1 count as right ones.
        3. A product in another order than the result's is copied.

    Args:
        equation: with or without `->`; may contain an ellipsis.
        shapes: of the operands.
    """
    terms, result = _terms(equation, shapes)
    order = "".join(dict.fromkeys("".join(terms)))
    sizes = _sizes(terms, shapes)
    copied = sum(prod(shape) for term, shape in zip(terms, shapes, strict=True) if _moves(term, order))
    if len(terms) == 1:
        return copied + (_elements(result, sizes) if _moves(result, order) else 0)
    held, most = terms[0], 0
    for index, term in enumerate(terms[1:], start=1):
        later = set(result).union(*terms[index + 1 :])
        product, elements = _pair(held, term, order, sizes, later)
        is_last = index == len(terms) - 1
        back = _elements(product, sizes) if _moves(product, result if is_last else order) else 0
        before = _elements(held, sizes) if index > 1 else 0
        most = max(most, before + elements + back)
        held = product
    return copied + most


def _pair(left: str, right: str, order: str, sizes: Mapping[str, int], later: set[str]) -> tuple[str, int]:
    """Axes of the product as the MatMul orders them; elements of it and of the operands' copies."""
    wide = {label for label in order if sizes[label] > 1}
    kept = [label for label in order if label in later or label not in left + right]
    reduced = [label for label in order if label not in kept]
    shared = [label for label in kept if label in wide and label in left and label in right]
    lefts = [label for label in kept if label in wide and label in left and label not in right]
    rights = [label for label in kept if label not in shared and label not in lefts]
    elements = 0
    if shared + lefts + reduced + rights != list(order):
        elements += _elements(left, sizes)
    if shared + reduced + rights + lefts != list(order):
        elements += _elements(right, sizes)
    product = "".join(label for label in shared + lefts + rights if label in left + right)
    return product, elements + _elements(product, sizes)


def _terms(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[str], str]:
    operands, arrow, result = equation.replace(" ", "").partition("->")
    terms = operands.split(",")
    spread = max((len(s) - len(t) + 3 for t, s in zip(terms, shapes, strict=True) if "..." in t), default=0)
    if not arrow:
        counted = operands.replace(",", "").replace("...", "")
        result = "..." * ("..." in operands) + "".join(
            sorted(c for c in set(counted) if counted.count(c) == 1)
        )
    named = [
        term.replace("...", SPARE_LABELS[spread - (len(shape) - len(term) + 3) : spread])
        for term, shape in zip(terms, shapes, strict=True)
    ]
    return named, result.replace("...", SPARE_LABELS[:spread])


def _sizes(terms: Iterable[str], shapes: Iterable[tuple[int, ...]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return sizes


def _elements(labels: str, sizes: Mapping[str, int]) -> int:
    return prod(sizes[label] for label in set(labels))


def _moves(labels: str, order: str) -> bool:
    """True when the labels do not come in that order."""
    positions = [order.index(label) for label in labels if label in order]
    return positions != sorted(positions)
