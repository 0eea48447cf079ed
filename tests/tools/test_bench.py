"""The benchmark: limits, the table, and a small model through all of it.

Times are not judged here: other work on the machine shows in it, and may get a plan rejected.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement
from tests.runtime.small_models import save
from tools import bench
from tools.bench import MIB, Answer, Check, Row, at_most, exactly, read_arguments, table
from tools.cases import CASES, MORE, PLAIN, Case

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")

BEFORE = PeakMeasurement(1000 * MIB, 100 * MIB, 1.0)
AFTER = PeakMeasurement(100 * MIB, 164 * MIB, 6.0)
TIME = TimeMeasurement(1.05, 1.0, 1.05, ((1.0, 1.05),))
SEARCH = Answer(0, "", 60.0)
TIMES = {"time ratio", "search s", "load s, more"}


@pytest.mark.parametrize(
    ("check", "kept", "cell"),
    [
        (at_most("peak", 0.1, 0.1, "{:.1%}"), True, "10.0% (10.0%)"),
        (at_most("MiB", 1024.04, 1024), False, "1,024.0 (1,024.0)"),
        (exactly("exit code", 3, 3), True, "3 (3)"),
        (exactly("exit code", 0, 3), False, "0 (3)"),
        (exactly("file written", value=True, wanted=False), False, "True (False)"),
    ],
)
def test_checks(check: Check, kept: bool, cell: str) -> None:
    assert (check.kept, check.cell) == (kept, cell)


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({}, "kept"),
        ({"after": PeakMeasurement(101 * MIB, 164 * MIB, 6.0)}, "BROKEN: peak"),
        ({"predicted_bytes": 97 * MIB}, "kept"),
        ({"predicted_bytes": 96 * MIB}, "BROKEN: prediction off, MiB"),
        ({"predicted_bytes": 104 * MIB}, "BROKEN: prediction off, MiB"),
        ({"after": PeakMeasurement(100 * MIB, 165 * MIB, 6.1)}, "BROKEN: resident MiB, after, load s, more"),
        ({"elapsed": TimeMeasurement(1.06, 1.0, 1.06, ((1.0, 1.06),))}, "BROKEN: time ratio"),
        ({"search": Answer(0, "", 60.1)}, "BROKEN: search s"),
    ],
)
def test_limits_of_a_model(changed: dict[str, Any], broken: str) -> None:
    given: dict[str, Any] = {"before": BEFORE, "after": AFTER, "elapsed": TIME, "search": SEARCH}
    given |= {"predicted_bytes": 100 * MIB}
    assert Row("gpt2", {}, bench._checks(Case("gpt2", 0.10), **given | changed)).verdict == broken


@pytest.mark.parametrize(("predicted_mib", "kept"), [(1.7, True), (2.3, True), (1.6, False), (2.4, False)])
def test_a_prediction_is_held_against_what_measuring_resolves(predicted_mib: float, kept: bool) -> None:
    after, predicted = PeakMeasurement(2 * MIB, 0, 0.0), int(predicted_mib * MIB)
    assert bench._checks(Case("gpt2", 0.10), BEFORE, after, TIME, SEARCH, predicted)[1].kept is kept


def test_resident_memory_of_a_large_model_may_grow_by_a_tenth() -> None:
    before, after = (PeakMeasurement(MIB, size * MIB, 0.0) for size in (1000, 1100))
    resident = bench._checks(Case("gpt2", 0.10), before, after, TIME, SEARCH, MIB)[3]
    assert resident.limit == pytest.approx(1100)


def test_table_has_every_column_of_every_row() -> None:
    rows = [
        Row("a", {"regions": "4"}, (at_most("peak", 1.0, 2.0),)),
        Row("b", {}, (exactly("exit code", 1, 0),)),
    ]
    shown = table(rows)
    assert [column.header for column in shown.columns] == ["model", "regions", "peak", "exit code", "limits"]
    assert [list(column.cells)[1] for column in shown.columns] == [
        "b",
        "-",
        "-",
        "1 (0)",
        "BROKEN: exit code",
    ]


def test_arguments_of_exports() -> None:
    assert read_arguments(["gpt2=--layers 1 --tokens=8", "vit="]) == {
        "gpt2": "--layers 1 --tokens=8",
        "vit": "",
    }


@pytest.mark.parametrize("text", ["--layers 1", "bert=--layers 1"])
def test_arguments_without_a_model(text: str) -> None:
    result = CliRunner().invoke(bench.main, ["--export", text])
    assert result.exit_code == 2
    assert "gpt2, vit, evoformer, unet" in result.stderr


def _bench(folder: Path, name: str, *options: str) -> dict[str, Any]:
    """Bench a wide MLP in the place of a model's export, one pair of runs."""
    body = "h = MatMul(x, w)\n r = Relu(h)\n y = MatMul(r, v)"
    text = f"g (float[16384, 16] x) => (float[16384, 16] y) {{ {body} }}"
    save(folder, name, text, w=(16, 1024), v=(1024, 16))
    common = ["--models-dir", str(folder), "--pairs", "1", "--threads", "1", "--json", str(folder / "f.json")]
    result = CliRunner().invoke(bench.main, [*common, *options])
    report: dict[str, Any] = json.loads((folder / "f.json").read_text(encoding="utf-8"))
    assert result.exit_code == int(not all(row["kept"] for row in report["rows"]))
    return report


def _broken(row: dict[str, Any]) -> list[str]:
    return [check["name"] for check in row["checks"] if not check["kept"] and check["name"] not in TIMES]


@linux
def test_a_model(tmp_path: Path) -> None:
    report = _bench(tmp_path, "gpt2", "gpt2")
    (row,) = report["rows"]
    assert _broken(row) == ([] if row["report"]["status"] == "chunked" else ["peak"])
    assert float(row["facts"]["original MiB"]) == pytest.approx(65, abs=3)
    assert int(row["facts"]["pairs"]) >= 1
    assert {"onnx", "onnx-ir", "onnxruntime", "cpus", "threads", "fewest pairs of runs"} <= report[
        "setting"
    ].keys()


def test_ops_that_a_loop_runs_are_told_from_those_left_alone(tmp_path: Path) -> None:
    text = """g (float[8] x) => (float[8] y) {
        [a] a = Exp(x) ["chunk/r/0/b"] b = Exp(a) [c] c = Neg(b)
        ["frame/r/Scan"] s = Scan<num_scan_inputs=1, body = h (float t) => (float u) { [d] u = Exp(t) }>(c)
        ["chunk/r/Scan"] y = Scan<num_scan_inputs=1, body = h (float v) => (float w) {
            ["chunk/r/body/e"] w = Exp(v) }>(s)
    }"""
    assert bench.count_alone(save(tmp_path, "loops", text), "Exp") == 2


@linux
def test_a_case_with_options_and_ops_to_leave_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(CASES["vit-contrib"], share=1.1, options=("--exclude", "."), alone="Relu")
    monkeypatch.setitem(CASES, "vit-contrib", case)
    (row,) = _bench(tmp_path, "vit-contrib", "vit-contrib")["rows"]
    assert row["report"]["status"] == "unchanged"
    assert row["checks"][-1]["cell"] == "1 (1)" and _broken(row) == []


def test_more_runs_the_cases_beside_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def bench_model(subject: bench.Subject) -> list[Row]:
        asked.append((subject.name, subject.case))
        return []

    monkeypatch.setattr(bench, "export", lambda *_: tmp_path / "m.onnx")
    monkeypatch.setattr(bench, "bench_model", bench_model)
    for options in (["--more"], []):
        assert CliRunner().invoke(bench.main, [*options, "--models-dir", str(tmp_path)]).exit_code == 0
    assert asked == [*MORE.items(), *PLAIN.items()]


@linux
def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "BUDGETS", {"50%": 1.03, "20%": 1.10})
    *met, refused = _bench(tmp_path, "vit", "vit", "--budgets")["rows"]
    assert [row["name"] for row in (*met, refused)] == ["vit 50%", "vit 20%", "vit 1MiB"]
    assert refused["facts"]["floor"].endswith("MiB")
    assert [_broken(row) for row in (*met, refused)] == [[], [], []]
