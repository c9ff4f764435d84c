"""The whole system: several candidate sources, one pool, a ranker, one page.

    system = Recommender([TopicMatch(logs), CoWatch(logs), ...], features, score, logs)
    ab_test(world, {"popular": ..., "system": system}, candidates="catalogue")

``sources`` nominate, ``pool`` joins what they found, ``pipeline`` ranks and shows; ``multitask``
is the ranker of several tasks, ``rerank`` chooses a page as a whole.
"""

from course.recommender.multitask import FinalRanker, MultitaskRecommender
from course.recommender.pipeline import Recommender
from course.recommender.pool import Pool, pooled
from course.recommender.rerank import diversified
from course.recommender.sources import ContextAware, CoWatch, SequenceModel, Source, TopicMatch

__all__ = [
    "CoWatch",
    "ContextAware",
    "FinalRanker",
    "MultitaskRecommender",
    "Pool",
    "Recommender",
    "SequenceModel",
    "Source",
    "TopicMatch",
    "diversified",
    "pooled",
]
