"""pyproject.toml, requirements.txt, environment.yml and Colab's list say the same."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from course.workshop import bootstrap

REASON = re.compile(r"# needed by (.+)$")


def pins(text: str) -> list[tuple[Requirement, str]]:
    """Return the lines of a requirements file, each with its comment."""
    found = []
    for line in text.splitlines():
        wanted, _, _ = line.partition("#")
        if wanted.strip():
            found.append((Requirement(wanted.strip()), line))
    return found


def asked(project: dict, extras: bool = True) -> list[Requirement]:
    """Return what a pyproject table asks for."""
    lines = list(project["dependencies"])
    if extras:
        for name, extra in project["optional-dependencies"].items():
            if name not in ("site", "dask", "ray"):  # not installed for readers
                lines += extra
    return [Requirement(line) for line in lines]


def disagreements(project: dict, requirements: str, environment: dict) -> list[str]:
    """Return where the three files differ; empty when they agree."""
    found = []
    pinned: dict[str, list[Requirement]] = {}
    wanted = {canonicalize_name(item.name): item for item in asked(project)}
    for item, line in pins(requirements):
        name = canonicalize_name(item.name)
        pinned.setdefault(name, []).append(item)
        versions = [spec.version for spec in item.specifier if spec.operator == "=="]
        if len(versions) != 1 or len(item.specifier) != 1 or "*" in versions[0]:
            found.append(f"{line!r} is no exact pin")
        elif "+" in versions[0]:
            found.append(f"{line!r} pins a local build that other machines cannot get")
        elif name in wanted and not wanted[name].specifier.contains(versions[0]):
            found.append(f"{line!r} is outside {wanted[name]}")
        if name not in wanted and not REASON.search(line):
            found.append(f"{line!r} is asked for by nobody and gives no reason")
    for name, items in pinned.items():
        if len(items) > 1:
            found.append(f"{name} is pinned {len(items)} times")
    found += [f"{name} has no pin" for name in wanted if name not in pinned]

    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    pip = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    names = [re.split("[=<> ]", item)[0] for item in conda]
    if sorted(names) != ["pip", "python"]:
        found.append(f"conda gives {names}, not python and pip alone")
    python = next((item for item in conda if item.startswith("python")), "")
    version = python.removeprefix("python").lstrip("=")
    if not version or not SpecifierSet(project["requires-python"]).contains(version + ".99"):
        found.append(f"conda's {python!r} is outside {project['requires-python']}")
    if pip != [["-r requirements.txt", "-e ."]]:
        found.append(f"conda's pip section is {pip}")
    return found


@pytest.fixture
def project(repository):
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


@pytest.fixture
def requirements(repository):
    return (repository / "requirements.txt").read_text(encoding="utf-8")


@pytest.fixture
def environment(repository):
    return yaml.safe_load((repository / "environment.yml").read_text(encoding="utf-8"))


def test_the_three_files_agree(project, requirements, environment):
    assert disagreements(project, requirements, environment) == []


def test_reasons_of_further_pins_are_true(requirements):
    for item, line in pins(requirements):
        for user in REASON.search(line).group(1).split(", ") if REASON.search(line) else []:
            needs = importlib.metadata.requires(user) or []
            names = {canonicalize_name(Requirement(need).name) for need in needs}
            assert canonicalize_name(item.name) in names, line


@pytest.mark.parametrize("version", ["3.11.0", "3.12.0", "3.13.0"])
def test_every_pin_can_be_installed_on_the_pythons_of_the_workflow(requirements, version):
    for item, _ in pins(requirements):
        meta = importlib.metadata.metadata(item.name)
        if not item.specifier.contains(meta["Version"]):
            continue  # another environment, where this says nothing about the pin
        allowed = SpecifierSet(meta["Requires-Python"] or "")
        assert allowed.contains(version), f"{item} needs Python {allowed}"


def test_colab_list_is_what_the_package_allows(project, repository):
    text = (repository / "tests" / "colab-requirements.txt").read_text(encoding="utf-8")
    listed = {canonicalize_name(item.name): item for item, _ in pins(text)}
    for item in asked(project, extras=False):
        pin = listed[canonicalize_name(item.name)]
        version = next(spec.version for spec in pin.specifier if spec.operator == "==")
        assert item.specifier.contains(version), (str(item), version)
    # the two that differ most from a fresh installation, and for which the leg is there
    assert str(listed["ipywidgets"]) == "ipywidgets==7.7.1"
    assert str(listed["pandas"]).startswith("pandas==2.2.")


def test_python_versions_agree(project, repository):
    allowed = SpecifierSet(project["requires-python"])
    low, high = (".".join(map(str, part)) for part in (bootstrap.MINIMUM, bootstrap.BELOW))
    assert allowed == SpecifierSet(f">={low},<{high}")
    ruff = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "ruff"
    ]
    assert ruff["target-version"] == "py" + low.replace(".", "")


@pytest.mark.parametrize(
    "name",
    [
        "__init__.py",
        "__main__.py",
        "workshop/__init__.py",
        "workshop/bootstrap.py",
        "workshop/commands.py",
        "errors.py",
        "paths.py",
    ],
)
def test_start_files_load_on_an_old_python_and_import_little(repository, name):
    text = (repository / "course" / name).read_text(encoding="utf-8")
    # On an old Python these must parse, or the reader sees a syntax error, not the advice.
    tree = ast.parse(text, feature_version=(3, 8))
    modules = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add((node.module or "").split(".")[0])
    assert modules <= set(sys.stdlib_module_names) | {"course"}


def test_importing_the_course_is_light():
    code = (
        "import sys, course; heavy = {'numpy', 'pandas', 'torch', 'matplotlib', 'faiss', 'yaml'}; "
        "print(sorted(heavy & set(sys.modules)), 'simulate' in dir(course))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


def test_every_lazy_name_is_there():
    import course

    assert [name for name in course.__all__ if not hasattr(course, name)] == []
    assert set(course.__all__) <= set(dir(course))


def test_unknown_name_of_the_course_is_an_attribute_error():
    import course

    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = course.simulat


def test_every_picture_and_link_of_the_readme_exists(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert any(target.endswith(".png") for target in targets)
    for target in targets:
        assert (repository / target).exists(), target
