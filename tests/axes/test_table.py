"""The table of operators: what it says, how it is printed, and that what is recorded is what is proved."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import onnx
import pytest
from click.testing import CliRunner

from onnx_autochunk.axes import table
from onnx_autochunk.axes.__main__ import main
from onnx_autochunk.axes.table import Count, Row, counts, rows
from tools import prove

STALE = "run `python -m tools.prove` and commit what it writes"
ROW = Row("ai.onnx", "Some", 1)


def test_what_is_recorded_is_what_is_proved() -> None:
    proved = [row for row in prove.all_rows() if row.family]
    assert [row for row in rows() if row.family] == proved, STALE


def test_the_page_shows_what_is_recorded() -> None:
    written = prove.DOCS.read_text(encoding="utf-8")
    assert prove.page(written) == written, STALE


def test_every_live_operator_has_a_rule_or_a_reason() -> None:
    live = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and not s.deprecated}
    assert live <= {row.op for row in rows("ai.onnx") if row.rule or row.barrier}


def test_every_rule_is_proved() -> None:
    assert [row for row in rows() if row.rule and not (row.cases and row.axes_proved)] == []


@pytest.mark.parametrize(
    ("row", "versions", "says"),
    [
        (ROW, "1+", "nothing"),
        (replace(ROW, since=9, until=10, barrier="random"), "9", "barrier: random"),
        (replace(ROW, since=9, until=13, rule="a -> a"), "9-12", "`a -> a`"),
        (replace(ROW, rule="a -> a", notes=("one", "two")), "1+", "`a -> a`; one; two"),
    ],
)
def test_a_row_in_words(row: Row, versions: str, says: str) -> None:
    assert (row.versions, row.says("`")) == (versions, says)


def test_counts_are_of_live_operators_each_once() -> None:
    found = [
        replace(ROW, op="Twice", until=5, barrier="old"), replace(ROW, op="Twice", since=5, rule="a -> a"),
        replace(ROW, op="Gone", until=5, rule="a -> a"),
        replace(ROW, op="Random", barrier="random"), replace(ROW, domain="com.foo", op="New"),
        replace(ROW, op="More", barrier="random", added=True),
    ]  # fmt: skip
    assert counts(found) == (
        Count("ai.onnx", 1, 1, 0), Count("com.foo", 0, 0, 1), Count("ai.onnx, added by ONNX Runtime", 0, 1, 0)
    )  # fmt: skip
    assert str(counts(found)[0]) == (
        "ai.onnx: 2 operators, 1 with a rule, 1 with a reasoned barrier, 0 with nothing"
    )


def _print(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_prints_rows_and_counts() -> None:
    lines = _print("matmul", "--domain", "ai.onnx").splitlines()
    assert lines[0] == "ai.onnx"
    assert lines[1].split() == ["operator", "versions", "rule", "cases", "axes", "proved"]
    assert lines[3].split()[:2] == ["MatMul", "1+"]
    assert "... m k+, ... k" in lines[3]
    assert lines[-1] == "ai.onnx: 1 operators, 1 with a rule, 0 with a reasoned barrier, 0 with nothing"


def test_prints_all_operators_of_all_domains() -> None:
    found = _print()
    assert all(f" {row.op} " in found for row in rows())
    assert found.splitlines()[-len(counts(rows())) :] == [str(count) for count in counts(rows())]


def test_json() -> None:
    found = json.loads(_print("--json"))
    always = {"domain", "op", "since_version", "cases", "axes_proved"}
    assert len(found) == len(rows())
    assert {frozenset(row.keys() - always) for row in found} <= {
        frozenset({"rule"}), frozenset({"barrier"}), frozenset[str]()
    }  # fmt: skip
    assert json.loads(_print("Relu", "Random*", "--domain", "", "--json"))[-1] == {
        "domain": "ai.onnx", "op": "Relu", "since_version": 1, "rule": "... -> ...",
        "cases": 2, "axes_proved": 3,
    }  # fmt: skip


def test_an_unknown_operator_is_a_usage_error() -> None:
    done = CliRunner().invoke(main, ["Nix"])
    assert done.exit_code == 2
    assert "no operator is called that" in done.output


def test_prints_without_tests_and_onnxruntime() -> None:
    blocked = "sys.modules.update(onnxruntime=None, tests=None, tools=None)"
    run = "runpy.run_module('onnx_autochunk.axes', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", f"import runpy, sys; {blocked}; {run}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=table.FILE.parents[2])
    assert done.stdout == table.to_text(rows())
