"""Controls over a picture: a thin shell over a pure function that returns a figure."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ipywidgets

from course.widgets.controls import WidgetError, as_control
from course.widgets.stage import Stage, Staged


class Sliders(Staged):
    """Controls over a picture; made by `sliders`.

    Attributes
    ----------
    widget : ipywidgets.VBox
        What is shown.
    controls : dict
        The controls by argument name.
    picture : ipywidgets.Image
        The one picture; ``picture.value`` holds PNG bytes.
    error : Exception or None
        What the last drawing ran into.
    """

    def __init__(
        self,
        figure_function: Callable[..., Any],
        controls: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        if not controls:
            raise WidgetError("no control was given", allowed="at least one, as name=control")
        self._function = figure_function
        self._fixed = dict(fixed or {})
        self.controls = {name: as_control(name, given) for name, given in controls.items()}
        twice = sorted(set(self._fixed) & set(self.controls))
        if twice:
            raise WidgetError(f"{', '.join(twice)} stands in fixed and among the controls")
        self._inputs = {
            name: control.build(self.label(name)) for name, control in self.controls.items()
        }
        self._stage = Stage()
        self.widget = ipywidgets.VBox([*self._inputs.values(), *self._stage.parts])
        self._redraw()  # an error here fails the cell, as it should
        for box in self._inputs.values():
            box.observe(self._on_change, names="value")

    @property
    def error(self) -> Exception | None:
        """What the last drawing ran into, or None."""
        return self._stage.error

    @property
    def values(self) -> dict[str, Any]:
        """The present values, by argument name."""
        return {name: self.controls[name].clean(box.value) for name, box in self._inputs.items()}

    def label(self, name: str) -> str:
        """The words before a control."""
        return self.controls[name].label or name.replace("_", " ")

    def places(self, most: int) -> dict[str, list[Any]]:
        """All values of each control, thinned until they have at most ``most`` combinations.

        Every second value of the finest control goes; its ends and the present one stay always.
        """
        places = {name: list(control.places()) for name, control in self.controls.items()}
        while math.prod(map(len, places.values())) > most:
            for name, all_of_it in sorted(places.items(), key=lambda item: -len(item[1])):
                at, last = all_of_it.index(self.values[name]), len(all_of_it) - 1
                kept = [v for i, v in enumerate(all_of_it) if (i - at) % 2 == 0 or i in (0, last)]
                if len(kept) < len(all_of_it):
                    places[name] = kept
                    break
            else:
                break
        return places

    def frames(self, most: int) -> Iterator[tuple[dict[str, Any], Any, str]]:
        """Draw at every combination of `places`, for a page without Python.

        Yields
        ------
        values, figure, text
        """
        places = self.places(most)
        idle = {"progress": lambda *said, **more: None}
        extra = idle if _accepts(self._function, "progress") else {}
        for chosen in itertools.product(*places.values()):
            values = dict(zip(places, chosen, strict=True))
            made = self._function(**{**extra, **self._fixed, **values})
            yield values, *(made if isinstance(made, tuple) else (made, ""))

    def set(self, **values: Any) -> Sliders:
        """Move controls as a reader would, one after the other.

        Parameters
        ----------
        **values
            New values by argument name.

        Returns
        -------
        Sliders
            This object, so that it is shown when it ends a cell.

        Raises
        ------
        WidgetError
            If there is no such control, or the value cannot be reached with it.
        Exception
            Whatever the figure function raises (a reader who moves a slider sees it as text).
        """
        for name, value in values.items():
            if name not in self.controls:
                raise WidgetError(f"no control {name!r}", allowed=", ".join(self.controls))
            self._inputs[name].value = self.controls[name].clean(value)
            if self.error is not None:
                raise self.error
        return self

    def _redraw(self) -> None:
        arguments = {**self._fixed, **self.values}
        if _accepts(self._function, "progress"):
            arguments.setdefault("progress", self._stage.progress)
        self._stage.draw(lambda: self._function(**arguments))

    def _on_change(self, change: object) -> None:
        try:
            self._redraw()
        except Exception:  # noqa: BLE001 - already shown under the picture, with its words
            return


def sliders(
    figure_function: Callable[..., Any],
    *,
    fixed: Mapping[str, Any] | None = None,
    **controls: Any,
) -> Sliders:
    """Put controls over a function that returns a figure.

    Parameters
    ----------
    figure_function : callable
        Gets the values of the controls (and ``fixed``) as keyword arguments, returns a matplotlib
        figure, or a pair of figure and HTML text. If it has an argument ``progress``, it gets a
        function ``progress(done, total=None, text="")`` to call while it works.
    fixed : mapping, optional
        Arguments without a control.
    **controls
        One for each argument: `FloatSlider`, `IntSlider`, `Choice`, `Toggle`; or for short
        ``(low, high, step, start)``, a list of options, True or False.

    Returns
    -------
    Sliders
        Shows itself as the last expression of a cell.

    Raises
    ------
    WidgetError
        If a control cannot be used.
    Exception
        Whatever the function raises on the values at the start.

    Examples
    --------
    >>> sliders(draw_wave, frequency=(1, 9, 1, 3), loud=False)  # doctest: +SKIP
    """
    return Sliders(figure_function, controls, fixed)


def _accepts(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
