"""Calls of the classical machine learning family."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from onnx import helper

from tests.axes.build import case, ints

call = partial(case, domain="ai.onnx.ml")
SPLITS: dict[str, Any] = {
    "nodes_treeids": [0] * 5,
    "nodes_nodeids": [0, 1, 2, 3, 4],
    "nodes_featureids": [0, 1, 0, 0, 0],
    "nodes_values": [0.5, 0.4, 0.0, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 3, 0, 0, 0],
    "nodes_falsenodeids": [2, 4, 0, 0, 0],
}
TARGETS: dict[str, Any] = {
    "target_treeids": [0] * 3,
    "target_nodeids": [2, 3, 4],
    "target_ids": [0, 1, 0],
    "target_weights": [1.0, 2.0, 3.0],
}
VOTES: dict[str, Any] = {
    "class_treeids": [0] * 3,
    "class_nodeids": [2, 3, 4],
    "class_ids": [0, 1, 2],
    "class_weights": [1.0, 2.0, 3.0],
    "classlabels_int64s": [5, 6, 7],
}
TREE: dict[str, Any] = {
    "tree_roots": [0],
    "n_targets": 2,
    "nodes_featureids": [0, 1],
    "nodes_modes": helper.make_tensor("modes", 2, [2], [0, 0]),
    "nodes_splits": helper.make_tensor("splits", 1, [2], [0.5, 0.4]),
    "nodes_truenodeids": [1, 0],
    "nodes_trueleafs": [0, 1],
    "nodes_falsenodeids": [1, 2],
    "nodes_falseleafs": [1, 1],
    "leaf_targetids": [0, 1, 0],
    "leaf_weights": helper.make_tensor("weights", 1, [3], [1.0, 2.0, 3.0]),
}
VECTORS: dict[str, Any] = {
    "coefficients": [0.1, 0.2, -0.3],
    "kernel_params": [0.5, 0.0, 3.0],
    "kernel_type": "RBF",
    "rho": [0.1],
    "support_vectors": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
}
HALVES = ints((4, 3), 2).astype(np.float32) / 2
LINES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]

CASES = [
    call("Binarizer", (4, 3), threshold=0.5),
    call("Binarizer", (2, 3, 5), threshold=0.4),
    call("CategoryMapper", ints((4, 3), 3), cats_int64s=[0, 1, 2], cats_strings=["a", "b", "c"]),
    call("CategoryMapper", ints((5,), 3), cats_int64s=[0, 1], cats_strings=["a", "b"], default_string="?"),
    call("LabelEncoder", ints((4, 3), 3), keys_int64s=[0, 1], values_int64s=[7, 8]),
    call("LabelEncoder", ints((5,), 3), keys_int64s=[0, 2], values_floats=[0.5, 0.7]),
    call("Normalizer", (4, 3), norm="L2"),
    call("Normalizer", (2, 5), norm="MAX"),
    call("OneHotEncoder", ints((4, 3), 3), cats_int64s=[0, 1, 2]),
    call("OneHotEncoder", ints((5,), 4), cats_int64s=[0, 1, 2], zeros=1),
    call("Scaler", (4, 3), scale=[1.0, 2.0, 3.0], offset=[0.1, 0.2, 0.3]),
    call("Scaler", (2, 5), scale=[2.0], offset=[0.1]),
    call("Imputer", HALVES, imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=0.5),
    call("Imputer", ints((2, 5), 3), imputed_value_int64s=[7], replaced_value_int64=1),
    call("ArrayFeatureExtractor", (4, 5), ints((3,), 5)),
    call("ArrayFeatureExtractor", (2, 3, 5), ints((1, 2), 5)),
    call("ArrayFeatureExtractor", (5,), ints((3,), 5)),
    call("FeatureVectorizer", (4, 2), (4, 3), inputdimensions=[2, 3]),
    call("FeatureVectorizer", (5, 3), inputdimensions=[3]),
    call("LinearRegressor", (4, 3), coefficients=LINES, intercepts=[0.1, 0.2], targets=2),
    call("LinearRegressor", (5, 6), coefficients=LINES),
    call(
        "LinearClassifier", (4, 3), coefficients=LINES, intercepts=[0.1, 0.2], classlabels_ints=[3, 4], y="11"
    ),
    call(
        "LinearClassifier",
        (5, 2),
        coefficients=LINES,
        classlabels_ints=[3, 4, 5],
        y="11",
        post_transform="SOFTMAX",
    ),
    call("SVMRegressor", (4, 3), n_supports=3, **VECTORS),
    call("SVMRegressor", (5, 3), n_supports=3, one_class=1, **VECTORS),
    call("SVMClassifier", (4, 3), vectors_per_class=[2, 1], classlabels_ints=[3, 4], y="11", **VECTORS),
    call("SVMClassifier", (5, 3), vectors_per_class=[1, 2], classlabels_ints=[3, 4], y="10", **VECTORS),
    call("TreeEnsembleRegressor", (4, 2), n_targets=2, **SPLITS, **TARGETS),
    call("TreeEnsembleRegressor", (5, 3), n_targets=2, aggregate_function="MAX", **SPLITS, **TARGETS),
    call("TreeEnsembleClassifier", (4, 2), y="11", **SPLITS, **VOTES),
    call("TreeEnsembleClassifier", (5, 3), y="11", post_transform="LOGISTIC", **SPLITS, **VOTES),
    call("TreeEnsemble", (4, 2), **TREE),
    call("TreeEnsemble", (5, 3), post_transform=2, **TREE),
]
