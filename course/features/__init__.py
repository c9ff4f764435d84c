"""What a model may know of a moment: vocabularies, bags of what came before, counts, quantiles.

Every function here answers one question: what was known just before a given moment? The same
question is put to a stored log (to train) and to a live page request (to serve), and the answers
agree. Nothing here knows a model. ``moments`` holds the inputs of the candidate generator,
``ranking`` those of the ranker.
"""

from course.features.history import (
    BAG_LENGTH,
    History,
    history_bags,
    search_bags,
)
from course.features.moments import (
    CONTEXT,
    DEMOGRAPHICS,
    WARM_UP_DAYS,
    Features,
    Inputs,
    context,
    demographics,
    example_age,
    examples,
    sizes,
)
from course.features.quantiles import Quantiles, powers
from course.features.ranking import RankingFeatures, RankingInputs
from course.features.statistics import DailySums
from course.features.taxonomy import NEVER, RANKING_FEATURES, Feature
from course.features.vocabulary import NONE, Vocabulary

__all__ = [
    "BAG_LENGTH",
    "CONTEXT",
    "DEMOGRAPHICS",
    "NEVER",
    "NONE",
    "RANKING_FEATURES",
    "WARM_UP_DAYS",
    "DailySums",
    "Feature",
    "Features",
    "History",
    "Inputs",
    "Quantiles",
    "RankingFeatures",
    "RankingInputs",
    "Vocabulary",
    "context",
    "demographics",
    "example_age",
    "examples",
    "history_bags",
    "powers",
    "search_bags",
    "sizes",
]
