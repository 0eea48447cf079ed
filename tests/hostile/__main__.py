"""`python -m tests.hostile`: every file with its exit code, seconds and peak memory, and what was said."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from .corpus import CASES


def main() -> None:
    """Run all files and print one line each."""
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            outcome = case.run(Path(place) / "case")
        wrong = "" if outcome.exit_code == case.exit_code and case.said in outcome.output else " WRONG"
        said = " ".join(outcome.output.split())[:80]
        click.echo(
            f"{name:42} {outcome.exit_code:3}{wrong} {outcome.elapsed_s:5.2f} s "
            f"{outcome.peak_bytes / 1e6:4.0f} MB  {said}"
        )


if __name__ == "__main__":
    main()
