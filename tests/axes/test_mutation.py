"""The oracle catches wrong rules."""

from __future__ import annotations

from collections.abc import Callable

from tests.axes.fates import score


def test_mutants_are_caught(record_property: Callable[[str, object], None]) -> None:
    found = score()
    counts = {name: len(getattr(found, name)) for name in ("caught", "survived", "equivalent")}
    for name, count in counts.items():
        record_property(name, count)
    assert found.share >= 0.95, f"{counts}: {found.survived}"
