"""Sliders, "predict first" and "you are the recommender": thin shells over pure functions.

A widget here draws nothing itself. It hands the values of its controls to a function that
returns a figure, and shows the picture in one place that is updated, never stacked. It acts when
a control is released. What goes wrong is shown under the picture and stays there.

All controls are buttons, check boxes and sliders, so every one can be reached with Tab and used
with Space or the arrow keys (in Notebook 7: PageUp and PageDown for sliders).
Works with ipywidgets 8 (JupyterLab) and 7.7 (Colab).
"""

from course.pages.cards import Card
from course.widgets.controls import Choice, FloatSlider, IntSlider, Toggle, WidgetError, corners
from course.widgets.game import Deal, RecommenderGame
from course.widgets.prediction import PREDICTIONS, Note, Prediction, predict
from course.widgets.sliders import Sliders, sliders

__all__ = [
    "PREDICTIONS",
    "Card",
    "Choice",
    "Deal",
    "FloatSlider",
    "IntSlider",
    "Note",
    "Prediction",
    "RecommenderGame",
    "Sliders",
    "Toggle",
    "WidgetError",
    "corners",
    "predict",
    "sliders",
]
