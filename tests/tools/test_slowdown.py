"""Predicted against measured slowdown: what is planned, what is kept between calls, and what is shown.

Times are not judged here: other work on the machine shows in them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.runtime.small_models import save
from tools import slowdown
from tools.scatter import draw
from tools.slowdown import Row, Subject, merged, read_rows, share_within

LOOPS = (("000_y", "scan", 64, 8), ("001_z", "scan", 64, 8), ("002_w", "scan", 8, 64))


def row(predicted: float = 1.0, *pairs: tuple[float, float], **changed: Any) -> Row:
    return replace(Row("gpt2", "scan", 0.1, LOOPS, "wall", predicted, pairs), **changed)


def test_what_is_measured_of_a_row() -> None:
    pairs = ((2.0, 2.2), (2.0, 1.8), (1.0, 1.5))
    assert row(1.0, *pairs).measured == pytest.approx(1.5)
    assert row(1.0, *pairs).error == pytest.approx(-0.5)
    assert row().measured is None and row().error is None
    assert row().chunks == "2 x 8, 1 x 64"


def test_a_measurement_stands_while_its_plan_does() -> None:
    known = [row(1.0, (1.0, 1.1)), row(1.0, (1.0, 1.2), loops=LOOPS[:1]), row(1.0, (1.0, 2.0), model="vit")]
    planned = [row(0.9), row(0.8, loops=LOOPS[1:])]
    found = merged(known, planned)
    assert [(r.model, r.predicted, r.pairs) for r in found] == [
        ("vit", 1.0, ((1.0, 2.0),)),
        ("gpt2", 0.9, ((1.0, 1.1),)),
        ("gpt2", 0.8, ()),
    ]
    assert merged(found, planned) == found


def test_share_of_predictions_within_the_band() -> None:
    rows = [row(predicted, (1.0, 1.0)) for predicted in (0.951, 1.0, 1.049, 1.06)]
    assert share_within([*rows, row()]) == pytest.approx(0.75)
    assert share_within([]) == 0


@pytest.fixture
def call(tmp_path: Path) -> Any:
    """Calls the command on a wide MLP in the place of a model's export."""
    body = "h = MatMul(x, w)\n r = Relu(h)\n y = MatMul(r, v)"
    text = f"g (float[16384, 16] x) => (float[16384, 16] y) {{ {body} }}"
    save(tmp_path, "gpt2", text, w=(16, 1024), v=(1024, 16))

    def invoke(*options: str) -> Result:
        common = ["--only", "gpt2", "--cpu-time", "--pairs", "1", "--models-dir", str(tmp_path)]
        files = ["--json", str(tmp_path / "f.json"), "--plot", str(tmp_path / "f.svg")]
        return CliRunner().invoke(slowdown.main, [*common, *files, *options], catch_exceptions=False)

    return invoke


def test_plans_are_measured_once(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = call()
    rows = read_rows(tmp_path / "f.json")
    assert rows and all(r.pairs and r.model == "gpt2" and r.clock == "cpu" for r in rows)
    assert len({r.loops for r in rows}) == len(rows)
    assert {r.form for r in rows} > {"auto"}
    assert f"{len(rows)} of {len(rows)} plans measured" in first.stdout
    report = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert report["rows"][0].keys() >= {"model", "form", "chunks", "predicted", "measured"}
    monkeypatch.setattr(Subject, "time", lambda *_: pytest.fail("it was measured before"))
    assert call().stdout == first.stdout
    assert not list(tmp_path.glob("*-slowdown.onnx"))


def test_without_time_nothing_is_measured(call: Any, tmp_path: Path) -> None:
    assert "0 of" in call("--most-minutes", "0").output
    assert not any(r.pairs for r in read_rows(tmp_path / "f.json"))


def test_a_plan_that_fails_does_not_cost_the_others(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(Subject, "time", fail)
    result = call()
    assert result.exit_code == 0 and "FAILED: ValueError('no')" in result.stderr


def test_the_picture_depends_on_the_dots_alone(tmp_path: Path) -> None:
    dots = [("gpt2", "scan", 1.0, 1.02), ("vit", "auto", 0.9, 1.3)]
    for name in ("a.svg", "b.svg"):
        draw(dots, tmp_path / name, "2 plans")
    first, second = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second and b"2 plans" in first
    assert len(first) < 40_000
