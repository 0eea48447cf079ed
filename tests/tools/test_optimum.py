"""The command that counts how often plans are optimal: what it prints and writes."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.plan.gaps import Mode
from tools.optimum import EQUAL, SCHEMA, main, records


def test_outcomes_are_counted_and_written(tmp_path: Path) -> None:
    path = tmp_path / "gaps.json"
    run = CliRunner().invoke(main, ["--graphs", "2", "--first", "4", "--size", "small", "--json", str(path)])
    assert run.exit_code == 0, run.output
    assert all(mode.value in run.output for mode in Mode)
    written = json.loads(path.read_text())
    assert written["schema"] == SCHEMA
    assert [(o["seed"], o["mode"]) for o in written["outcomes"]] == [
        (seed, mode.value) for seed in (4, 5) for mode in Mode
    ]
    again = CliRunner().invoke(
        main, ["--graphs", "2", "--first", "4", "--size", "small", "--json", str(path)]
    )
    assert (again.output, json.loads(path.read_text())) == (run.output, written)
    for outcome in written["outcomes"]:
        assert (outcome["cause"] in {cause.name.lower() for cause in EQUAL}) == (not outcome["regions"])
        assert outcome["complete"]


@pytest.mark.parametrize("seed", range(6))
def test_every_gap_is_explained(seed: int) -> None:
    for outcome in records(seed, [False]):
        is_gap = outcome["cause"] not in {cause.name.lower() for cause in EQUAL}
        assert is_gap == bool(outcome["regions"]) == (outcome["gap"] != 0.0)
        if is_gap and outcome["gap"] is not None:
            assert prod(1 + gap for gap in outcome["steps"].values()) == pytest.approx(1 + outcome["gap"])
