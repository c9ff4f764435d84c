"""What every widget shares: one picture, a line for progress, a place for errors.

There is no Output widget here: those stack pictures, and the tools that run notebooks without a
browser can wait for them forever.
"""

from __future__ import annotations

import html
import traceback
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import Javascript, display

from course.plots import style
from course.widgets.controls import WidgetError

# The handles of ipywidgets' sliders have no name, and one over options says its place only. This
# gives each the words before it and the value behind it, and pictures their words.
_SPOKEN = """
(function look(times) {
  document.querySelectorAll(".widget-slider, .widget-hslider").forEach((slider) => {
    const part = (name) => slider.querySelector(name);
    const handle = part(".noUi-handle"), value = part(".widget-readout");
    if (!handle || !value || handle.hasAttribute("aria-label")) return;
    const say = () => handle.setAttribute("aria-valuetext", value.textContent);
    handle.setAttribute("aria-label", part(".widget-label").textContent);
    new MutationObserver(say).observe(value, {childList: true, characterData: true, subtree: true});
    say();
  });
  document.querySelectorAll(".widget-vbox > img, .widget-image img").forEach((image) => {
    const words = () => image.closest(".widget-vbox").querySelector(".course-alt");
    const say = () => { image.alt = words()?.textContent ?? ""; };
    if (!image.hasAttribute("alt")) image.addEventListener("load", say);
    say();
  });
  if (times) setTimeout(look, 500, times - 1);
})(20);
"""


class Stage:
    """One picture, a line for progress and a place for errors; the picture is never stacked."""

    def __init__(self) -> None:
        self.status = ipywidgets.HTML(layout={"min_height": "1.6em"})
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self.text = ipywidgets.HTML()
        self.trouble = ipywidgets.HTML()
        self.parts = [self.status, self.picture, self.text, self.trouble]
        self.error: Exception | None = None

    def say(self, text: str) -> None:
        """Show a word about the work; an empty text takes it away."""
        self.status.value = f"<span style='opacity:.75'>{html.escape(text)}</span>" if text else ""

    def clear(self) -> None:
        """Take away picture, text and error."""
        self.picture.value, self.picture.layout.display = b"", "none"
        self.text.value = self.trouble.value = ""
        self.error = None
        self.say("")

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Show how far a function is; functions get this as their argument ``progress``."""
        share = "" if total is None else f"{100 * done / max(total, 1e-12):.0f} %"
        amount = f"{done:g}" if total is None else share
        self.say(f"working… {amount} {text}".rstrip())

    def draw(self, make: Callable[[], Any]) -> None:
        """Show what ``make`` returns: a figure, or a figure and HTML text under it."""
        self.say("working…")
        try:
            made = make()
            figure, text = made if isinstance(made, tuple) else (made, "")
            if not hasattr(figure, "savefig"):
                raise WidgetError(
                    f"the figure function returned {type(figure).__name__}",
                    allowed="a matplotlib Figure, or a pair (Figure, HTML text)",
                )
            picture = style.png(figure)
        except Exception as error:
            self.report(error)
            raise
        self.error = None
        self.trouble.value = ""
        # The stored picture has more pixels than it is shown with: sharp on fine screens.
        width = round(figure.get_size_inches()[0] * style.SCREEN_DPI)
        self.picture.layout.width, self.picture.layout.display = f"{width}px", None
        words = figure.describe() if isinstance(figure, style.Figure) else "Figure"
        # An Image has no place for words; `_SPOKEN` gives it these when it has loaded.
        self.text.value = f"{text}<span class='course-alt' hidden>{html.escape(words)}</span>"
        self.picture.value = picture
        self.say("")

    def report(self, error: Exception) -> None:
        """Show an error under the picture, in words and with the place where it happened."""
        self.error = error
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        place = f" (in <code>{html.escape(frames[-1].name)}</code>)" if frames else ""
        self.say("")
        self.trouble.value = (
            "<div role='alert' class='course-error' style='border-left:4px solid #b3261e;"
            "padding:.4em .8em;background:#fdecea;color:#8c1d18'>"
            f"<b>{type(error).__name__}</b>{place}: {html.escape(str(error))}<br>"
            "The picture above is from before this error.</div>"
        )


class Shown:
    """An object that shows its ``.widget`` when it is the last expression of a cell."""

    widget: ipywidgets.Widget

    def _ipython_display_(self) -> None:
        display(self.widget)
        display(Javascript(_SPOKEN))


class Staged(Shown):
    """A widget with one `Stage`, whose picture and error can be looked at."""

    _stage: Stage

    @property
    def picture(self) -> ipywidgets.Image:
        """The one picture; its value is empty as long as there is none."""
        return self._stage.picture

    @property
    def png(self) -> bytes:
        """The PNG bytes of the picture; empty when there is none."""
        return bytes(self.picture.value)

    @property
    def error_html(self) -> str:
        """The text of an error under the picture; empty when all went well."""
        return self._stage.trouble.value
