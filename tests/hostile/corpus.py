"""All files, each with the exit code it must end in and a word of what must be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import files, graphs, plans, weights
from .build import NAME
from .run import Outcome, run

Table = Mapping[str, tuple[Callable[[Path], object], str]]


@dataclass(frozen=True, slots=True)
class Case:
    """A file.

    Attributes:
        make: writes it, and what belongs to it, into a folder.
        said: a part of the output.
        options: of the command line, besides the names of input and output.
    """

    make: Callable[[Path], object]
    said: str
    exit_code: int = 1
    options: tuple[str, ...] = ("--no-verify",)

    def run(self, folder: Path) -> Outcome:
        """Write the file and run the command on it."""
        folder.mkdir()
        self.make(folder)
        return run((NAME, "out.onnx", *self.options), folder)


def _cases(table: Table, exit_code: int = 1, *options: str) -> dict[str, Case]:
    return {
        name: Case(make, said, exit_code, options or ("--no-verify",)) for name, (make, said) in table.items()
    }


CASES: Mapping[str, Case] = {
    **_cases(files.CASES),
    **_cases(weights.CASES),
    **_cases(graphs.CASES),
    **_cases(graphs.REFUSED, 1, "--threads", "1"),
    **_cases(graphs.BOUNDED, 0),
    **_cases(graphs.UNSIZED, 2),
    **_cases(graphs.UNFIXED, 2, "--no-verify", "--fix-dims"),
    **_cases(plans.PLANS, 2, "--no-verify", "--plan", plans.PLAN),
    **_cases(plans.INPUTS, 2, "--input-data", plans.INPUT),
}
