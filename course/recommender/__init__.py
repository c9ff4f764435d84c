"""The whole system: several candidate sources, one pool, a ranker, one page.

    system = Recommender([TopicMatch(logs), CoWatch(logs), ...], features, score, logs)
    ab_test(world, {"popular": ..., "system": system}, candidates="catalogue")

``sources`` nominate, ``pool`` joins what they found, ``pipeline`` ranks and shows.
"""

from course.recommender.pipeline import Recommender
from course.recommender.pool import Pool, pooled
from course.recommender.sources import ContextAware, CoWatch, SequenceModel, Source, TopicMatch

__all__ = [
    "CoWatch",
    "ContextAware",
    "Pool",
    "Recommender",
    "SequenceModel",
    "Source",
    "TopicMatch",
    "pooled",
]
