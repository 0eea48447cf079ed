"""Progress on a terminal, in a file and for nobody."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from onnx_autochunk.report import progress
from onnx_autochunk.report.progress import Lines, Live, Silent, on


def _console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, _environ={})


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_console_decides() -> None:
    assert isinstance(on(_console(terminal=True)), Live)
    assert isinstance(on(_console(terminal=False)), Lines)


def test_a_terminal_shows_stage_and_note_even_nested() -> None:
    console = _console(terminal=True)
    with Live(console).stage("search", total=4) as advance:
        advance(note="layer [3]")
        with Live(console).stage("verify"):
            pass
    assert "search" in _written(console)
    assert "layer [3]" in _written(console)


@pytest.mark.parametrize(("after_s", "line"), [(0.0, "search: 0.0 s\n"), (60.0, "")])
def test_a_file_gets_a_line_for_a_long_stage(
    monkeypatch: pytest.MonkeyPatch, after_s: float, line: str
) -> None:
    monkeypatch.setattr(progress, "TELL_AFTER_S", after_s)
    console = _console(terminal=False)
    with Lines(console).stage("search", total=2) as advance:
        advance(2)
    assert _written(console) == line


def test_silence_lets_errors_through() -> None:
    with pytest.raises(ZeroDivisionError), Silent().stage("search") as advance:
        advance(1 // 0)
