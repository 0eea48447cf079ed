"""Saved plans as files: what `--report` and `Result.save_plan` write, and `--plan` reads.

{"plan": {"schema": 1, "versions": ..., "options": ..., "model": ..., "measured": ..., "regions": [...]}}
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ._version import __version__
from .errors import UsageError
from .options import Options
from .plan.fields import Fields
from .plan.saved import SCHEMA

logger = logging.getLogger(__package__)

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")  # the packages that ONNX Runtime comes in


@dataclass(frozen=True)
class SavedPlan:
    """A plan that was read, as far as it can be checked without its model.

    Attributes:
        record: the whole of it.
        options: those of this run, with the reference sizes that the plan was made for where none are given.
    """

    record: Mapping[str, object]
    options: Options

    @property
    def made_with(self) -> dict[str, object]:
        """What stays true of the plan when it is saved again."""
        return {
            name: self.record[name] for name in ("versions", "options", "measured") if name in self.record
        }


def made_with(options: Options) -> dict[str, object]:
    """What a plan made in this run says besides the plan."""
    return {
        "versions": {"onnx_autochunk": __version__, "onnxruntime": _runtime_version()},
        "options": {
            "budget": None if options.budget is None else str(options.budget),
            "max_slowdown": options.slowdown_limit,
            "provider": options.provider,
            "form": options.form.value,
            "max_load_s": options.max_load_s,
            "max_opset": options.max_opset,
            "max_chunks": options.max_chunks,
            "max_elements": options.max_elements,
            "include": options.include,
            "exclude": options.exclude,
            "include_subgraphs": options.include_subgraphs,
            "threads": options.threads,
            "dims": dict(options.dims),
            "fix_dims": options.fix_dims,
            "input_shapes": {name: list(shape) for name, shape in options.input_shapes.items()},
        },
    }


def read_plan(source: Path | Mapping[str, object], options: Options) -> SavedPlan:
    """Read a plan and the sizes that it was made for.

    Args:
        source: a file, or the object in it.
        options: of this run.

    Raises:
        UsageError: it is no plan, or not one that this version can carry out.
    """
    where = f"--plan {source}" if isinstance(source, str | os.PathLike) else "plan"
    whole = _parsed(Path(source), where) if isinstance(source, str | os.PathLike) else source
    record = whole.get("plan", whole) if isinstance(whole, Mapping) else whole
    if not isinstance(record, Mapping) or "regions" not in record or "schema" not in record:
        raise UsageError(
            f"{where}: there is no plan in it. Give what --report wrote in a run that chunked the model"
        )
    fields = Fields(record)
    _check_versions(fields, where)
    made = fields.object("options")
    if made.text("provider") != options.provider:
        raise UsageError(
            f"{where}: the plan is for provider {made.text('provider')!r}, not for {options.provider!r}"
        )
    shapes = {name: tuple(sizes) for name, sizes in made.lists("input_shapes").items()}
    options = replace(
        options,
        dims=options.dims or made.counts("dims"),
        input_shapes=options.input_shapes or shapes,
        fix_dims=options.fix_dims or made.flag("fix_dims"),
        include_subgraphs=options.include_subgraphs or made.flag("include_subgraphs"),
    )
    return SavedPlan(record, options)


def _parsed(path: Path, where: str) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: is not JSON: {error}. Give what --report wrote") from error


def _check_versions(fields: Fields, where: str) -> None:
    schema, version = fields.number("schema"), fields.object("versions").text("onnx_autochunk")
    if schema != SCHEMA:
        raise UsageError(
            f"{where}: the plan has schema {schema}, this version reads {SCHEMA}. Make the plan again, or "
            f"use onnx_autochunk {version}, which made it"
        )
    if version != __version__:
        logger.warning(
            "the plan was made by onnx_autochunk %s, this is %s: the result may differ in bytes",
            version,
            __version__,
        )


def _runtime_version() -> str | None:
    """The version of the installed ONNX Runtime, which need not be loaded for that."""
    for name in RUNTIMES:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
