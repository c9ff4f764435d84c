"""The controls of a widget, as small data classes that know their own corners.

They are plain data until a widget builds them, so tests can try every corner of every control
without a notebook.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from course.errors import CourseError

#: A choice of more options than this is a slider over them.
_MOST_BUTTONS = 6


class WidgetError(CourseError):
    """A control or a value of a control that cannot be used."""


@dataclass(frozen=True)
class FloatSlider:
    """A slider over real numbers.

    Parameters
    ----------
    low, high : float
        Both ends, both reachable.
    step : float
        Distance of two neighbouring places.
    start : float
    label : str
        Words before the slider; the name of the argument when empty.
    """

    low: float
    high: float
    step: float
    start: float
    label: str = ""

    def __post_init__(self) -> None:
        _check_ends(self)

    def corners(self) -> tuple[float, ...]:
        """Return the values that a test should try: both ends and the start."""
        return tuple(dict.fromkeys((self.low, self.start, self.high)))

    def places(self) -> list[float]:
        """Return every value that can be reached."""
        return _places(self)

    def clean(self, value: Any) -> float:
        """Return ``value`` as the function gets it, or raise WidgetError."""
        # Sliders count in floating point (0.1 + 0.2 = 0.30000000000000004).
        return float(f"{_inside(self, float(value)):.10g}")

    def build(self, label: str) -> ipywidgets.Widget:
        """Make the ipywidgets control."""
        digits = max(0, len(f"{self.step:.10f}".rstrip("0").split(".")[1]))
        return ipywidgets.FloatSlider(
            value=self.start, min=self.low, max=self.high, step=self.step,
            readout_format=f".{digits}f", **_common(label),
        )  # fmt: skip


@dataclass(frozen=True)
class IntSlider:
    """A slider over whole numbers: ``low``, ``high``, ``step``, ``start``, ``label``."""

    low: int
    high: int
    step: int
    start: int
    label: str = ""

    def __post_init__(self) -> None:
        _check_ends(self)

    def corners(self) -> tuple[int, ...]:
        """Return the values that a test should try: both ends and the start."""
        return tuple(dict.fromkeys((self.low, self.start, self.high)))

    def places(self) -> list[int]:
        """Return every value that can be reached."""
        return _places(self)

    def clean(self, value: Any) -> int:
        """Return ``value`` as the function gets it, or raise WidgetError."""
        if int(value) != value:
            raise WidgetError(f"the value is {value!r}", allowed="a whole number")
        return int(_inside(self, int(value)))

    def build(self, label: str) -> ipywidgets.Widget:
        """Make the ipywidgets control."""
        return ipywidgets.IntSlider(
            value=self.start, min=self.low, max=self.high, step=self.step, **_common(label)
        )


@dataclass(frozen=True)
class Choice:
    """A row of buttons of which one is pressed (with many options, a slider over them).

    Parameters
    ----------
    options : sequence of str
    start : str, optional
        The first option when left out.
    label : str
    """

    options: Sequence[Any]
    start: Any = None
    label: str = ""

    def __post_init__(self) -> None:
        if not self.options:
            raise WidgetError("a Choice has no options", allowed="at least one option")
        if self.start is None:
            object.__setattr__(self, "start", self.options[0])
        self.clean(self.start)

    def corners(self) -> tuple[Any, ...]:
        """Return every option: a test should try them all."""
        return tuple(self.options)

    places = corners

    def clean(self, value: Any) -> Any:
        """Return ``value`` as the function gets it, or raise WidgetError."""
        if value not in self.options:
            allowed = ", ".join(repr(option) for option in self.options)
            raise WidgetError(f"the value is {value!r}", allowed=allowed)
        return value

    def build(self, label: str) -> ipywidgets.Widget:
        """Make the ipywidgets control."""
        options = [(str(option), option) for option in self.options]
        settings = {"options": options, "value": self.start, **_common(label)}
        # Not a drop-down list: JupyterLab takes its arrow keys for moving between cells.
        if len(options) > _MOST_BUTTONS:
            return ipywidgets.SelectionSlider(**settings)
        settings.pop("continuous_update")
        settings["layout"] = {"width": "auto"}
        settings["style"] = {"description_width": "initial", "button_width": "auto"}
        return ipywidgets.ToggleButtons(**settings)


@dataclass(frozen=True)
class Toggle:
    """A switch: ``start`` (True or False) and ``label``."""

    start: bool = False
    label: str = ""

    def corners(self) -> tuple[bool, bool]:
        """Return both positions."""
        return (False, True)

    places = corners

    def clean(self, value: Any) -> bool:
        """Return ``value`` as the function gets it, or raise WidgetError."""
        if value not in (False, True):
            raise WidgetError(f"the value is {value!r}", allowed="True or False")
        return bool(value)

    def build(self, label: str) -> ipywidgets.Widget:
        """Make the ipywidgets control."""
        return ipywidgets.Checkbox(
            value=self.start, description=label, indent=False, layout={"width": "auto"}
        )


def corners(controls: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the corner values of some controls.

    Parameters
    ----------
    controls : mapping of name to control
        As given to `sliders`; tuples are understood.

    Yields
    ------
    dict
        Keyword arguments for the figure function.
    """
    made = {name: as_control(name, control) for name, control in controls.items()}
    for values in itertools.product(*(control.corners() for control in made.values())):
        yield dict(zip(made, values, strict=True))


def _common(label: str) -> dict[str, Any]:
    # A description as wide as its text, and a slider that takes the rest of the line.
    return {
        "description": label,
        "continuous_update": False,
        "style": {"description_width": "initial"},
        "layout": {"width": "min(100%, 460px)"},
    }


def _check_ends(control: Any) -> None:
    if not control.low < control.high:
        raise WidgetError(f"low is {control.low} and high is {control.high}", allowed="low < high")
    if not control.step > 0:
        raise WidgetError(f"step is {control.step}", allowed="a number above 0")
    _inside(control, control.start)


def _places(control: Any) -> list[Any]:
    steps = int((control.high - control.low) / control.step + 1e-9)
    reached = (control.clean(control.low + i * control.step) for i in range(steps + 1))
    return sorted({*reached, control.start})


def _inside(control: Any, value: float) -> float:
    slack = 1e-9 * (control.high - control.low)
    if not control.low - slack <= value <= control.high + slack:
        raise WidgetError(f"the value is {value}", allowed=f"{control.low} to {control.high}")
    return min(max(value, control.low), control.high)


def as_control(name: str, given: Any) -> Any:
    """Return the control that a short form stands for.

    Parameters
    ----------
    name : str
        The argument it is for; used in the error message.
    given : control, tuple, list or bool
        ``(low, high, step, start)``, a list of options, or a switch's start.

    Returns
    -------
    FloatSlider, IntSlider, Choice or Toggle

    Raises
    ------
    WidgetError
        If it is none of these.
    """
    if isinstance(given, FloatSlider | IntSlider | Choice | Toggle):
        return given
    if isinstance(given, bool):
        return Toggle(given)
    if isinstance(given, tuple) and len(given) == 4:
        if all(isinstance(part, int) for part in given):
            return IntSlider(*given)
        if all(isinstance(part, int | float) for part in given):
            return FloatSlider(*given)
    if isinstance(given, list):
        return Choice(given)
    raise WidgetError(
        f"the control for {name!r} is {given!r}",
        allowed="FloatSlider, IntSlider, Choice, Toggle, a tuple (low, high, step, start), "
        "a list of options, True or False",
    )
