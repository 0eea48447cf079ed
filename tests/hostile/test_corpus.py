"""Whatever a file holds, the command ends in time, with its exit code and in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from .corpus import CASES, Case
from .run import MOST_BYTES, MOST_S


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_file_ends_in_a_clear_error(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    outcome = case.run(folder)
    assert outcome.exit_code == case.exit_code, outcome.output
    assert case.said in " ".join(outcome.output.split())
    assert "Traceback" not in outcome.output and "internal error" not in outcome.output
    assert outcome.elapsed_s < MOST_S and outcome.peak_bytes < MOST_BYTES
    assert (folder / "out.onnx").exists() == (case.exit_code == 0)
    assert not list(folder.glob(".*"))


def test_there_are_enough() -> None:
    assert len(CASES) >= 40
