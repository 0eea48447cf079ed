"""One file through the command line, in a process of its own that may not take much.

Processes are forked from one that has imported the package, so that a case costs what the file costs.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from click.testing import CliRunner

from onnx_autochunk import cli

MOST_S = 5
MOST_BYTES = 500 * 10**6
MOST_ADDRESSES = 8 << 30  # so that a file that asks for more memory than there is harms nobody
PATIENCE_S = 60  # of wall time, on a busy machine

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file.

    Attributes:
        exit_code: of the command; negative: of the process, which was killed.
        output: both streams, and the traceback where the command let one through.
        elapsed_s: CPU time of the process and its children.
        peak_bytes: most memory that it or a child held, what the package itself takes included.
    """

    exit_code: int
    output: str
    elapsed_s: float = 0.0
    peak_bytes: int = 0


def run(arguments: Sequence[str], folder: Path) -> Outcome:
    """Run the command in a folder."""
    mine, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_child, args=(theirs, arguments, folder))
    process.start()
    theirs.close()
    try:
        outcome: Outcome = (
            mine.recv() if mine.poll(PATIENCE_S) else Outcome(-1, f"no answer after {PATIENCE_S} s")
        )
    except EOFError:
        process.join()
        outcome = Outcome(process.exitcode or -1, "the process was killed")
    process.kill()
    process.join()
    return outcome


def _child(answer: Connection, arguments: Sequence[str], folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (2 * MOST_S, 2 * MOST_S))
    os.chdir(folder)
    before = _seconds()
    result = CliRunner().invoke(cli.main, arguments)
    output = result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        output += f"\nTraceback: {result.exception!r}"
    answer.send(Outcome(result.exit_code, output, _seconds() - before, _most_bytes()))


def _seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _most_bytes() -> int:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) * 1024
