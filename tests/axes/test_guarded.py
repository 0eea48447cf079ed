"""Tasks that end their process, or spoil it for those that come later, cost no other task its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.axes.guarded import guarded

Tasks = Iterator[tuple[int, Callable[[], int]]]
ran: list[int] = []  # in this process


def _square(number: int) -> int:
    ran.append(number)
    return number**2


def falling() -> Tasks:
    for number in range(4):
        yield number, partial(os._exit, 3) if number == 2 else partial(_square, number)


def spoiling() -> Tasks:
    for number in range(4):
        if number == 2 and ran:
            raise ValueError("something was written over")
        yield number, partial(_square, number)


def failing() -> Tasks:
    yield 0, partial(_square, 0)
    raise ValueError("whatever ran before")


def test_a_task_that_ends_the_process_has_fallen() -> None:
    assert guarded(falling, -1) == [(0, 0), (1, 1), (2, -1), (3, 9)]


def test_what_fails_where_others_ran_is_tried_in_a_new_process() -> None:
    assert guarded(spoiling, -1) == [(0, 0), (1, 1), (2, 4), (3, 9)]


def test_what_fails_in_a_new_process_is_raised() -> None:
    with pytest.raises(RuntimeError, match="whatever ran before"):
        guarded(failing, -1)
