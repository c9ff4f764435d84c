"""What a model may know of a moment: vocabularies, bags of what came before, counts.

Every function here answers one question: what was known just before a given moment? The same
question is put to a stored log (to train) and to a live page request (to serve), and the answers
agree. Nothing here knows a model.
"""

from course.features.history import BAG_LENGTH, DailySums, History, history_bags, search_bags
from course.features.ranking import RankingFeatures, RankingInputs
from course.features.taxonomy import NEVER, RANKING_FEATURES, Feature
from course.features.vocabulary import NONE, Vocabulary

__all__ = [
    "BAG_LENGTH",
    "NEVER",
    "NONE",
    "RANKING_FEATURES",
    "DailySums",
    "Feature",
    "History",
    "RankingFeatures",
    "RankingInputs",
    "Vocabulary",
    "history_bags",
    "search_bags",
]
