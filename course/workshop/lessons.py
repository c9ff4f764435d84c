"""From the cells of a chapter that are tagged ``export`` to its module in ``course.lessons``.

What the course teaches is written once, in the notebook where it is taught. The build copies
these cells, in order, into ``course/lessons/<lesson>.py``, where ``lesson`` stands in the chapter's
header; later chapters, trials and tests import it from there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from course.errors import ConfigError
from course.workshop.checks import EXERCISE, has

EXPORT = "export"
HEAD = '"""{title}.\n\nWritten in notebooks/source/{name}.py, and there only.\n"""\n'


def module_text(chapter) -> str:
    """The module of a chapter (`course.workshop.chapters.Chapter`); empty if it exports nothing.

    Raises
    ------
    ConfigError
        If a cell cannot be exported: it is text or a stub, does not parse, gives a name that an
        earlier one gave, or the header names no lesson. The message names chapter and cell.
    """
    parts, first = [], {}
    for number, cell in enumerate(chapter.notebook.cells, start=1):
        if not has(cell, EXPORT):
            continue
        where = f"{chapter.name}, cell {number}"
        if cell.cell_type != "code" or has(cell, EXERCISE):
            raise ConfigError(
                f"{where}: a text or a stub is tagged {EXPORT}",
                fix="tag the code that others are to import",
            )
        try:
            tree = ast.parse(cell.source)
        except SyntaxError as error:
            raise ConfigError(
                f"{where}, line {error.lineno}: {error.msg}: {(error.text or '').strip()!r}",
                allowed="Python without magics, since the cell becomes a part of a module",
            ) from error
        for name in defined(tree):
            if name in first:
                raise ConfigError(
                    f"{where} exports {name!r}, and so does cell {first[name]}",
                    fix="rename one of the two",
                )
            first[name] = number
        parts.append(cell.source.strip())
    if parts and not chapter.lesson:
        raise ConfigError(
            f"{chapter.name} exports cells, but its header names no lesson",
            fix="write the name of the module into the header, as lesson: name",
        )
    if not parts:
        return ""
    head = HEAD.format(title=chapter.title, name=chapter.name)
    return head + "\n" + "\n\n\n".join(parts) + "\n"


def defined(tree: ast.Module) -> list[str]:
    """Names that a module gives to others: functions, classes and constants, but not imports."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found = [part for target in targets if target is not None for part in ast.walk(target)]
        names += [p.id for p in found if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)]
    return names


def refuse_namesakes(text: str, path: Path, others: Iterable[Path]) -> None:
    """Raise a `ConfigError` if another lesson exports a name that this one exports, too."""
    own = set(defined(ast.parse(text)))
    for other in others:
        if other == path or other.stem == "__init__":
            continue
        twice = own & set(defined(ast.parse(other.read_text(encoding="utf-8"))))
        if twice:
            raise ConfigError(
                f"{', '.join(sorted(twice))} is exported by {path.stem} and by {other.stem}",
                fix="import it from the chapter that wrote it first, or rename one of the two",
            )
