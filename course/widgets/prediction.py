"""Predict first: a question asked before the result, and the answer shown again beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import ipywidgets
from IPython.display import display

from course.widgets.controls import WidgetError
from course.widgets.stage import Shown

#: What readers chose in `predict`, by key, so that running the cell again keeps the choice.
PREDICTIONS: dict[str, str] = {}


class Note:
    """A short text that is shown as HTML, and as plain words where there is no HTML."""

    def __init__(self, markup: str, plain: str) -> None:
        self._markup, self._plain = markup, plain

    def _repr_html_(self) -> str:
        return self._markup

    def __repr__(self) -> str:
        return self._plain


class Prediction(Shown):
    """A question asked before the result; made by `predict`.

    Attributes
    ----------
    choice : str or None
        What the reader chose; None as long as nothing was chosen.
    """

    def __init__(self, key: str, question: str, options: Sequence[str]) -> None:
        options = list(options)
        if len(options) < 2 or len(set(options)) < len(options):
            raise WidgetError(f"options are {options}", allowed="two or more different answers")
        self.key, self.question, self.options = key, question, options
        kept = PREDICTIONS.get(key)
        self._choice = kept if kept in options else None
        self._result = self._place = None
        # Buttons, not radio buttons: JupyterLab takes their arrow keys for moving between cells.
        narrow = {"width": "auto", "max_width": "100%"}
        self._buttons = {option: ipywidgets.Button(layout=narrow) for option in options}
        for option, button in self._buttons.items():
            button.on_click(lambda _, option=option: self.choose(option))
        self._kept = ipywidgets.HTML()
        heading = ipywidgets.HTML(f"<b>Predict first.</b> {question}")
        answers = ipywidgets.VBox(
            list(self._buttons.values()), layout={"align_items": "flex-start"}
        )
        self.widget = ipywidgets.VBox([heading, answers, self._kept])
        self._refresh()

    @property
    def choice(self) -> str | None:
        """What the reader chose, or None."""
        return self._choice

    def choose(self, option: str) -> None:
        """Choose as a reader would.

        Raises
        ------
        WidgetError
            If there is no such option.
        """
        if option not in self.options:
            raise WidgetError(f"the choice is {option!r}", allowed=", ".join(self.options))
        self._choice = PREDICTIONS[self.key] = option
        self._refresh()
        if self._place is not None:  # what came out stands further down already, folded
            self._place.update(self.note(self._result))

    def beside(self, result: str) -> None:
        """Show what came out beside what the reader expected; folded until something was chosen.

        Parameters
        ----------
        result : str
            What came out, in a sentence. HTML is allowed.
        """
        self._result = result
        self._place = display(self.note(result), display_id=True)

    def note(self, result: str) -> Note:
        """What `beside` shows."""
        rows = [("It came out", result)]
        if self.choice is not None:
            rows.insert(0, ("You expected", html.escape(self.choice)))
        left = "style='text-align:left'"
        markup = "".join(
            f"<tr><td {left}><b>{name}</b></td><td {left}>{said}</td></tr>" for name, said in rows
        )
        plain = "\n".join(f"{name}: {re.sub('<[^>]+>', '', said)}" for name, said in rows)
        table = f"<table style='font-size:1em'>{markup}</table>"
        summary = "Choose an answer above; then see here what came out"
        fold = f"<details class='course-answer'><summary>{summary}</summary>{table}</details>"
        return Note(fold if self.choice is None else table, plain)

    def _refresh(self) -> None:
        for option, button in self._buttons.items():
            chosen = option == self._choice
            button.description = f"{'●' if chosen else '○'} {option}"
            button.button_style = "info" if chosen else ""
        if self._choice is None:
            self._kept.value = "<i>Choose one, then read on.</i>"
        else:
            self._kept.value = "<i>Kept. You will see it again beside the result.</i>"


def predict(key: str, question: str, options: Sequence[str]) -> Prediction:
    """Ask the reader for an expectation before the result is shown.

    Parameters
    ----------
    key : str
        Under which the choice is kept in `PREDICTIONS`, such as ``"01-position"``.
    question : str
        HTML is allowed.
    options : sequence of str
        Two or more answers.

    Returns
    -------
    Prediction
        Shows itself as the last expression of a cell; ``.beside(result)`` shows the choice again.
    """
    return Prediction(key, question, options)
