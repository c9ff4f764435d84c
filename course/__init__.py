"""How YouTube recommends: the helper package of the course.

``import course`` loads nothing but the standard library. The names below are fetched from their
modules when they are first used::

    from course import simulate

    world = simulate("town", seed=7)
"""

from __future__ import annotations

import importlib
import os
import sys

__version__ = "2.0.0.dev0"

# torch and faiss each bring an OpenMP runtime. While one works, the idle threads of the other
# spin and slow it down, about fifteen-fold when calls alternate. Asleep, they do not. It has an
# effect only when set before either is imported, so it is set as early as possible.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if sys.platform == "darwin":
    # macOS refuses two OpenMP runtimes in one process unless told otherwise.
    os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")

# name -> module that holds it
_LAZY = {
    "Logs": "course.logs",
    "World": "course.world",
    "WorldConfig": "course.simulator.config",
    "ab_test": "course.world",
    "answer": "course.exercises",
    "check": "course.exercises",
    "contest": "course.contests",
    "simulate": "course.world",
}

__all__ = ["__version__", *sorted(_LAZY)]


def __getattr__(name: str) -> object:
    """Fetch a public name from its module at its first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'course' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too, so that completion finds them."""
    return sorted({*globals(), *_LAZY})
