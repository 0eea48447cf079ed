"""What calibration finds for one provider: the numbers behind every price, in `profiles/<provider>.json`.

Every price has one form: seconds with all data in the cache, plus, for bytes that are not, their *excess*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from ..errors import UsageError
from .curve import Curve

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds that come with a form, however little its ops do: `base_s + ops * op_s + bytes * byte_s`."""

    base_s: float
    op_s: float
    byte_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Holding:
    """Bytes that a form keeps for as long as the model is loaded: `base_bytes + nodes * node_bytes`."""

    base_bytes: float
    node_bytes: float


@dataclass(frozen=True)
class Constants:
    """The measured numbers of one provider.

    Attributes:
        threads: threads within an operator that the numbers hold for.
        dispatch_s: seconds to start one op, whatever it does.
        excess_s: seconds that a byte of traffic costs on top of the in-cache price, by the bytes that the op
            touches.
        product_s: seconds for each of a matrix product's features (`products.features`), by kind of product;
            the last three say how often the excess of what it fetches is paid (`prices.fetches`).
        moves: seconds for each element that an Einsum transposes, by kind of move (`products.Move`); the last
            number says how often its excess is paid.
        element_s: seconds for each element, by op type; "" stands for every other op.
        strides: how often the excess is paid by kind of Transpose, which reads memory in leaps.
        span_s: seconds for each contiguous stretch of an operand that is broadcast.
        handover_s: seconds that a product takes at least for each byte that one thread writes and another
            reads; nothing where their cores share a cache.
        copies: seconds to copy a byte and to start one contiguous run, and how often the excess is paid for
            both, by kind of copy (`prices.COPIES`).
        iteration: what one more iteration costs, by form.
        load: what one more copy of a body costs to load, by form.
        resident: what a region and one more copy of its body keep in memory, by form.
    """

    provider: str
    threads: int
    dispatch_s: float
    excess_s: Curve
    product_s: Mapping[str, tuple[float, ...]]
    moves: tuple[float, ...]
    element_s: Mapping[str, float]
    strides: Mapping[str, float]
    span_s: float
    handover_s: float
    copies: Mapping[str, tuple[float, ...]]
    iteration: Mapping[str, Overhead]
    load: Mapping[str, Overhead]
    resident: Mapping[str, Holding]


def read_profile(provider: str) -> dict[str, Any]:
    """The profile of a provider as it stands in the package.

    Raises:
        UsageError: nobody has calibrated the provider.
    """
    profiles = files(__package__).joinpath("profiles")
    try:
        text = profiles.joinpath(f"{provider}.json").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = sorted(entry.name.removesuffix(".json") for entry in profiles.iterdir())
        raise UsageError(f"no cost profile for provider {provider!r}; there is {', '.join(known)}") from error
    profile: dict[str, Any] = json.loads(text)
    return _assumed(profile) if "like" in profile else profile


def _assumed(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Prices that nobody has measured: another provider's, but for what a call and an iteration cost.

    Those of a device that is `times_faster` weigh so many times more beside prices that stay as they are:
    only the ratio of prices counts. Its threads share what they work on.
    """
    base, scale = read_profile(profile["like"]), profile["times_faster"]
    numbers = {
        "dispatch_s": profile["dispatch_s"] * scale,
        "iteration": {form: [base_s * scale, 0.0] for form, base_s in profile["iteration_s"].items()},
    }
    return {**base, "provider": profile["provider"], "threads": 1, "constants": base["constants"] | numbers}


def to_constants(profile: Mapping[str, Any]) -> Constants:
    """The constants that a profile holds; its measured points are for tests and calibration."""
    numbers = profile["constants"]
    return Constants(
        provider=profile["provider"],
        threads=profile["threads"],
        dispatch_s=numbers["dispatch_s"],
        excess_s=Curve(*(tuple(column) for column in numbers["excess_s"])),
        product_s={kind: tuple(row) for kind, row in numbers["product_s"].items()},
        moves=tuple(numbers["moves"]),
        element_s=numbers["element_s"],
        strides=numbers["strides"],
        span_s=numbers["span_s"],
        handover_s=numbers["handover_s"],
        copies={kind: tuple(pair) for kind, pair in numbers["copies"].items()},
        iteration={form: Overhead(*row) for form, row in numbers["iteration"].items()},
        load={form: Overhead(*row) for form, row in numbers["load"].items()},
        resident={form: Holding(*row) for form, row in numbers["resident"].items()},
    )


def to_json(constants: Constants) -> dict[str, Any]:
    """What `to_constants` reads, numbers to four significant figures."""
    numbers: dict[str, Any] = asdict(constants)
    excess = (numbers["excess_s"]["sizes"], [_figures(height) for height in numbers["excess_s"]["heights"]])
    overheads = {
        key: {form: list(row.values()) for form, row in numbers[key].items()}
        for key in ("iteration", "load", "resident")
    }
    scalars = {key: _figures(numbers[key]) for key in ("dispatch_s", "span_s", "handover_s")}
    tables = {
        "excess_s": excess,
        "product_s": {kind: [_figures(rate) for rate in row] for kind, row in constants.product_s.items()},
        "copies": {kind: [_figures(number) for number in pair] for kind, pair in constants.copies.items()},
        "moves": [_figures(number) for number in constants.moves],
        "element_s": {type_: _figures(rate) for type_, rate in constants.element_s.items()},
        "strides": {kind: _figures(times) for kind, times in constants.strides.items()},
    }
    return {
        "provider": constants.provider,
        "threads": constants.threads,
        "constants": scalars | tables | overheads,
    }


def _figures(number: float) -> float:
    return float(f"{number:.4g}")
