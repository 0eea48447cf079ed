"""How long-running stages tell the user where they are: one small protocol, silent or on the terminal.

`with progress.stage("search", total=40) as advance: ...; advance(note="layer 3")`
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

TELL_AFTER_S = 1.0


class Advance(Protocol):
    """Says that `n` more steps of a stage are done, and what is being worked on."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """Moves the stage on."""


class Progress(Protocol):
    """Whoever wants to know where the pipeline is."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Opens a stage of `total` steps (None: unknown) that lasts as long as the context."""


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Does nothing, for as long as the context lasts."""
        del name, total
        yield _ignore


@dataclass(frozen=True, slots=True)
class Lines:
    """Progress as plain lines, one for each stage that took over a second: for files and pipes."""

    console: Console

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Writes `name: 3.2 s` when the stage ends."""
        del total
        start = time.perf_counter()
        yield _ignore
        elapsed_s = time.perf_counter() - start
        if elapsed_s >= TELL_AFTER_S:
            self.console.print(f"{name}: {elapsed_s:.1f} s", highlight=False)


@dataclass(frozen=True, slots=True)
class Live:
    """Progress as a moving line on a terminal, gone when the stage ends."""

    console: Console

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Shows name, bar, time and the last note while the context lasts."""
        note_column = TextColumn("{task.fields[note]}", markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn(), note_column)
        with Bars(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(name, total=total, note="")

            def advance(n: int = 1, note: str = "") -> None:
                bars.update(task, advance=n, note=note)

            yield advance


def on(console: Console) -> Progress:
    """The progress that suits where `console` writes."""
    return Live(console) if console.is_terminal else Lines(console)


def _ignore(n: int = 1, note: str = "") -> None:
    del n, note
