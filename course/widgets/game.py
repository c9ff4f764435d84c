"""You are the recommender: the reader picks a page for a viewer, then the truth is opened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets

from course.pages import Card, card_html
from course.widgets.controls import WidgetError
from course.widgets.stage import Stage, Staged


@dataclass(frozen=True)
class Deal:
    """One round of the game.

    Parameters
    ----------
    viewer_html : str
        What the reader is told about the viewer, as HTML.
    cards : sequence of Card
        The videos to pick from.
    secret : object
        Anything that the score needs and the reader must not see; the game never looks at it.
    """

    viewer_html: str
    cards: Sequence[Card]
    secret: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        ids = [card.video_id for card in self.cards]
        if len(set(ids)) < len(ids):
            raise WidgetError(f"the cards have the video ids {ids}", allowed="each id once")


class RecommenderGame(Staged):
    """Pick ``picks`` of the cards, press Recommend, see where you stand; then another viewer.

    Parameters
    ----------
    deal : ``deal(round)`` returns the `Deal` of a round, counted from 0
    score : ``score(deal, picks, history)`` gets the picked video ids in the order of picking, and
        the finished rounds, a list of ``(deal, picks)``; returns a figure and HTML text
    picks : how many cards make a page
    truth : ``truth(deal)`` returns what is written on each card when a round is over, a dict of
        video id -> words; None writes nothing

    Attributes
    ----------
    deal_of : callable
        ``deal``, as given.
    widget : ipywidgets.VBox
    picked : list of int, the video ids picked so far, in order
    history : list of (Deal, tuple of int), the finished rounds

    Raises
    ------
    WidgetError
        If there are fewer cards than picks.
    """

    def __init__(
        self,
        deal: Callable[[int], Deal],
        score: Callable[..., Any],
        *,
        picks: int = 4,
        truth: Callable[[Deal], dict[int, str]] | None = None,
    ) -> None:
        if picks < 1:
            raise WidgetError(f"picks is {picks}", allowed="1 or more")
        self.deal_of, self._score, self.picks = deal, score, int(picks)
        self._truth = truth
        self.history: list[tuple[Deal, tuple[int, ...]]] = []
        self.round = 0
        self._stage = Stage()
        self._viewer = ipywidgets.HTML()
        self._grid = ipywidgets.GridBox(
            layout={
                "grid_template_columns": "repeat(auto-fill, minmax(190px, 1fr))",
                "grid_gap": "12px",
                "width": "100%",
            }
        )
        self._note = ipywidgets.HTML()
        wide = {"width": "auto", "min_width": "150px"}
        self.recommend_button = ipywidgets.Button(
            description="Recommend", button_style="primary", icon="play", layout=wide
        )
        self.another_button = ipywidgets.Button(
            description="Another viewer", icon="refresh", layout=wide
        )
        self.recommend_button.on_click(self._finish)
        self.another_button.on_click(self._next)
        buttons = ipywidgets.HBox(
            [self.recommend_button, self.another_button, self._note],
            layout={"flex_flow": "row wrap", "align_items": "center", "margin": "12px 0 0 0"},
        )
        self.widget = ipywidgets.VBox([self._viewer, self._grid, buttons, *self._stage.parts])
        self._start()

    def _next(self, button: ipywidgets.Button) -> None:
        # A viewer may be skipped; only finished rounds enter the history.
        self.round += 1
        try:
            self._start()
        except Exception as error:  # a button has nobody to raise to
            self._stage.report(error)

    def _start(self) -> None:
        deal = self.deal_of(self.round)
        if len(deal.cards) < self.picks:
            raise WidgetError(
                f"round {self.round} deals {len(deal.cards)} cards for {self.picks} picks",
                allowed="at least as many cards as picks",
            )
        self.deal, self.picked, self.done = deal, [], False
        self._viewer.value = deal.viewer_html
        self._buttons = {card.video_id: self._button(card) for card in deal.cards}
        self._told = {card.video_id: ipywidgets.HTML() for card in deal.cards}
        self._grid.children = [
            ipywidgets.VBox(
                [
                    ipywidgets.HTML(card_html(card), layout={"width": "100%"}),
                    self._told[card.video_id],
                    self._buttons[card.video_id],
                ],
                layout={"justify_content": "space-between", "overflow": "hidden"},
            )
            for card in deal.cards
        ]
        self._stage.clear()
        self._refresh()

    def _button(self, card: Card) -> ipywidgets.ToggleButton:
        button = ipywidgets.ToggleButton(
            description="Pick", tooltip=f"Pick: {card.title}", layout={"width": "100%"}
        )
        button.observe(lambda change: self._on_pick(card.video_id, change["new"]), names="value")
        return button

    def _on_pick(self, video_id: int, on: bool) -> None:
        if on and video_id not in self.picked:
            self.picked.append(video_id)
        elif not on and video_id in self.picked:
            self.picked.remove(video_id)
        self._refresh()

    def _refresh(self) -> None:
        full = len(self.picked) == self.picks
        for video_id, button in self._buttons.items():
            chosen = video_id in self.picked
            button.disabled = self.done or (full and not chosen)
            button.button_style = "success" if chosen else ""
            place = self.picked.index(video_id) + 1 if chosen else 0
            button.description = f"✓ place {place}" if chosen else "Pick"
        self.recommend_button.disabled = self.done or not full
        if self.done:
            self._note.value = f"Round {self.round + 1} is over."
        elif full:
            self._note.value = "Your page is full: press Recommend, or take a pick back."
        else:
            self._note.value = f"{len(self.picked)} of {self.picks} picked."

    def _finish(self, button: ipywidgets.Button) -> None:
        if button.disabled:
            return
        picks = tuple(self.picked)
        with contextlib.suppress(Exception):  # the stage shows it under the picture
            self._stage.draw(lambda: self._score(self.deal, picks, list(self.history)))
            self.history.append((self.deal, picks))
            self.done = True
            for video_id, words in (self._truth(self.deal) if self._truth else {}).items():
                self._told[video_id].value = f"<b>{words}</b>"
        self._refresh()
