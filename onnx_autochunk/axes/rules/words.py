"""Words for rule strings that depend on ranks and shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from onnx_autochunk.axes.factor import Linear, Window
from onnx_autochunk.axes.fit import Shape


def names(rank: int, prefix: str = "a") -> list[str]:
    """`rank` different names: a0 a1 a2."""
    return [f"{prefix}{axis}" for axis in range(rank)]


def term(words: Iterable[str]) -> str:
    """A term of a rule string; `()` for a scalar."""
    return " ".join(words) or "()"


def marked(words: Sequence[str], axes: Collection[int], mark: str = "!") -> list[str]:
    """The words with a mark on those at `axes`."""
    return [word + mark if axis in axes else word for axis, word in enumerate(words)]


def fitted(shape: Shape, words: Sequence[str]) -> str:
    """A term for an operand that broadcasts against `words` from the right: `1` for its size-1 axes."""
    aligned = words[len(words) - len(shape) :]
    return term("1" if size == 1 else word for size, word in zip(shape, aligned, strict=True))


def over(words: Sequence[str], seen: Shape, steps: Shape) -> tuple[list[str], dict[str, Window]]:
    """Words for an operand of shape `seen` whose first elements belong to `steps`, and its windows.

    Where the operand is longer or shorter than the steps, step i looks at element i of it, if there is one.
    """
    windows = {
        word: Window(size) for word, size, count in zip(words, seen, steps, strict=True) if size != count
    }
    return [f"{word}~" if word in windows else word for word in words], windows


def steps(each: int = 1) -> Linear:
    """The number of a chunk's steps, each counted `each` times: for a patch of an attribute that counts."""
    return Linear(start=-each, stop=each)
