"""What every stage of a run shares: the options, who is told where the work is, and what it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .options import Options
from .report.progress import Advance, Progress, Silent

logger = logging.getLogger(__package__)


@dataclass(frozen=True)
class Stages:
    """One run.

    Attributes:
        timings_s: seconds spent in each stage so far.
    """

    options: Options
    progress: Progress = field(default_factory=Silent)
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """One stage: shown, logged and timed."""
        logger.info("%s", name)
        start = time.perf_counter()
        with self.progress.stage(name) as advance:
            yield advance
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - start

    @property
    def measures(self) -> bool:
        """True when models are run."""
        return not (self.options.no_verify or self.options.plan_only)
