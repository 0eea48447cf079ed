"""Calls of the text family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.build import case, ints

WORDS = np.array([["a", "b"], ["c", "d"], ["a", "e"]], object)
PAIRS = {"ngram_counts": [0, 3], "ngram_indexes": [0, 1, 2, 3, 4], "pool_int64s": [1, 2, 3, 1, 2, 2, 3]}
GRAMS: dict[str, Any] = {
    "max_gram_length": 2,
    "min_gram_length": 1,
    "max_skip_count": 1,
    "mode": "TF",
    **PAIRS,
}
CASES = [
    case("RegexFullMatch", WORDS, pattern="a|b"),
    case("RegexFullMatch", WORDS[0], pattern="a"),
    case("StringConcat", WORDS, WORDS[1]),
    case("StringConcat", WORDS[0], np.array(["x"], object)),
    case("StringNormalizer", WORDS[:1], case_change_action="UPPER", is_case_sensitive=1),
    case("StringNormalizer", WORDS[:, 0], case_change_action="LOWER", opset=10),
    case("StringNormalizer", WORDS[:, 1], stopwords=["b"], is_case_sensitive=1),
    case("TfIdfVectorizer", ints((3, 5), 4), **GRAMS),
    case("TfIdfVectorizer", ints((6,), 4, np.int32), **GRAMS),
]
