"""One rewriting, timed: what `tools.scale` runs in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from onnx_autochunk.options import Budget, Options
from onnx_autochunk.pipeline import run
from onnx_autochunk.report.progress import Advance
from onnx_autochunk.runtime.launch import Json


@dataclass
class Clock:
    """Progress that notes how long each stage computes."""

    cpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Adds up what a stage takes."""
        del total
        start = time.process_time()
        yield _ignore
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - start


def _ignore(n: int = 1, note: str = "") -> None:
    del n, note


def rewrite(request: Json) -> Json:
    """What the child process does."""
    begin, clock = time.process_time(), Clock()
    budget = None if request["budget"] is None else Budget.parse(request["budget"])
    result = run(request["source"], Options(budget=budget, no_verify=True), clock)
    with clock.stage("save"):
        result.save(request["out"])
    end = time.process_time()
    regions = 0 if result.plan is None else len(result.plan.regions)
    return {"regions": regions, "cpu_s": clock.cpu_s | {"start": begin, "work": end - begin, "whole": end}}
