"""Everything a caller can ask for, as one frozen record, and the texts it is written in.

`"512MiB"` -> `Budget(absolute_bytes=536870912)`, `"20%"` -> `Budget(share=0.2)`, `"S=4096"` -> `("S", 4096)`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import UsageError

DEFAULT_MAX_SLOWDOWN = 1.05
PROVIDERS = ("cpu", "cuda")
CUDA_ELEMENTS = 1 << 31  # of one tensor: most CUDA kernels count them in 32 bits

_UNITS: Mapping[str, int] = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[A-Za-z]*)")
_SHARE = re.compile(r"(?P<percent>\d+(\.\d+)?)\s*%")


class Form(enum.Enum):
    """How regions are written in ONNX; AUTO leaves the choice to the planner."""

    AUTO = "auto"
    SWEEP = "sweep"
    SCAN = "scan"
    UNROLL = "unroll"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the activations of one run may take: bytes, or a share of the original's peak; one is set."""

    absolute_bytes: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, value: str | int | Budget) -> Budget:
        """Reads `"512MiB"`, `"1.5GB"`, `"20%"` or a number of bytes.

        Raises:
            UsageError: the text is neither a size nor a percentage, or not positive.
        """
        if isinstance(value, Budget):
            return value
        if isinstance(value, str) and (match := _SHARE.fullmatch(value.strip())):
            share, absolute_bytes = float(match["percent"]) / 100, None
        else:
            share, absolute_bytes = None, parse_size(value)
        _require((share or absolute_bytes or 0) > 0, f"a budget of {value!r} leaves no memory at all")
        return cls(absolute_bytes, share)

    def limit_bytes(self, original_peak_bytes: int) -> int:
        """The budget in bytes for a model whose activations peak at `original_peak_bytes`."""
        if self.absolute_bytes is not None:
            return self.absolute_bytes
        assert self.share is not None
        return int(self.share * original_peak_bytes)

    def __str__(self) -> str:
        return f"{self.share:.4g} of the original" if self.share else f"{self.absolute_bytes} bytes"


@dataclass(frozen=True, slots=True)
class Options:
    """What to do with a model; the command line has one option for each field.

    Attributes:
        budget: what the activations may take; None asks for the least memory within `max_slowdown`.
        max_slowdown: measured time of the result over the original's; None means 1.05 unless a budget
            is given.
        dims: reference sizes of symbolic dims, by name.
        input_shapes: reference shapes of inputs whose dims have no name.
        fix_dims: the result takes inputs of the reference sizes only; more forms are known for those.
        provider: the execution provider that is planned and measured for; where it is left out, the command
            line and `autochunk` take "cuda" if ONNX Runtime can use a GPU here.
        input_data: an .npz file with an array for each input: their reference shapes, and what the models are
            verified and measured with.
        form: how every region is written.
        max_load_s: how many seconds longer than the original the result may take to load.
        max_opset: highest opset version of the result; None sets no limit.
        max_chunks: most chunks of one region; None sets no limit.
        max_elements: most elements of a tensor that the result computes; None sets no limit on the CPU, and
            that of most kernels, 2^31, on CUDA.
        include: only nodes whose name this regular expression finds are chunked.
        exclude: nodes whose name this regular expression finds are not chunked.
        include_subgraphs: bodies of the model's own If, Loop and Scan are chunked too.
        verify_runs: number of different inputs on which original and result are compared.
        rtol: relative tolerance of float32 outputs; those of other types are scaled alike.
        atol: absolute tolerance of float32 outputs, likewise.
        no_verify: write the result without running it.
        plan_only: plan and report, write no model.
        best_effort: write the best plan even if it misses the budget or max_elements.
        tune: measure a few plans and keep the best, instead of the first that keeps the limits.
        plan: a saved plan to carry out instead of searching one: a file that `--report` wrote, or the JSON
            object in it. A budget is then checked and nothing else; sizes are the plan's unless given.
        save_as_external_data: put weights into a file beside the model; done anyway above 2 GB.
        external_data_threshold: smallest weight, in bytes, that goes into that file.
        threads: ONNX Runtime's threads when verifying and measuring; 0 leaves the number to ONNX Runtime.
    """

    budget: Budget | None = None
    max_slowdown: float | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    fix_dims: bool = False
    provider: str = "cpu"
    input_data: Path | None = None
    form: Form = Form.AUTO
    max_load_s: float = 5.0
    max_opset: int | None = None
    max_chunks: int | None = None
    max_elements: int | None = None
    include: str | None = None
    exclude: str | None = None
    include_subgraphs: bool = False
    verify_runs: int = 1
    rtol: float = 1e-3
    atol: float = 1e-4
    no_verify: bool = False
    plan_only: bool = False
    best_effort: bool = False
    tune: bool = False
    plan: Path | Mapping[str, object] | None = None
    save_as_external_data: bool = False
    external_data_threshold: int = 1024
    threads: int = 0

    @property
    def slowdown_limit(self) -> float | None:
        """The time ratio to stay within; None when a budget decides instead."""
        if self.budget is not None:
            return None
        return DEFAULT_MAX_SLOWDOWN if self.max_slowdown is None else self.max_slowdown

    @property
    def most_elements(self) -> int | None:
        """The limit on the elements of a tensor; None when there is none."""
        return CUDA_ELEMENTS if self.max_elements is None and self.provider == "cuda" else self.max_elements

    def keeps_out(self, name: str) -> bool:
        """Whether `include` or `exclude` leaves a node alone."""
        if self.include and not re.search(self.include, name):
            return True
        return bool(self.exclude and re.search(self.exclude, name))

    def validate(self) -> Options:
        """Returns the record itself when every value makes sense, alone and together.

        Raises:
            UsageError: names the option, its value and what would be valid.
        """
        for name, low in _LEAST.items():
            value = getattr(self, name)
            _require(value is None or value >= low, f"{name}={value} must be at least {low}")
        for name, size in self.dims.items():
            _require(size >= 1, f"dim {name}={size} must be at least 1")
        for name, shape in self.input_shapes.items():
            _require(min(shape, default=1) >= 1, f"input shape {name}:{shape} needs sizes of at least 1")
        self._check_choices()
        return self

    def _check_choices(self) -> None:
        _require(
            self.provider in PROVIDERS,
            f"provider {self.provider!r} is not supported; this version plans, verifies and measures for: "
            + ", ".join(PROVIDERS),
        )
        _require(
            self.budget is None or self.max_slowdown is None,
            "budget and max_slowdown exclude each other: with a budget the fastest plan under it is chosen, "
            "with max_slowdown the smallest plan within it",
        )
        _require(
            not self.best_effort or self.budget is not None or self.most_elements is not None,
            "best_effort has no meaning without a budget or max_elements",
        )
        for name in ("include", "exclude"):
            _check_regex(name, getattr(self, name))
        _require(
            not (self.tune and (self.no_verify or self.plan_only)),
            "tune measures plans: leave out no_verify and plan_only",
        )
        for name in () if self.plan is None else _PLANNED:
            given = getattr(self, name)
            _require(given == _PLANNED[name], f"{name} is fixed by the plan: leave it out, or leave out plan")


_LEAST: Mapping[str, float] = {
    "max_slowdown": 0.1, "max_load_s": 0, "max_opset": 1, "max_chunks": 2, "max_elements": 1,
    "verify_runs": 1, "rtol": 0, "atol": 0, "external_data_threshold": 0, "threads": 0,
}  # fmt: skip


# What steers planning, as it is when nothing is asked for.
_PLANNED: Mapping[str, object] = {
    "max_slowdown": None, "form": Form.AUTO, "max_chunks": None, "include": None, "exclude": None,
    "max_load_s": 5.0, "tune": False,
}  # fmt: skip


def parse_size(value: str | int) -> int:
    """Bytes of `"512MiB"` (2**20 each), `"512MB"` (10**6 each), `"4096"` or a number; case does not matter.

    Raises:
        UsageError: the text is not a size.
    """
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None or match["unit"].lower() not in _UNITS:
        raise UsageError(f"{value!r} is not a size: write a number and a unit, such as 512MiB, 1.5GB or 4096")
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])


def parse_dim(text: str) -> tuple[str, int]:
    """Reads `NAME=4096`.

    Raises:
        UsageError: there is no name, or no positive number.
    """
    name, sign, size = text.rpartition("=")
    _require(bool(sign and name) and _is_extent(size), f"{text!r} is not a dim: write NAME=4096")
    return name, int(size)


def parse_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Reads `NAME:1,3,512,512`; the name itself may contain colons, as in `pixels:0:1,3,512,512`.

    Raises:
        UsageError: there is no name, or a size is not a positive number.
    """
    name, sign, sizes = text.rpartition(":")
    parts = sizes.split(",")
    _require(
        bool(sign and name) and all(_is_extent(part) for part in parts),
        f"{text!r} is not an input shape: write NAME:1,3,512,512",
    )
    return name, tuple(int(part) for part in parts)


def _is_extent(text: str) -> bool:
    return text.strip().isdecimal() and int(text) >= 1


def _check_regex(name: str, pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise UsageError(f"{name} {pattern!r} is not a regular expression: {error}") from error


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(message)
