"""Calls of Einsum."""

from __future__ import annotations

from tests.axes.build import case

CASES = [
    case("Einsum", (3, 4, 2), (5, 4, 2), equation="ikc,jkc->ijc"),
    case("Einsum", (2, 3, 4), (2, 4, 5), equation="bij, bjk -> bik"),
    case("Einsum", (3, 4), equation="ij->i"),
    case("Einsum", (3, 4), (4,), equation="ij,j"),
    case("Einsum", (3, 4), equation="ba"),
    case("Einsum", (3,), (4,), equation="i,j->ji"),
    case("Einsum", (3, 4), (3, 4), equation="ij,ij->"),
    case("Einsum", (2, 3, 4, 4), (2, 4, 3, 5), equation="shij,sjhc->sihc"),
    case("Einsum", (2, 3), (3, 4), (4, 5), (5, 2), equation="ab,bc,cd,de->ae"),
    case("Einsum", (3, 4), (5,), equation="ij,l->ij"),
    case("Einsum", (3, 2), (3, 4), equation="aB,ab->Bb", opset=28),
    # diagonals
    case("Einsum", (3, 3), equation="ii->i"),
    case("Einsum", (3, 3), equation="ii"),
    case("Einsum", (2, 3, 3, 4), equation="biic->bc"),
    case("Einsum", (2, 3, 3), (3, 4), equation="bii,ij->bij"),
    # an ellipsis
    case("Einsum", (2, 3, 4), (4, 5), equation="...ij,jk->...ik"),
    case("Einsum", (2, 3, 4), equation="a...->...a"),
    case("Einsum", (2, 3, 4), equation="i...j"),
    case("Einsum", (2, 1, 3, 4), (2, 5, 4), equation="...ij,...j->...i"),
    case("Einsum", (3, 4), (4,), equation="...j,...j->..."),
    # letters of size 1 and scalars
    case("Einsum", (1, 4), (3, 4), equation="ij,ij->ij"),
    case("Einsum", (3, 1), (4, 5), equation="ij,jk->ik"),
    case("Einsum", (2, 1, 4), (1, 3, 4), equation="bij,bij->bi"),
    case("Einsum", (), (3, 4), equation=",ij->ji"),
]
