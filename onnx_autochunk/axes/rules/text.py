"""Operators on strings.

Source: https://onnx.ai/onnx/operators/onnx__StringNormalizer.html, onnx__TfIdfVectorizer.html
"""

from __future__ import annotations

from onnx_autochunk.axes.registry import Answer, Node, barrier, rule, spec

spec("RegexFullMatch", "... -> ...", since=20)
spec("StringConcat", "... * -> ...", since=20)


@rule("StringNormalizer", since=10)
def string_normalizer(node: Node) -> Answer:
    """Elementwise as long as no words are dropped."""
    if node.op.attributes.get("stopwords"):
        return barrier("StringNormalizer drops words: where one goes depends on all before it")
    return "... -> ..."


@rule("StringSplit", since=20)
def string_split(node: Node) -> Answer:
    """Rows are filled up to the longest."""
    return barrier("StringSplit makes every row as long as the longest of all")


@rule("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(node: Node) -> Answer:
    """Counts sequences of words; rows of a matrix are texts of their own."""
    return "n c! -> n w!" if len(node.shape(0)) == 2 else "c! -> w!"
