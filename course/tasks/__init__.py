"""The questions that models are asked: what is to be guessed, from what, and how it is judged.

Each task has one way to be judged on the log (``offline``) and one in front of people (``live``).
"""
