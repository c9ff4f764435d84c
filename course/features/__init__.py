"""What a model may know of a moment: vocabularies, bags of what came before, counts.

Every function here answers one question: what was known just before a given moment? The same
question is put to a stored log (to train) and to a live page request (to serve), and the answers
agree. Nothing here knows a model.
"""

from course.features.history import BAG_LENGTH, history_bags
from course.features.ranking import RankingFeatures
from course.features.taxonomy import RANKING_FEATURES

__all__ = ["BAG_LENGTH", "RANKING_FEATURES", "RankingFeatures", "history_bags"]
