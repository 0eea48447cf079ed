"""The tables as a reader sees them."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from onnx_autochunk.report.record import Cost, Report, Status
from onnx_autochunk.report.text import render, to_text
from tests.report.examples import FULL, MIB

GOLDEN = """\
Chunked regions
region        form    axis          chunks  nodes  hoisted  MiB before  MiB after
─────────────────────────────────────────────────────────────────────────────────
attention[0]  scan    1 (tokens)  32 x 128     41        1     1,776.0       92.0
mlp           unroll  1           16 x 257      7        0       300.0       40.0

Large tensors not chunked
value       size  node    because
────────────────────────────────────────────────────────────────
logits  64.0 MiB  node_2  no rule for com.acme::Blur
small    1.0 MiB  node_1  axis 3 (keys): Softmax needs all of it

Before and after
                                  before      after   change
────────────────────────────────────────────────────────────
activation peak, measured    1,776.0 MiB   92.0 MiB     5.2%
activation peak, predicted   1,800.0 MiB   95.0 MiB     5.3%
resident after loading         230.0 MiB  240.0 MiB   104.3%
second run, default session  1,900.0 MiB  130.0 MiB     6.8%
time to load                     0.500 s    0.900 s  +0.40 s
time of one run                  2.900 s    2.800 s    98.0%

Chunked.
Outputs are equal on 2 inputs: largest difference 2.4e-06, relative 1.1e-04.
Budget 100.0 MiB: met.
Floor, under which no number of chunks can go: 50.0 MiB.
Time spent: load 0.5 s, search 3.4 s.
"""


def test_the_whole_report() -> None:
    assert to_text(FULL) == GOLDEN


FRONT = """\
What less memory costs, predicted
   budget      peak    time  regions
────────────────────────────────────
100.0 MiB  95.0 MiB   98.0%        2
 94.0 MiB  51.0 MiB  123.4%        4

"""


def test_the_front_is_a_detail() -> None:
    before, after = GOLDEN.split("Before and after")
    assert to_text(FULL, details=True) == f"{before}{FRONT}Before and after{after}"


MEASURED = """\
Plans measured
regions  peak, predicted  peak, measured  time, predicted  time, measured
────────────────────────────────────────────────────────────────────────────────
      2         95.0 MiB        92.0 MiB            98.0%           98.0%  taken
      3         80.0 MiB        81.0 MiB           101.0%               -

"""


def test_more_than_one_plan_measured_is_a_table() -> None:
    other = replace(
        FULL.measured[0],
        regions=3,
        predicted_peak_bytes=80 * MIB,
        measured_peak_bytes=81 * MIB,
        predicted_slowdown=1.01,
        slowdown_measured=None,
        taken=False,
    )
    before, after = GOLDEN.split("Before and after")
    found = to_text(replace(FULL, measured=(*FULL.measured, other)))
    assert found == f"{before}{MEASURED}Before and after{after}"


@pytest.mark.parametrize("width", [80, 100, 160, 400])
def test_no_line_is_wider_than_the_page_and_no_name_is_lost(width: int) -> None:
    text = to_text(FULL, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(word in text for word in ("1,776.0", "attention", "32 x 128", "com.acme::Blur"))


CASES = {
    "nothing to gain": (
        Report(Status.UNCHANGED, "It peaks at 3.0 MiB.", baseline=Cost(3 * MIB)),
        ("activation peak, predicted", "3.0 MiB", "copy of the input. It peaks at 3.0 MiB."),
        ("measured", "Chunked regions", "compared", "Budget", "time of one run"),
    ),
    "planned": (
        replace(FULL, status=Status.PLANNED, verify=None),
        ("Planned only; no model was written.", "attention[0]"),
        ("compared", "Outputs"),
    ),
    "not verified": (replace(FULL, verify=None), ("Outputs were not compared.",), ("Outputs are equal",)),
    "missed": (
        replace(FULL, status=Status.MISSED, budget_met=False),
        ("limit was missed", "Budget 100.0 MiB: missed."),
        ("met.",),
    ),
    "not measured": (
        replace(FULL, chunked=Cost(95 * MIB), slowdown_measured=None, budget_met=None),
        ("activation peak, measured    1,776.0 MiB         -", "Budget 100.0 MiB: not measured."),
        ("98.0%",),
    ),
}


@pytest.mark.parametrize(("report", "present", "absent"), CASES.values(), ids=CASES)
def test_each_ending_is_said(report: Report, present: tuple[str, ...], absent: tuple[str, ...]) -> None:
    text = to_text(report)
    assert [phrase for phrase in present if phrase not in text] == []
    assert [phrase for phrase in absent if phrase in text] == []


def test_colours_only_on_a_terminal() -> None:
    def printed(terminal: bool) -> str:
        console = Console(
            file=io.StringIO(), force_terminal=terminal, width=100, color_system="standard", _environ={}
        )
        console.print(render(FULL))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert "\x1b[" in printed(terminal=True)
    assert "\x1b[" not in to_text(FULL)
