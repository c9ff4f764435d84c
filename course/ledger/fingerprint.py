"""A short name for the code of a trial: its own, and what it calls, not its whole module.

From the trial's function on, names are followed through its own file and the package `course`:
functions, classes (whole), constants, and what those name in turn. Comments, docstrings,
annotations and imports do not matter, nor in which module a thing stands. What is found by other
means than its name (a string, a registry) is not seen.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import importlib
import inspect
import symtable
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

_IMPORTS = ast.Import, ast.ImportFrom
Place = tuple[str, str]
"""A module's name, and a name in it."""


def fingerprint(run: Callable) -> str:
    """Twelve letters that change when the code of a trial's function changes."""
    run = inspect.unwrap(getattr(run, "func", run))  # of a functools.partial
    texts, seen, todo = set(), set(), [(run.__module__, run.__qualname__.split(".")[0])]
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            text, uses = _look(*place)
            texts.add(text)
            todo += uses
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:12]


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == "course"


@functools.cache
def _bindings(module: str) -> dict[str, list[ast.stmt]]:
    """Top-level statements of a module, by the names that they define, import or change."""
    found: dict[str, list[ast.stmt]] = {}
    imported: set[str] = set()
    file = importlib.import_module(module).__file__
    for statement in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = {statement.name}
        elif isinstance(statement, _IMPORTS):
            names = {alias.asname or alias.name.split(".")[0] for alias in statement.names}
            imported |= names
        else:
            targets = getattr(statement, "targets", [getattr(statement, "target", statement)])
            names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            if isinstance(statement, ast.Expr):  # a call changes our things, no package
                names -= imported
        for name in names:
            found.setdefault(name, []).append(statement)
    return found


@functools.cache
def _look(module: str, name: str) -> tuple[str, list[Place]]:
    """The code that defines a name, as text, and the places that it uses."""
    texts, uses = [], []
    for statement in _bindings(module).get(name, []):
        for node in ast.walk(statement):  # imports, also those inside a function
            if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
                uses += [p for a in node.names for p in _home(node.module, [a.name])]
        plain = _Plain().visit(copy.deepcopy(statement))
        texts.append(ast.unparse(plain).replace("'", '"'))  # quotes differ between Pythons
        uses += [place for chain in _chains(plain) for place in _home(module, chain)]
    return "\n".join(texts), uses


class _Plain(ast.NodeTransformer):
    """Takes out what does not matter: docstrings, annotations of functions, imports."""

    def visit(self, node):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant):
                body[0] = ast.Pass()
        for annotation in {"annotation", "returns"}.intersection(node._fields):
            if not isinstance(node, ast.AnnAssign):
                setattr(node, annotation, None)
        return ast.Pass() if isinstance(node, _IMPORTS) else self.generic_visit(node)


def _chains(statement: ast.stmt) -> Iterator[list[str]]:
    """Dotted names that a statement reads, such as ["laws", "click"]; no local variables."""
    tables, read, inner = [symtable.symtable(ast.unparse(statement), "", "exec")], set(), set()
    for table in tables:
        top = table.get_type() == "module"
        symbols = [s for s in table.get_symbols() if s.is_referenced()]
        read |= {s.get_name() for s in symbols if top or s.is_global()}
        tables += table.get_children()
    for node in ast.walk(statement):  # an attribute comes before those inside it
        chain, at = [], node
        while isinstance(at, ast.Attribute):
            inner.add(at.value)
            chain.insert(0, at.attr)
            at = at.value
        if node not in inner and isinstance(at, ast.Name) and at.id in read:
            yield [at.id, *chain]


def _home(module: str, chain: list[str]) -> list[Place]:
    """Where the first thing of a dotted name that is no module is defined."""
    name, *rest = chain
    value, bound = getattr(importlib.import_module(module), name, None), _bindings(module).get(name)
    if isinstance(value, ModuleType):
        if not _is_ours(value.__name__):
            return []
        # A module that is handed on as such: everything in it.
        names = [rest] if rest else [[each] for each in _bindings(value.__name__)]
        return [place for names in names for place in _home(value.__name__, names)]
    if not bound:  # a builtin, or what a package of the course fetches when it is first used
        home = getattr(value, "__module__", None) or ""
        return [(home, value.__name__)] if _is_ours(home) else []
    if isinstance(bound[0], ast.ImportFrom):
        original = next(a.name for a in bound[0].names if name in (a.asname, a.name))
        source = bound[0].module
        return _home(source, [original]) if _is_ours(source) else []
    return [(module, name)]
