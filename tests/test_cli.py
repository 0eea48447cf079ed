"""The command line: what is printed where, which file is written, and the exit code."""

from __future__ import annotations

import json
import logging
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from onnx_autochunk import cli, pipeline
from onnx_autochunk.errors import AutochunkError, BudgetError, ModelError, UsageError, VerificationError
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report.progress import Progress
from onnx_autochunk.report.record import Report, Status
from tests.report.examples import FULL


@dataclass
class Pipeline:
    """Stands in for the pipeline: remembers what it was asked, returns `report` or raises `error`."""

    report: Report = FULL
    error: Exception | None = None
    options: Options | None = None

    def run(self, source: Path, options: Options, progress: Progress) -> Pipeline:
        self.options = options
        logging.getLogger("onnx_autochunk.graph").info("reading %s", source.name)
        with progress.stage("search", total=1) as advance:
            advance()
        if self.error is not None:
            raise self.error
        return self

    def save(self, path: Path) -> None:
        path.write_bytes(b"chunked")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pipeline]:
    stand_in = Pipeline()
    monkeypatch.setattr(pipeline, "run", stand_in.run)
    monkeypatch.chdir(tmp_path)
    Path("in.onnx").write_bytes(b"original")
    yield stand_in
    logging.getLogger("onnx_autochunk").handlers.clear()


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def test_a_run_writes_the_model_and_prints_the_tables(fake: Pipeline) -> None:
    result = _invoke("in.onnx", "out.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "attention[0]" in result.stdout
    assert "\x1b" not in result.stdout
    assert Path("out.onnx").read_bytes() == b"chunked"
    assert fake.options == Options()


def test_the_input_may_be_replaced(fake: Pipeline) -> None:
    assert _invoke("in.onnx", "in.onnx").exit_code == 0
    assert Path("in.onnx").read_bytes() == b"chunked"
    assert fake.error is None


ARGUMENTS: dict[str, Options] = {
    "--budget 512MiB": Options(budget=Budget(absolute_bytes=2**29)),
    "--budget 20% --best-effort": Options(budget=Budget(share=0.2), best_effort=True),
    "--max-slowdown 1.2": Options(max_slowdown=1.2),
    "--dim S=4096 --dim B=2": Options(dims={"S": 4096, "B": 2}),
    "--input-shape x:1,3,8 --input-shape y:2": Options(input_shapes={"x": (1, 3, 8), "y": (2,)}),
    "--input-data in.onnx": Options(input_data=Path("in.onnx")),
    "--form scan --provider cpu": Options(form=Form.SCAN),
    "--form scan --provider cuda": Options(form=Form.SCAN, provider="cuda"),
    "--max-load-time 2.5 --max-opset 21 --max-chunks 8": Options(max_load_s=2.5, max_opset=21, max_chunks=8),
    "--max-elements 4096": Options(max_elements=4096),
    "--include layer_0 --exclude mlp": Options(include="layer_0", exclude="mlp"),
    "--verify 3 --rtol 0.01 --atol 0.1": Options(verify_runs=3, rtol=0.01, atol=0.1),
    "--no-verify --plan-only": Options(no_verify=True, plan_only=True),
    "--save-as-external-data --external-data-threshold 1KiB": Options(save_as_external_data=True),
    "--plan in.onnx --budget 20%": Options(budget=Budget(share=0.2), plan=Path("in.onnx")),
    "--max-slowdown 1.2 --tune": Options(max_slowdown=1.2, tune=True),
    "--threads 2": Options(threads=2),
}


@pytest.mark.parametrize(("line", "options"), ARGUMENTS.items())
def test_arguments_become_options(fake: Pipeline, line: str, options: Options) -> None:
    result = _invoke("in.onnx", "out.onnx", *line.split())
    assert result.exit_code == 0, result.stderr
    assert fake.options == options


USAGE = {
    "": "Missing argument",
    "in.onnx": "OUT.onnx is missing",
    "absent.onnx out.onnx": "'absent.onnx' does not exist",
    ". out.onnx": "'.' is a directory",
    "in.onnx .": "'.' is a directory",
    "in.onnx no/such/out.onnx": "there is no directory",
    "in.onnx out.onnx --budget lots": "Invalid value for '--budget': 'lots' is not a size",
    "in.onnx out.onnx --budget 0%": "leaves no memory",
    "in.onnx out.onnx --dim S": "Invalid value for '--dim': 'S' is not a dim",
    "in.onnx out.onnx --dim S=1 --dim S=2": "given twice",
    "in.onnx out.onnx --input-shape x:1,y": "is not an input shape",
    "in.onnx out.onnx --input-data absent.npz": "'absent.npz' does not exist",
    "in.onnx out.onnx --provider tpu": "provider 'tpu' is not supported",
    "in.onnx out.onnx --form loop": "'loop' is not one of",
    "in.onnx out.onnx --include (": "not a regular expression",
    "in.onnx out.onnx --budget 1GiB --max-slowdown 1.1": "exclude each other",
    "in.onnx out.onnx --plan absent.json": "'absent.json' does not exist",
    "in.onnx out.onnx --plan in.onnx --form scan": "form is fixed by the plan",
    "in.onnx out.onnx --report r.txt": "must end in .json",
    "in.onnx out.onnx --verify none": "not a valid integer",
    "in.onnx out.onnx --no-such-option": "No such option",
}


@pytest.mark.parametrize(("line", "message"), USAGE.items())
def test_bad_arguments_exit_2_before_anything_runs(fake: Pipeline, line: str, message: str) -> None:
    result = _invoke(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())
    assert fake.options is None


ERRORS: dict[int, AutochunkError] = {
    1: ModelError("in.onnx is not an ONNX file: write the path of one"),
    2: UsageError("dim tokens has no size: give --dim tokens=N"),
    3: BudgetError("the floor is 52.0 MiB: value x"),
    4: VerificationError("output y differs by 0.5"),
}


@pytest.mark.parametrize(("code", "error"), ERRORS.items())
def test_an_error_is_one_sentence_and_its_exit_code(fake: Pipeline, code: int, error: AutochunkError) -> None:
    fake.error = error
    result = _invoke("in.onnx", "out.onnx", "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"Error: {error}\n")
    assert not Path("out.onnx").exists()


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("boom")])
def test_a_bug_shows_its_traceback_only_with_debug(fake: Pipeline, error: Exception) -> None:
    fake.error = error
    plain, debug = _invoke("in.onnx", "out.onnx"), _invoke("in.onnx", "out.onnx", "--debug")
    assert plain.exit_code == debug.exit_code == 1
    assert type(error).__name__ in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


def test_memory_that_ran_out_is_said_plainly(fake: Pipeline) -> None:
    fake.error = MemoryError()
    result = _invoke("in.onnx", "out.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: memory ran out: use smaller sizes")


def test_a_full_disk_is_said_plainly(fake: Pipeline) -> None:
    fake.error = OSError(28, "No space left on device", "out.onnx")
    result = _invoke("in.onnx", "out.onnx")
    assert (result.exit_code, result.stderr) == (1, "Error: [Errno 28] No space left on device: 'out.onnx'\n")


def test_json_prints_one_object_and_nothing_else(fake: Pipeline) -> None:
    result = _invoke("in.onnx", "out.onnx", "--json")
    assert json.loads(result.stdout)["regions"][0]["name"] == fake.report.regions[0].name
    assert result.stderr == ""


def test_the_report_file_holds_the_same_object(fake: Pipeline) -> None:
    result = _invoke("in.onnx", "--plan-only", "--json", "--report", "r.json")
    assert fake.options is not None
    assert json.loads(Path("r.json").read_text()) == json.loads(result.stdout)


def test_plan_only_writes_no_model(fake: Pipeline) -> None:
    fake.report = replace(FULL, status=Status.PLANNED)
    result = _invoke("in.onnx", "out.onnx", "--plan-only")
    assert result.exit_code == 0
    assert "no model was written" in result.stdout
    assert not Path("out.onnx").exists()


def test_best_effort_writes_the_model_and_still_exits_3(fake: Pipeline) -> None:
    fake.report = replace(FULL, status=Status.MISSED, budget_met=False)
    result = _invoke("in.onnx", "out.onnx", "--budget", "1MiB", "--best-effort")
    assert result.exit_code == 3
    assert "missed" in result.stdout
    assert Path("out.onnx").exists()


QUIETNESS: dict[tuple[str, ...], Callable[[Result], bool]] = {
    (): lambda result: bool(result.stdout) and not result.stderr,
    ("-v",): lambda result: "reading in.onnx" in result.stderr and "reading" not in result.stdout,
    ("-v", "--no-verify"): lambda result: "What less memory costs" in result.stdout,
    ("--no-verify",): lambda result: "What less memory costs" not in result.stdout,
    ("-q",): lambda result: not result.output,
    ("-q", "--json"): lambda result: bool(json.loads(result.stdout)) and not result.stderr,
}


@pytest.mark.parametrize(("flags", "holds"), QUIETNESS.items())
def test_how_much_is_said(fake: Pipeline, flags: tuple[str, ...], holds: Callable[[Result], bool]) -> None:
    result = _invoke("in.onnx", "out.onnx", *flags)
    assert fake.options is not None
    assert holds(result), result.output


@pytest.mark.parametrize("flag", ["--version", "--help", "-h"])
def test_version_and_help(flag: str) -> None:
    result = _invoke(flag)
    assert result.exit_code == 0
    assert "0." in result.stdout


def test_the_module_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["onnx_autochunk", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("onnx_autochunk", run_name="__main__")
    assert capsys.readouterr().out.startswith("onnx-autochunk, version")
