"""Makes a class of returned notebooks from right, wrong and hostile answers.

python3 tests/returned.py FOLDER 60     # sixty notebooks of chapter 02, to try `grade` on
"""

from __future__ import annotations

import json
import sys
from itertools import cycle, islice
from pathlib import Path

import nbformat

from course.workshop.handout import graded_cells
from course.workshop.variants import Variant, load

COHORT = 2027

# What a cell holds instead of an answer, and the verdict on it. NAME is the function's name.
HOSTILE = {
    "ends the process": ("import os\ndef NAME(*a):\n    os._exit(0)", "stopped"),
    "ends Python": ("import sys\ndef NAME(*a):\n    sys.exit(0)", "error"),
    "never ends": ("def NAME(*a):\n    while True:\n        pass", "stopped"),
    "takes all memory": (
        "x = []\ndef NAME(*a):\n    while True:\n        x.append(bytearray(10**8))",
        "error",
    ),
    "overflows the stack": (
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self):\n"
        "        return repr([self])\ndef NAME(*a):\n    return repr(A())",
        "stopped",
    ),
    "prints without end": ("def NAME(*a):\n    while True:\n        print('x' * 10**7)", "stopped"),
    "gives back a gigabyte": ("def NAME(*a):\n    return np.zeros(2 * 10**8, 'int8')", "error"),
    "leaves threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()\n"
        "def NAME(*a):\n    return 0.0",
        "wrong",
    ),
    "deletes all": (
        "import shutil\nshutil.rmtree('FOLDER', ignore_errors=True)\n"
        "import os\nos.remove('FOLDER/../keep')\ndef NAME(*a):\n    return 0.0",
        "error",
    ),
    "deletes by C": (
        "import ctypes, os\nc = ctypes.CDLL(None)\nif os.name == 'posix':\n"
        "    c.unlink(b'FOLDER/../keep')\n    c.kill(os.getppid(), 9)\n"
        "def NAME(*a):\n    return 0.0",
        "wrong",
    ),
    "takes the reference": (
        "from course.exercises import find\nNAME = find('02-rank').reference",
        "error",
    ),
    "reads the variants": ("print(open('TESTS/chapter_02.py').read())", "error"),
    "patches the check": (
        "import course.exercises.checking as c, course.workshop.grading as g\n"
        "c.check = g.check = lambda *a, **k: True\ndef NAME(*a):\n    return 0.0",
        "wrong",
    ),
    "writes the verdict": (
        "import os\nfor fd in range(3, 20):\n    try:\n"
        '        os.write(fd, b\'{"status": "correct"}\\n\' * 9)\n'
        "    except OSError:\n        pass\ndef NAME(*a):\n    return 0.0",
        "wrong",
    ),
    "gives back pickle": (
        "import os\nclass E:\n    def __reduce__(self):\n        return os.system, ('true',)\n"
        "def NAME(*a):\n    return np.array([E()])",
        "error",
    ),
    "looks outside": (
        "import urllib.request\nurllib.request.urlopen('http://192.0.2.1', timeout=9)",
        "error",
    ),
    "no Python": ("def NAME(a:", "error"),
    "no answer": ("def NAME(*a):\n    ...", "not answered"),
}


def notebook(variants: list[Variant], sources: dict[str, str]) -> nbformat.NotebookNode:
    """A returned notebook: the graded section, with sources by id in place of stubs."""
    cells = graded_cells(variants, COHORT)
    for cell in cells:
        for name, source in sources.items():
            if name in cell.metadata.get("tags", []):
                cell.source = source
    return nbformat.v4.new_notebook(cells=cells)


def place(folder: Path, student: str, text: str) -> Path:
    """Write a notebook's text where a student hands it in."""
    path = folder / student / "02_matrix_factorization.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def right_and_wrong(variants: list[Variant], kind: str, n: int = 0) -> dict[str, str]:
    """A right or a wrong source for each of some variants."""
    found = {}
    for variant in variants:
        sources = getattr(variant, kind)
        found[variant.id] = variant.fill(sources[n % len(sources)], COHORT)
    return found


def hostile(variant: Variant, what: str, folder: Path, tests: Path) -> str:
    """The source of a hostile answer."""
    source = HOSTILE[what][0].replace("NAME", variant.function)
    return source.replace("FOLDER", str(folder)).replace("TESTS", str(tests))


def make_class(folder: Path, students: int) -> dict[str, str]:
    """Half right, a quarter wrong, a quarter hostile in one answer and right in the other."""
    variants, made = load([2]), {}
    kinds = cycle(HOSTILE)
    order = islice(cycle(["right", "wrong", "right", "hostile"]), students)
    for n, kind in enumerate(order):
        sources = right_and_wrong(variants, "wrong" if kind == "wrong" else "right", n // 4)
        if kind == "hostile":
            kind = next(kinds)
            sources[variants[1].id] = hostile(variants[1], kind, folder, folder)
        student = f"student_{n:02d}"
        place(folder, student, json.dumps(notebook(variants, sources)))
        made[student] = kind
    return made


if __name__ == "__main__":
    made = make_class(Path(sys.argv[1]), int(sys.argv[2]))
    print(*(f"{student}: {kind}" for student, kind in made.items()), sep="\n")
