"""The simulated YouTube: people, videos, organic days, the feed, live experiments.

It takes any policy as a callable and knows no model. ``course.world`` puts it together with the
tables that a platform would see.
"""
