"""Reading JSON that a user hands in: every field is looked at before it is used, and named when it is wrong.

Fields({"length": -1}, "regions[0]").number("length", least=1)  ->  UsageError: regions[0].length is -1, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError

ADVICE = "the plan is damaged: make it again with --report"


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object and where it stands.

    Attributes:
        found: what the JSON holds at that place, whatever it is.
        where: the path to it; empty for the whole.
    """

    found: object
    where: str = ""

    def get(self, name: str) -> object:
        """The field of that name.

        Raises:
            UsageError: there is none, or this is no object.
        """
        if not isinstance(self.found, Mapping) or not self.has(name):
            raise self.fail(name, "is missing")
        return self.found[name]

    def has(self, name: str) -> bool:
        """True when there is such a field."""
        return isinstance(self.found, Mapping) and name in self.found

    def object(self, name: str) -> Fields:
        """The object in the field."""
        self._check(name, isinstance(self.get(name), Mapping), "an object")
        return Fields(self.get(name), self._path(name))

    def items(self, name: str) -> tuple[Fields, ...]:
        """The items of the field's list, each as an object with one field, `""`."""
        found = self.get(name)
        self._check(name, isinstance(found, list | tuple), "a list")
        assert isinstance(found, list | tuple)
        return tuple(Fields({"": item}, f"{self._path(name)}[{at}]") for at, item in enumerate(found))

    def objects(self, name: str) -> Iterator[Fields]:
        """The objects in the field's list."""
        return (item.object("") for item in self.items(name))

    def text(self, name: str) -> str:
        """The text in the field."""
        found = self.get(name)
        self._check(name, isinstance(found, str), "a text")
        return str(found)

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts in the field's list."""
        return tuple(item.text("") for item in self.items(name))

    def number(self, name: str, least: int = 0) -> int:
        """The whole number in the field."""
        found = self.get(name)
        right = isinstance(found, int) and not isinstance(found, bool) and found >= least
        self._check(name, right, f"a whole number of at least {least}")
        assert isinstance(found, int)
        return found

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers in the field's list."""
        return tuple(item.number("") for item in self.items(name))

    def real(self, name: str) -> float:
        """The number in the field."""
        found = self.get(name)
        self._check(name, isinstance(found, int | float) and not isinstance(found, bool), "a number")
        assert isinstance(found, int | float)
        return float(found)

    def flag(self, name: str) -> bool:
        """The truth in the field; false where there is none."""
        return self.has(name) and self.get(name) is True

    def choice(self, name: str, known: Sequence[str]) -> str:
        """The text in the field, one of those that are known."""
        self._check(name, self.text(name) in known, f"one of {', '.join(known)}")
        return self.text(name)

    def counts(self, name: str) -> dict[str, int]:
        """The object in the field, of whole numbers by name."""
        inner = self.object(name)
        assert isinstance(inner.found, Mapping)
        return {str(key): inner.number(key) for key in inner.found}

    def lists(self, name: str) -> dict[str, tuple[int, ...]]:
        """The object in the field, of lists of whole numbers by name."""
        inner = self.object(name)
        assert isinstance(inner.found, Mapping)
        return {str(key): inner.numbers(key) for key in inner.found}

    def words(self, name: str) -> dict[str, str]:
        """The object in the field, of texts by name."""
        inner = self.object(name)
        assert isinstance(inner.found, Mapping)
        return {str(key): inner.text(key) for key in inner.found}

    def fail(self, name: str, problem: str) -> UsageError:
        """The error that the field is wrong."""
        return UsageError(f"{self._path(name)} {problem}; {ADVICE}")

    def _check(self, name: str, right: bool, wanted: str) -> None:
        if not right:
            raise self.fail(name, f"is {self.get(name)!r}, not {wanted}")

    def _path(self, name: str) -> str:
        return ".".join(filter(None, (self.where, name)))
