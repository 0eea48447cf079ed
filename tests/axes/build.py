"""Shorthands for writing operator calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.oracle import OPSET, Array, Case

Operand = tuple[int, ...] | list[int] | list[float] | int | Array | np.generic | None


def case(
    type_: str,
    *operands: Operand,
    y: str = "1",
    opset: int = OPSET,
    domain: str = "",
    **attributes: object,
) -> Case:
    """Tuples are shapes of random numbers, lists and integers constants that rules read, arrays just fed."""
    random = np.random.default_rng(0)
    arrays: list[Array | None] = []
    constants = set()
    for index, operand in enumerate(operands):
        if isinstance(operand, tuple):
            arrays.append(random.uniform(0.1, 0.9, operand).astype(np.float32))
        elif isinstance(operand, list | int):
            is_float = isinstance(operand, list) and any(isinstance(entry, float) for entry in operand)
            arrays.append(np.array(operand, dtype=np.float32 if is_float else np.int64))
            constants.add(index)
        else:
            arrays.append(None if operand is None else np.asarray(operand))
    return Case(type_, tuple(arrays), frozenset(constants), attributes, y, opset, domain)


def ints(shape: tuple[int, ...], high: int, dtype: type[np.generic] = np.int64, low: int = 0) -> Array:
    """Random integers below `high`."""
    return np.random.default_rng(1).integers(low, high, shape).astype(dtype)


def flags(shape: tuple[int, ...]) -> Array:
    """Random booleans."""
    return np.random.default_rng(2).integers(0, 2, shape).astype(np.bool_)


def each(types: str, *operands: Operand, **options: Any) -> list[Case]:
    """One case for each of several operators."""
    return [case(type_, *operands, **options) for type_ in types.split()]


def unique(shape: tuple[int, ...], high: int) -> Array:
    """Different integers along the first axis."""
    return np.random.default_rng(3).permutation(high)[: shape[0]].reshape(shape).astype(np.int64)


MICROSOFT = "com.microsoft"
