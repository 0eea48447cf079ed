"""Names of new values and nodes."""

from __future__ import annotations

from onnx_autochunk.graph.names import Names


def test_names_are_numbered_where_they_are_taken() -> None:
    names = Names(["a", "b_2"])
    assert [names.fresh(wish) for wish in "a a b b b a_2 c".split()] == "a_2 a_3 b b_3 b_4 a_2_2 c".split()


def test_a_copy_takes_no_names_from_the_other() -> None:
    names = Names(["a"])
    copy = names.copy()
    assert [names.fresh("a"), copy.fresh("a"), copy.fresh("a"), names.fresh("a")] == "a_2 a_2 a_3 a_3".split()
