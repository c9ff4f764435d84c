"""One look for every figure of the course.

The same colour always means the same method; the floor (random) and the ceiling (an oracle that
knows the true preferences) are always dashed.

`figure` makes figures without pyplot, so drawing never changes hidden global state and plots
never pile up in memory. Such a figure shows itself when it is the last expression of a cell.
"""

from __future__ import annotations

import base64
import functools
import html
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.text import Text

from course.plots.palette import OTHER_COLOURS, colour

#: Width of a full-width figure, in inches. At `SCREEN_DPI` this is 880 pixels.
WIDTH = 8.8
#: Pixels per inch at which a notebook shows a figure, and at which it is stored.
SCREEN_DPI = 100
STORED_DPI = 120

INK = "#1f2933"
MUTED = "#5b6673"
GRID = "#dfe4ea"

STYLE: dict[str, Any] = {
    "figure.facecolor": "white",
    "figure.edgecolor": "white",
    "figure.dpi": SCREEN_DPI,
    "figure.figsize": (WIDTH, 4.2),
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "auto",
    "savefig.dpi": STORED_DPI,
    "axes.facecolor": "white",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 12,
    "axes.linewidth": 0.9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=OTHER_COLOURS),
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 6,
    "image.cmap": "cividis",
}

F = TypeVar("F", bound=Callable[..., Any])


class Figure(MatplotlibFigure):
    """A matplotlib figure that shows itself in a notebook, with words for those who cannot see it.

    ``alt`` are the words, stored next to the picture. Without it the titles of the panels are used.
    """

    def __init__(self, *args: Any, alt: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alt = alt

    def describe(self) -> str:
        """The words stored beside the picture: ``alt``, or the titles of the panels."""
        if self.alt:
            return self.alt
        titles = [ax.get_title(loc) for ax in self.axes for loc in ("left", "center", "right")]
        if self.get_suptitle():
            titles.insert(0, self.get_suptitle())
        return "Figure: " + ("; ".join(title for title in titles if title) or "untitled")

    def __repr__(self) -> str:
        return self.describe()

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        # IPython asks for this before any printer that an inline backend may have registered, so
        # the picture looks the same whether or not somebody imported pyplot.
        return _bundle(self, self.describe())


@contextmanager
def drawing() -> Iterator[None]:
    """Inside, matplotlib has the look of the course, whatever the reader has set; then as before.

    The look is matplotlib's own defaults and `STYLE`, so no line of a reader's matplotlibrc is
    left in a picture. For a chapter that draws with seaborn or pandas.
    """
    if all(dict.get(mpl.rcParams, name) == value for name, value in _settings().items()):
        yield  # already inside; setting three hundred values takes some milliseconds
        return
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@functools.cache
def _settings() -> dict[str, Any]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        return {name: value for name, value in dict.items(mpl.rcParams) if name != "backend"}


def styled(draw: F) -> F:
    """Decorate a function that draws, so that it draws in the look of the course.

    The global settings are as before when it returns.
    """

    @functools.wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with drawing():
            return draw(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


@styled
def figure(
    ncols: int = 1,
    nrows: int = 1,
    *,
    width: float = WIDTH,
    height: float | None = None,
    title: str = "",
    alt: str = "",
    **subplots: Any,
) -> tuple[Figure, Any]:
    """Make a figure and its axes, without pyplot.

    Decorate the function that goes on to draw with `styled`, since matplotlib reads part of the
    look only when a line or a title is drawn.

    Parameters
    ----------
    ncols, nrows : number of panels across and down
    width, height : inches; without ``height`` 3.6 a row, 4.2 for a single panel
    title : over all panels
    alt : what the figure shows, in words (see `Figure`)
    **subplots : passed to `matplotlib.figure.Figure.subplots`, for instance ``sharey=True``

    Returns
    -------
    fig : Figure
    axes : Axes for a single panel, else an array of them, (ncols,), (nrows,) or (nrows, ncols)
    """
    if height is None:
        height = 4.2 if nrows == ncols == 1 else 3.6 * nrows
    fig = Figure(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained", alt=alt)
    axes = fig.subplots(nrows, ncols, **subplots)
    if title:
        fig.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold")
    return fig, axes


def adopt(fig: MatplotlibFigure, alt: str) -> Figure:
    """Make a figure that another library drew (seaborn's grids) show itself as ours do.

    It is taken off pyplot's hands, so that it is not shown twice; ``alt`` is what it shows.
    """
    from matplotlib import pyplot

    pyplot.close(fig)
    fig.__class__ = Figure
    fig.alt = alt
    return fig


def png(fig: MatplotlibFigure) -> bytes:
    """The figure as PNG bytes, the same for the same figure: neither date nor version is in it."""
    buffer = io.BytesIO()
    for text in fig.findobj(Text):  # written outside `drawing`, under a reader's settings
        text.set_usetex(False)
    # After saving, matplotlib gives a figure without layout engine the one of the settings.
    with drawing(), mpl.rc_context({"figure.constrained_layout.use": False}):
        fig.savefig(buffer, format="png", dpi=STORED_DPI, metadata={"Software": None})
    return buffer.getvalue()


def show(fig: MatplotlibFigure) -> None:
    """Show a figure from anywhere in a cell; as its last expression a figure shows itself."""
    from IPython.display import display

    text = fig.describe() if isinstance(fig, Figure) else "Figure"
    data, metadata = _bundle(fig, text)
    display(data, metadata=metadata, raw=True)


def _bundle(fig: MatplotlibFigure, words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Picture and words as a notebook stores them; a screen reader speaks ``alt``."""
    width, height = (round(side * SCREEN_DPI) for side in fig.get_size_inches())
    about = {"width": width, "height": height, "alt": words}
    picture = png(fig)
    # JupyterLab leaves the words of a PNG out, so while a reader works the same picture comes as
    # HTML, too. It is not stored with the chapters.
    shown = (
        f'<img src="data:image/png;base64,{base64.b64encode(picture).decode()}" '
        f'alt="{html.escape(words)}" width="{width}" height="{height}">'
    )
    return {"text/html": shown, "image/png": picture, "text/plain": words}, {"image/png": about}


def floor_and_ceiling(
    ax: Axes,
    floor: float | None,
    ceiling: float | None,
    *,
    labels: tuple[str, str] = ("random", "oracle"),
) -> None:
    """Draw the two dashed lines between which every method lives, with words at both.

    Floor and ceiling are values on the x axis; None leaves that line out.
    """
    for value, label, name in ((floor, labels[0], "random"), (ceiling, labels[1], "oracle")):
        if value is None:
            continue
        line = {"color": colour(name), "linestyle": (0, (5, 3)), "linewidth": 1.4, "zorder": 1.5}
        text = {"color": colour(name) if name == "oracle" else MUTED, "fontsize": 10.5}
        ax.axvline(value, **line)
        ax.annotate(
            label, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", **text,
        )  # fmt: skip
    # Room so that neither line lies on the frame, whatever is drawn in between.
    values = [value for value in (floor, ceiling) if value is not None]
    if not values:
        return
    low, high = ax.get_xlim()
    rim = 0.08 * (max(*values, high) - min(*values, low))
    ax.set_xlim(min(low, min(values) - rim), max(high, max(values) + rim))
