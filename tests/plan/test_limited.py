"""The fastest way that keeps two limits: what trying every way finds, and close to it in long chains."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from math import inf

import pytest

from onnx_autochunk.plan import limited
from onnx_autochunk.plan.limited import Costs, Move, fastest
from onnx_autochunk.plan.plan import Burden

Layer = Sequence[Costs]  # what there is to choose from


def chain(layers: Sequence[Layer]) -> list[list[Move[Costs]]]:
    return [[Move(step + 1, costs, costs) for costs in layer] for step, layer in enumerate(layers)]


def total(chosen: Sequence[Costs]) -> tuple[float, ...]:
    return tuple(map(sum, zip((0.0, 0.0, 0.0), *chosen, strict=True)))


def drawn(seed: int) -> tuple[list[Layer], Burden, float]:
    draw = random.Random(seed)
    layers: list[Layer] = [
        [(draw.randint(-8, 60) / 8, draw.randint(0, 16) / 8, draw.randint(0, 20)) for _ in range(3)]
        for _ in range(draw.randint(1, 7))
    ]
    limit = Burden(draw.randint(0, 8 * len(layers)) / 8, draw.randint(0, 10 * len(layers)))
    return layers, limit, draw.choice([inf, draw.randint(0, 20 * len(layers)) / 8])


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 300, 50)], ids=str)
def test_the_fastest_of_all_ways(seeds: range) -> None:
    for layers, limit, seconds in map(drawn, seeds):
        totals = map(total, product(*layers))
        kept = [s for s, load, resident in totals if Burden(load, resident).within(limit) and s <= seconds]
        chosen = fastest(chain(layers), limit, seconds)
        assert (None if chosen is None else total(chosen)[0]) == min(kept, default=None)
        assert chosen is None or Burden(*total(chosen)[1:]).within(limit)


def test_skipped_steps_and_dead_ends() -> None:
    moves: list[list[Move[str]]] = [
        [Move(1), Move(3, (1.0, 5.0, 0.0), "heavy")],
        [Move(2, (-9.0, 0.0, 0.0), "astray"), Move(3, (4.0, 1.0, 0.0), "light")],
        [],
    ]
    assert fastest(moves, Burden(5.0, 0.0)) == ["heavy"]
    assert fastest(moves, Burden(2.0, 0.0)) == ["light"]
    assert fastest(moves, Burden(2.0, 0.0), seconds=3.0) is None
    assert fastest([[], *moves], Burden(inf, inf)) is None
    assert fastest([], Burden(0.0, 0.0)) == []


@pytest.mark.parametrize("share", [0.1, 0.33, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("layers", [40, 300])
def test_many_equal_layers_are_off_by_a_part_of_one(layers: int, share: float) -> None:
    layer = [(0.0, 7.0, 5.0), (1.0, 4.0, 6.0), (2.5, 2.0, 2.0), (9.0, 0.0, 1.0)]
    limit = Burden(7.0 * layers * share, 6.0 * layers)
    chosen = fastest(chain([layer] * layers), limit)
    assert chosen is not None and Burden(*total(chosen)[1:]).within(limit)
    # What fractions of layers would take: a price for loading and what it leaves on the best choices.
    bounds = (
        layers * min(s + price * load for s, load, _ in layer) - price * limit.load_s
        for price in (0.0, 1 / 3, 0.75, 3.25, 9.0)
    )
    assert total(chosen)[0] - max(bounds) <= 9.0


def test_labels_of_long_chains_do_not_grow_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    carried = 0

    def count(labels: list[limited._Label[Costs]]) -> list[limited._Label[Costs]]:
        nonlocal carried
        kept = undominated(labels)
        carried += len(kept)
        return kept

    undominated = limited._undominated
    monkeypatch.setattr(limited, "_undominated", count)
    layer = [(0.0, 7.0, 5.0), (1.0, 4.0, 6.0), (2.5, 2.0, 2.0), (9.0, 0.0, 1.0)]
    for layers in (500, 1000):
        assert fastest(chain([layer] * layers), Burden(2.3 * layers, 3.1 * layers)) is not None
    assert 0 < carried < 4 * limited.MANY_LABELS
