"""Unique readable names for what is added to a model: the wish, or the wish with a number behind it."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Names that no other value or node of the model has."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = dict.fromkeys(taken, 2)  # with the number to try next

    def fresh(self, wish: str) -> str:
        """The wish, numbered if it is taken."""
        name = wish
        while name in self._taken:
            name, self._taken[wish] = f"{wish}_{self._taken[wish]}", self._taken[wish] + 1
        self._taken[name] = 2
        return name

    def copy(self) -> Names:
        """The same names, to which others are added."""
        made = Names(())
        made._taken = self._taken.copy()
        return made
