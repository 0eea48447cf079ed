"""The command line: arguments -> `Options` -> pipeline -> report and exit code.

Results go to stdout; progress, log and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage, 3 budget
unreachable, 4 verification failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.logging import RichHandler

from . import pipeline
from ._version import __version__
from .errors import AutochunkError, BudgetError, UsageError
from .options import DEFAULT_MAX_SLOWDOWN, Budget, Form, Options, parse_dim, parse_input_shape, parse_size
from .report import json as report_json
from .report import progress as report_progress
from .report import text as report_text
from .report.record import Report, Status
from .runtime.session import default_provider

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def _read_by(parse: Callable[[str], object]) -> Callable[[str], object]:
    """An option type whose text `parse` reads; its error becomes click's, which names the option."""

    def convert(text: str) -> object:
        try:
            return parse(text)
        except UsageError as error:
            raise click.BadParameter(str(error)) from error

    return convert


_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT_FILE = click.Path(dir_okay=False, path_type=Path)
_FORMS = click.Choice([form.value for form in Form])
_DEFAULT = Options()


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
)
@click.argument("source", metavar="IN.onnx", type=_IN_FILE)
@click.argument("out", metavar="[OUT.onnx]", type=_OUT_FILE, required=False)
@click.option(
    "--budget",
    metavar="SIZE|PERCENT",
    type=_read_by(Budget.parse),
    help="Activation budget: 512MiB, or 20% of the original's peak.",
)
@click.option(
    "--max-slowdown",
    metavar="RATIO",
    type=float,
    help=f"Without a budget: least memory within this time ratio.  [default: {DEFAULT_MAX_SLOWDOWN}]",
)
@click.option(
    "--dim",
    "dims",
    metavar="NAME=SIZE",
    type=_read_by(parse_dim),
    multiple=True,
    help="Reference size of a symbolic dim. Repeatable.",
)
@click.option(
    "--input-shape",
    "input_shapes",
    metavar="NAME:D,D,...",
    type=_read_by(parse_input_shape),
    multiple=True,
    help="Reference shape of an input. Repeatable.",
)
@click.option(
    "--fix-dims", is_flag=True, help="Fix symbolic dims to their reference sizes, in the result too."
)
@click.option("--input-data", metavar="F.npz", type=_IN_FILE, help="Real inputs: one array for each input.")
@click.option(
    "--provider",
    metavar="NAME",
    help="Execution provider to plan and measure for: cpu or cuda; by default cuda where ONNX Runtime can "
    "use a GPU.",
)
@click.option("--form", type=_FORMS, default=_DEFAULT.form.value, help="How regions are written.")
@click.option(
    "--max-load-time",
    "max_load_s",
    metavar="SECONDS",
    type=float,
    default=_DEFAULT.max_load_s,
    help="How much longer loading may take.",
)
@click.option("--max-opset", metavar="N", type=int, help="Highest opset version of the result.")
@click.option("--max-chunks", metavar="N", type=int, help="Most chunks of one region.")
@click.option(
    "--max-elements",
    metavar="N",
    type=int,
    help="Most elements of a tensor that the result computes; exit code 3 where that cannot be. "
    "2147483648 on CUDA, if nothing is given.",
)
@click.option("--include", metavar="REGEX", help="Chunk only nodes whose name this finds.")
@click.option("--exclude", metavar="REGEX", help="Chunk no node whose name this finds.")
@click.option(
    "--include-subgraphs",
    is_flag=True,
    help="Chunk inside bodies of the model's own If, Loop and Scan too; for fixed sizes.",
)
@click.option(
    "--verify",
    "verify_runs",
    metavar="N",
    type=int,
    default=_DEFAULT.verify_runs,
    help="Compare original and result on N different inputs.",
)
@click.option(
    "--rtol", metavar="X", type=float, default=_DEFAULT.rtol, help="Relative tolerance of float32 outputs."
)
@click.option(
    "--atol", metavar="X", type=float, default=_DEFAULT.atol, help="Absolute tolerance of float32 outputs."
)
@click.option("--no-verify", is_flag=True, help="Write the result without running it.")
@click.option("--plan-only", is_flag=True, help="Plan and report; write no model.")
@click.option(
    "--best-effort", is_flag=True, help="Write the best plan even if it misses the budget or --max-elements."
)
@click.option(
    "--tune",
    is_flag=True,
    help="Measure a few plans; keep the fastest under the budget, or the smallest within the time ratio.",
)
@click.option(
    "--plan",
    metavar="F.json",
    type=_IN_FILE,
    help="Do again what a report's plan says, without searching; a --budget is checked.",
)
@click.option(
    "--save-as-external-data",
    is_flag=True,
    help="Put weights into OUT.onnx.data, or OUT.onnx.1.data where that is taken. Automatic above 2 GB.",
)
@click.option(
    "--external-data-threshold",
    metavar="SIZE",
    type=_read_by(parse_size),
    default=_DEFAULT.external_data_threshold,
    help="Smallest weight that goes there.",
)
@click.option(
    "--threads",
    metavar="N",
    type=int,
    default=_DEFAULT.threads,
    help="Threads of ONNX Runtime when verifying and measuring; 0 is its own choice.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option(
    "--report",
    "report_file",
    metavar="F.json",
    type=_OUT_FILE,
    help="Write that object to a file as well, with the plan.",
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    show_default=False,
    help="Log what is done, and show the Pareto front; -vv in detail.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only, and the object that --json asks for.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="onnx-autochunk")
def main(
    *,
    source: Path,
    out: Path | None,
    as_json: bool,
    report_file: Path | None,
    verbose: int,
    quiet: bool,
    debug: bool,
    **values: Any,
) -> None:
    """Rewrites IN.onnx so that its activations need less memory, and writes OUT.onnx.

    The result computes the same function and runs on plain ONNX Runtime. OUT.onnx may be IN.onnx,
    and may be left out with --plan-only.
    """
    errors = Console(stderr=True)
    _log_to(errors, logging.ERROR if quiet else _LEVELS[min(verbose, 2)])
    with _errors_as_exit_codes(errors, debug):
        options = _options(values)
        _check_files(out, report_file, options)
        result = pipeline.run(
            source, options, report_progress.Silent() if quiet else report_progress.on(errors)
        )
        if out is not None and not options.plan_only:
            result.save(out)
        if report_file is not None:
            report_file.write_text(report_json.to_text(result.report) + "\n", encoding="utf-8")
        _show(result.report, as_json, quiet, details=verbose > 0)
        if result.report.status is Status.MISSED:
            raise click.exceptions.Exit(BudgetError.exit_code)


def _options(values: dict[str, Any]) -> Options:
    values |= {name: _no_repeats(name, values[name]) for name in ("dims", "input_shapes")}
    values["provider"] = values["provider"] or default_provider()
    return Options(**values | {"form": Form(values["form"])}).validate()


def _no_repeats(name: str, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"{name}: a name is given twice: {', '.join(key for key, _ in pairs)}")
    return found


def _check_files(out: Path | None, report_file: Path | None, options: Options) -> None:
    """Finds in the first second what would otherwise fail after minutes of work."""
    if out is None and not options.plan_only:
        raise UsageError("OUT.onnx is missing: say where to write the result, or give --plan-only")
    if report_file is not None and report_file.suffix != ".json":
        raise UsageError(f"--report {report_file}: the name must end in .json")
    for file in (out, report_file):
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"{file}: there is no directory {file.absolute().parent}")


def _show(report: Report, as_json: bool, quiet: bool, *, details: bool) -> None:
    console = Console(highlight=False)
    if as_json:
        click.echo(report_json.to_text(report))
    elif console.is_terminal and not quiet:
        console.print(report_text.render(report, details))
    elif not quiet:
        click.echo(report_text.to_text(report, details=details), nl=False)


def _log_to(console: Console, level: int) -> None:
    logger = logging.getLogger(__package__)
    rich = RichHandler(console=console, show_time=False, show_path=False)
    logger.handlers = [rich if console.is_terminal else logging.StreamHandler()]
    logger.setLevel(level)
    logging.getLogger("onnx_ir").setLevel(logging.CRITICAL)  # what it warns of is found and said here


@contextmanager
def _errors_as_exit_codes(console: Console, debug: bool) -> Iterator[None]:
    """Turns an exception into a sentence on stderr and the exit code; `debug` shows its traceback first."""
    try:
        yield
    except (click.exceptions.Exit, click.ClickException, click.Abort):
        raise
    except Exception as error:  # the last frame before the shell
        if debug:
            console.print_exception()
        click.echo(f"Error: {_explain(error)}", err=True)
        raise click.exceptions.Exit(getattr(error, "exit_code", AutochunkError.exit_code)) from error


def _explain(error: Exception) -> str:
    if isinstance(error, AutochunkError | OSError):
        return str(error)
    if isinstance(error, MemoryError):
        return "memory ran out: use smaller sizes (--dim) or free memory; --no-verify does not run the model"
    return f"internal error, {type(error).__name__}: {error}. Please report it, with the output of --debug."
