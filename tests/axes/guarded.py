"""Run operators wrongly on purpose and live: in a child process that is started again when it falls.

ONNX Runtime checks most of what it is given, but not all: with no heads it divides by zero and takes the
process down; with a wrong index it writes where something else lies, and a later call that is right fails.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")
Tasks = Callable[[], Iterator[tuple[Key, Callable[[], Result]]]]


def guarded(tasks: Tasks[Key, Result], fallen: Result) -> list[tuple[Key, Result]]:
    """The result of every task in its order; `fallen` for one that takes the process down.

    What is raised counts in a process that has run nothing yet; another begins again where it was raised.

    Args:
        tasks: a function of a module that gives the same tasks in the same order each time.
        fallen: what stands for the result of such a task.
    """
    found: list[tuple[Key, Result]] = []
    context = multiprocessing.get_context("spawn")
    fatal: set[int] = set()
    while True:
        ours, theirs = context.Pipe()
        first = len(found)
        with ours:
            child = context.Process(target=_work, args=(tasks, fallen, first, fatal, theirs), daemon=True)
            child.start()
            theirs.close()
            why = _received(ours, found)
        child.join()
        if why is None:
            return found
        if isinstance(why, EOFError):
            assert len(found) not in fatal, f"the process that runs the tasks ends with {child.exitcode}"
            fatal.add(len(found))
        elif len(found) == first:
            raise why


def _received(connection: Connection, found: list[tuple[Key, Result]]) -> Exception | None:
    """Collect results; what kept the child from giving all, an EOFError when it is gone."""
    try:
        while (answer := connection.recv()) is not None:
            if isinstance(answer, Exception):
                return answer
            found.append(answer)
    except EOFError as error:
        return error
    return None


def _work(
    tasks: Tasks[Key, Result], fallen: Result, first: int, fatal: set[int], connection: Connection
) -> None:
    """In the child: send each result, None at the end."""
    try:
        for number, (key, task) in enumerate(tasks()):
            if number >= first:
                connection.send((key, fallen if number in fatal else task()))
        connection.send(None)
    except Exception as error:
        connection.send(RuntimeError(repr(error)))
