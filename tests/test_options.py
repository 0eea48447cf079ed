"""Sizes, dims and shapes as users write them, and which options go together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_autochunk.errors import UsageError
from onnx_autochunk.options import Budget, Form, Options, parse_dim, parse_input_shape, parse_size

SIZES = {
    "512MiB": 512 * 2**20,
    "512mib": 512 * 2**20,
    "512 MB": 512 * 10**6,
    "1.5GiB": 3 * 2**29,
    "1.5GB": 1_500_000_000,
    "64kB": 64_000,
    "64KiB": 65_536,
    "1TiB": 2**40,
    "4096": 4096,
    "4096B": 4096,
    " 7 KiB ": 7168,
}


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert Budget.parse(text) == Budget(absolute_bytes=size)


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "-5MiB", "5XB", "5 M i B", "1e9", "1,5GiB", "nan", "20 percent"]
)
def test_what_is_no_size_is_refused_with_the_text_and_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a size.*512MiB"):
        parse_size(text)


@pytest.mark.parametrize(("text", "share"), {"20%": 0.2, "12.5 %": 0.125, "150%": 1.5}.items())
def test_percentages_are_shares_of_the_original(text: str, share: float) -> None:
    budget = Budget.parse(text)
    assert budget == Budget(share=share)
    assert budget.limit_bytes(1000) == int(1000 * share)


@pytest.mark.parametrize("value", ["0", "0%", "0MiB", 0, -1, "0.1"])
def test_a_budget_of_nothing_is_refused(value: str | int) -> None:
    with pytest.raises(UsageError, match="no memory"):
        Budget.parse(value)


@pytest.mark.parametrize("value", [2**20, "1MiB", Budget(absolute_bytes=2**20)])
def test_budgets_come_as_numbers_texts_and_records(value: int | str | Budget) -> None:
    assert Budget.parse(value).limit_bytes(5) == 2**20


@given(st.integers(min_value=1, max_value=2**50))
def test_every_number_of_bytes_is_read_exactly(size: int) -> None:
    assert parse_size(str(size)) == parse_size(f"{size}B") == parse_size(size) == size


@pytest.mark.parametrize(
    ("text", "dim"), {"S=4096": ("S", 4096), "a=b=3": ("a=b", 3), "batch= 1": ("batch", 1)}.items()
)
def test_dims_are_read(text: str, dim: tuple[str, int]) -> None:
    assert parse_dim(text) == dim


@pytest.mark.parametrize("text", ["S", "S=", "=4", "S=0", "S=-1", "S=x", "S=1.5", ""])
def test_bad_dims_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=4096"):
        parse_dim(text)


SHAPES = {
    "x:1,3,512,512": ("x", (1, 3, 512, 512)),
    "pixels:0:7": ("pixels:0", (7,)),
    "x: 1, 2": ("x", (1, 2)),
}


@pytest.mark.parametrize(("text", "shape"), SHAPES.items())
def test_input_shapes_are_read(text: str, shape: tuple[str, tuple[int, ...]]) -> None:
    assert parse_input_shape(text) == shape


@pytest.mark.parametrize("text", ["x", "x:", ":1,2", "x:1,,2", "x:1,0", "x:1,-2", "x:a", "x:1x3"])
def test_bad_input_shapes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="NAME:1,3,512,512"):
        parse_input_shape(text)


BAD = {
    "max_slowdown": Options(max_slowdown=0),
    "max_chunks": Options(max_chunks=1),
    "max_elements": Options(max_elements=0),
    "verify_runs": Options(verify_runs=0),
    "rtol": Options(rtol=-1.0),
    "atol": Options(atol=float("nan")),
    "max_load_s": Options(max_load_s=-1),
    "threads": Options(threads=-1),
    "dim S=0": Options(dims={"S": 0}),
    "input shape x": Options(input_shapes={"x": (1, 0)}),
    "provider 'tpu'.*: cpu, cuda": Options(provider="tpu"),
    "exclude each other": Options(budget=Budget(share=0.2), max_slowdown=1.1),
    "best_effort.*budget": Options(best_effort=True),
    "tune measures plans": Options(tune=True, no_verify=True),
    "tune is fixed by the plan": Options(plan={}, tune=True),
    "form is fixed by the plan": Options(plan={}, form=Form.SCAN),
    "max_slowdown is fixed by the plan": Options(plan={}, max_slowdown=1.1),
    r"include '\('": Options(include="("),
    r"exclude '\*'": Options(exclude="*"),
}


@pytest.mark.parametrize(("message", "options"), BAD.items(), ids=BAD)
def test_options_that_make_no_sense_are_refused_by_name(message: str, options: Options) -> None:
    with pytest.raises(UsageError, match=message):
        options.validate()


def test_the_slowdown_limit_holds_only_without_a_budget() -> None:
    assert Options().validate().slowdown_limit == pytest.approx(1.05)
    assert Options(max_slowdown=1.2).validate().slowdown_limit == pytest.approx(1.2)
    assert Options(budget=Budget(share=0.5)).validate().slowdown_limit is None
