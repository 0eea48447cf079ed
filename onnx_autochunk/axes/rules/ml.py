"""Operators of classical machine learning, `ai.onnx.ml`: rows of features are independent.

    TreeEnsembleRegressor: n f! -> n t!

Source: https://onnx.ai/onnx/operators/index.html#ai-onnx-ml
"""

from __future__ import annotations

from functools import partial

from onnx_autochunk.axes.registry import Answer, Node, rule, spec
from onnx_autochunk.axes.rules.contrib import refuse
from onnx_autochunk.axes.rules.words import names, term

_DOMAIN = "ai.onnx.ml"
_spec, _rule = partial(spec, domain=_DOMAIN), partial(rule, domain=_DOMAIN)

_spec("Binarizer CategoryMapper LabelEncoder", "... -> ...")
_spec("Normalizer", "... c! -> ... c")
_spec("OneHotEncoder", "... -> ... k!")
refuse("CastMap DictVectorizer ZipMap", "works on maps, which have no axes", _DOMAIN)


@_rule("Imputer Scaler")
def by_feature(node: Node) -> Answer:
    """One number for all features, or one a feature, in an attribute."""
    given = ("scale", "offset", "imputed_value_floats", "imputed_value_int64s")
    counts = [len(found) for name in given if isinstance(found := node.op.attributes.get(name), list | tuple)]
    return "... -> ..." if set(counts) <= {1} else "... f! -> ... f"


@_rule("LinearRegressor SVMRegressor TreeEnsemble TreeEnsembleRegressor")
def regressor(node: Node) -> Answer:
    """One or more numbers a row; a single row may lack its axis."""
    return "n f! -> n t!" if len(node.shape(0)) == 2 else "f! -> 1 t!"


@_rule("LinearClassifier SVMClassifier TreeEnsembleClassifier")
def classifier(node: Node) -> Answer:
    """A label and scores a row."""
    return "n f! -> n, n e!" if len(node.shape(0)) == 2 else "f! -> 1, 1 e!"


@_rule("ArrayFeatureExtractor")
def features(node: Node) -> Answer:
    """Elements of the last axis, at places in a row; a vector becomes a matrix of one row."""
    picked = term([*["1"] * (len(node.shape(1)) - 1), "k"])
    return f"f!, {picked} -> 1 k" if len(node.shape(0)) == 1 else f"... f!, {picked} -> ... k"


@_rule("FeatureVectorizer")
def joined(node: Node) -> Answer:
    """Columns of all operands, one after the other; a vector is one row."""
    terms = [
        ("n" if len(shape or ()) == 2 else "", f"{word}!")
        for shape, word in zip(node.operands, names(99, "f"), strict=False)
    ]
    return f"{', '.join(term(filter(None, pair)) for pair in terms)} -> n k!"
