"""What a run gives back, and how it is written."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from .errors import UsageError
from .graph.save import copy, has_external, save
from .options import Options
from .plan.plan import Plan
from .report.record import Report


@dataclass(frozen=True)
class Result:
    """What `run` gives back.

    Attributes:
        model: the rewritten model; the original where nothing was changed.
        plan: the regions; None where nothing was changed.
        report: everything found and measured.
        source: the file to copy where nothing was changed; None when the model came from memory.
    """

    model: ir.Model
    plan: Plan | None
    report: Report
    options: Options = field(repr=False)
    source: Path | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model; the file is there whole or not at all.

        Raises:
            AutochunkError: the place cannot be written to.
        """
        options = self.options
        if self.source is not None and not options.save_as_external_data and not has_external(self.model):
            return copy(self.source, path)
        return save(
            self.model,
            path,
            external=options.save_as_external_data,
            threshold_bytes=options.external_data_threshold,
        )

    def save_plan(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON, for `autochunk(..., plan=path)` or `--plan`.

        Raises:
            UsageError: nothing was chunked, so there is no plan.
        """
        if self.report.plan is None:
            raise UsageError("there is no plan to save: nothing was chunked")
        text = json.dumps({"plan": self.report.plan}, indent=2, ensure_ascii=False, allow_nan=False)
        Path(path).write_text(f"{text}\n", encoding="utf-8")
