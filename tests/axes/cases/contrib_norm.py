"""Calls of the family of fused normalisations and embeddings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tests.axes.build import MICROSOFT, case, ints
from tests.axes.oracle import Case

call = partial(case, domain=MICROSOFT)
IDS, POSITIONS = ints((3, 5), 9, np.int32), ints((1, 5), 7, np.int32, low=1)
TABLES = ((9, 4), (7, 4))


def rigid(made: Case) -> Case:
    """ORT infers the operator's shapes from the declared ones, and fails without."""
    return replace(made, rigid=True)


def quantised_embedding(positions: int) -> Case:
    """All tables have a scale and a zero point."""
    tables = [ints((rows, 4), 99, np.uint8) for rows in (9, positions, 3)]
    vectors = [ints((4,), 99, np.uint8)] * 2
    scales, points = [np.float32(0.1)] * 5, [np.uint8(3)] * 5
    operands = (IDS, ints((3, 5), 3, np.int32), *tables, *vectors, None, *scales, *points)
    return rigid(call("QEmbedLayerNormalization", *operands, y="11"))


CASES = [
    call("SkipLayerNormalization", (2, 3, 5), (2, 3, 5), (5,), (5,), (5,)),
    call("SkipLayerNormalization", (4, 3, 5), (4, 3, 5), (5,), y="1001"),
    call("SkipLayerNormalization", (2, 3, 5), (3, 5), (5,), (5,)),
    call("SkipLayerNormalization", (2, 3, 5), (1, 3, 5), (5,), (5,)),
    call("SkipSimplifiedLayerNormalization", (2, 3, 5), (2, 3, 5), (5,)),
    call("SkipSimplifiedLayerNormalization", (4, 5), (4, 5), (5,), (5,), y="1001"),
    case("SimplifiedLayerNormalization", (2, 3, 5), (5,), y="11"),
    case("SimplifiedLayerNormalization", (4, 5), (5,), axis=-1),
    call("GroupNorm", (3, 4, 2, 6), (6,), (6,), groups=3),
    call("GroupNorm", (2, 6, 3, 4), (6,), (6,), groups=2, channels_last=0, activation=1),
    call("SkipGroupNorm", (2, 3, 2, 6), (6,), (6,), (2, 3, 2, 6), (6,), groups=3, y="11"),
    call("SkipGroupNorm", (2, 3, 2, 6), (6,), (6,), (2, 1, 1, 6), groups=2),
    call("SkipGroupNorm", (3, 4, 2, 5), (4,), (4,), (3, 4), groups=2, channels_last=0),
    call("GatedRMSNorm", (2, 3, 8), (4,), (2, 3, 8)),
    call("GatedRMSNorm", (5, 3), (3,), (5, 3), activation="sigmoid"),
    call("BranchwiseRMSNorm", (2, 5, 3, 4), (3, 4)),
    call("BranchwiseRMSNorm", (5, 12), (12,), num_branches=3),
    call("BranchwiseRMSNorm", (5, 2, 3), (6,)),
    call("BranchwiseRMSNorm", (2, 5, 12), (4,), num_branches=3),
    call("BranchwiseRMSNorm", (2, 3, 4)),
    call("HyperConnectionPreMix", (2, 5, 3, 4), (2, 5, 3)),
    call("HyperConnectionPreMix", (5, 3, 4), (5, 3, 4)),
    call("HyperConnectionPreMix", (5, 3, 4), (5, 3, 1), reduction_scale=0.5),
    call("HyperConnectionPreMix", (2, 5, 12), (2, 5, 3), num_branches=3),
    call("HyperConnectionPreMix", (5, 12), (5, 12), num_branches=3),
    call("HyperConnectionPostMix", (2, 5, 3, 4), (2, 5, 4), (2, 5, 3), (2, 5, 3, 3)),
    call("HyperConnectionPostMix", (2, 5, 3, 4), (2, 5, 4), (2, 5, 3, 1)),
    call("HyperConnectionPostMix", (5, 12), (5, 4), (5, 3, 4), num_branches=3),
    call("LinearAttentionGate", (2, 5, 3), (3,), (3,), (2, 5, 3), y="11"),
    call("LinearAttentionGate", (1, 4, 5), (5,), (5,)),
    call("EngramGate", (2, 5, 3, 4), (2, 5, 3, 4), (2, 5, 4), (3, 4), (3, 4), (3, 4), y="11"),
    call("EngramGate", (3, 4, 2, 5), (3, 4, 2, 5), (3, 4, 5), (2, 5), (2, 5)),
    rigid(call("EmbedLayerNormalization", IDS, None, *TABLES, None, (4,), (4,), y="10")),
    rigid(
        call(
            "EmbedLayerNormalization",
            IDS,
            ints((3, 5), 3, np.int32),
            (9, 4),
            (5, 4),
            (3, 4),
            (4,),
            (4,),
            y="101",
        )
    ),
    rigid(
        call(
            "EmbedLayerNormalization",
            IDS,
            None,
            *TABLES,
            None,
            (4,),
            (4,),
            ints((3, 5), 2, np.int32),
            POSITIONS,
            y="11",
            mask_index_type=1,
        )
    ),
    rigid(
        call(
            "EmbedLayerNormalization",
            IDS,
            None,
            *TABLES,
            None,
            (4,),
            (4,),
            None,
            ints((3, 5), 7, np.int32),
            y="10",
        )
    ),
    rigid(call("EmbedLayerNormalization", IDS, None, *TABLES, None, (4,), (4,), None, POSITIONS, y="10")),
    quantised_embedding(7),
    quantised_embedding(5),
]
