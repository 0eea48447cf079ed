"""Random graphs with random plans compute what they computed; `python -m tools.fuzz` tries more of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tests.fuzz.check import KINDS, Outcome, check, differs

GRAPHS = {"fixed": 160, "open": 20, "bodies": 20}
LEAST_SHARE = 0.6  # of them get a region


@pytest.fixture(scope="module")
def outcomes() -> Mapping[str, Sequence[Outcome]]:
    return {kind: [check(seed, kind) for seed in range(graphs)] for kind, graphs in GRAPHS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_no_plan_changes_a_result(kind: str, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    found = outcomes[kind]
    assert [(one.seed, one.unequal, one.crashed) for one in found if one.unequal or one.crashed] == []
    assert sum(one.regions > 0 for one in found) >= LEAST_SHARE * GRAPHS[kind]


def test_plans_are_of_every_kind(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    fixed = outcomes["fixed"]
    assert {form for one in fixed for form in one.forms} == {"scan", "sweep", "unroll"}
    assert {way for one in fixed for way in one.frames} == {"none", "regions", "groups", "nested"}
    for kind in ("nested", "accumulating", "feeders"):
        assert sum(getattr(one, kind) > 0 for one in fixed) > 2, kind
    every = (one for found in outcomes.values() for one in found)
    assert len({name for one in every for name in one.chunked}) > 100


def test_sizes_differ_where_they_are_open(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    assert sum(one.runs > 2 and one.regions > 0 for one in outcomes["open"]) >= LEAST_SHARE * GRAPHS["open"]
    assert any(one.nested for one in outcomes["open"])


def test_bodies_of_every_kind_are_chunked(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    chunked = [one for one in outcomes["bodies"] if one.enclosed]
    assert len(chunked) >= LEAST_SHARE * GRAPHS["bodies"]
    assert {":If", ":Loop", ":Scan"} <= {name for one in chunked for name in one.types}


FAILED = [
    ("fixed", 276),  # a frame gave an empty value
    ("fixed", 635),  # slices of weights were not multiplied in 8 bits
    ("fixed", 801),  # ONNX Runtime dropped a Cast that a body read
    ("fixed", 1054),  # ONNX Runtime took 1e-5 for the epsilon of a normalization in float16
    ("open", 84),  # a result had no shape
    ("open", 499),  # an Einsum that broadcasts was written out as one that does not
    ("open", 302),  # a frame gave what stands for an Einsum, in the reference's shape
]


@pytest.mark.parametrize(("kind", "seed"), FAILED)
def test_what_failed_once_does_not_again(kind: str, seed: int) -> None:
    outcome = check(seed, kind)
    assert outcome.regions and not outcome.unequal and not outcome.crashed


def test_results_are_compared(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """A result that is no number agrees with any other; what rounding explains is the exception."""
    found = [one for every in outcomes.values() for one in every]
    assert np.mean([one.finite for one in found]) > 0.95
    assert sum(one.unstable > 0 for one in found) < 0.05 * len(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_graph(kind: str) -> None:
    first, again = (KINDS[kind](3) for _ in range(2))
    assert first.model.SerializeToString() == again.model.SerializeToString()
    assert first.feeds[-1].keys() == again.feeds[-1].keys() and first.dims == again.dims


def test_small_results_are_compared_by_their_own_size() -> None:
    small = np.full((2, 2), 1e-2, np.float32)
    assert differs({"y": small}, {"y": small * np.float32(1.01)})
    assert not differs({"y": small}, {"y": small * np.float32(1.0001)})


def test_only_elements_that_move_may_differ() -> None:
    expected, found = np.array([1, 2], np.float32), np.array([1, 3], np.float32)
    assert differs({"y": expected}, {"y": found}, {"y": np.array([True, False])})
    assert not differs({"y": expected}, {"y": found}, {"y": np.array([False, True])})
