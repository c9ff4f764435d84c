"""The instructors' workflow would start, on all systems, and runs the README's test command."""

from __future__ import annotations

import fnmatch
import re

import pytest
import yaml

COMMAND = "python3 -m course test"
SYSTEMS = {"ubuntu", "macos", "windows"}
PYTHONS = {"3.11", "3.12", "3.13"}
CRON_RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def command_lines(text: str) -> list[str]:
    """Return the lines of a script that would run, without comments."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def starts_on_push(trigger: dict | None, branch: str) -> bool:
    """Say whether a push to a branch starts a workflow with this ``push:`` trigger."""
    trigger = trigger or {}
    if set(trigger) - {"branches", "branches-ignore"}:
        return False  # filters on paths or tags leave pushes out
    if any(fnmatch.fnmatch(branch, pattern) for pattern in trigger.get("branches-ignore", [])):
        return False
    wanted = trigger.get("branches")
    return wanted is None or any(fnmatch.fnmatch(branch, pattern) for pattern in wanted)


def is_cron(text: str) -> bool:
    """Say whether a text is a cron line of five fields within their ranges."""
    fields = text.split()
    if len(fields) != len(CRON_RANGES):
        return False
    for field, (low, high) in zip(fields, CRON_RANGES, strict=True):
        for part in field.split(","):
            hit = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/[1-9]\d*)?", part)
            if hit is None:
                return False
            numbers = [int(number) for number in hit.groups() if number]
            if any(not low <= number <= high for number in numbers) or numbers != sorted(numbers):
                return False
    return True


def faults(workflow: str, branch: str = "main") -> list[str]:
    """Return what keeps a workflow from doing its work; empty when all is well."""
    content = yaml.safe_load(workflow)
    found = []
    # YAML 1.1 reads the bare word `on` as the truth value True.
    triggers = content.get(True, content.get("on")) or {}
    if isinstance(triggers, str | list):
        triggers = dict.fromkeys([triggers] if isinstance(triggers, str) else triggers)
    for name in ("push", "pull_request", "schedule", "workflow_dispatch"):
        if name not in triggers:
            found.append(f"no trigger {name}")
    for name in ("push", "pull_request"):
        if name in triggers and not starts_on_push(triggers[name], branch):
            found.append(f"{name} to {branch} does not start it")
    for entry in triggers.get("schedule") or []:
        if not is_cron(str(entry.get("cron"))):
            found.append(f"not a cron line: {entry.get('cron')}")
    jobs = [job for job in content.get("jobs", {}).values() if runs_command(job)]
    if len(jobs) != 1:
        return [*found, f"{len(jobs)} jobs run {COMMAND}"]
    job = jobs[0]
    matrix = job.get("strategy", {}).get("matrix", {})
    systems = {name.split("-")[0] for name in matrix.get("os", [])}
    if systems != SYSTEMS or job.get("runs-on") != "${{ matrix.os }}":
        found.append(f"systems: {sorted(systems)}")
    pythons = matrix.get("python", [])
    if set(pythons) != PYTHONS or "${{ matrix.python }}" not in str(job["steps"]):
        found.append(f"Pythons: {pythons}")
    if "exclude" in matrix:
        found.append("the matrix leaves pairs out")
    if "if" in job or job.get("continue-on-error"):
        found.append("the job may be skipped or ignored")
    return found


def runs_command(job: dict) -> bool:
    """Say whether a job has a step that runs exactly the test command, and heeds its result."""
    return any(
        COMMAND in command_lines(step.get("run", ""))
        and "if" not in step
        and not step.get("continue-on-error")
        for step in job.get("steps", [])
    )


@pytest.fixture
def workflow(repository):
    path = repository / ".github" / "workflows" / "course.yml"
    return path.read_text(encoding="utf-8")


def test_the_workflow_would_start_and_run_the_tests(workflow):
    assert faults(workflow) == []
    assert faults(workflow, branch="any-other-name") == []


def test_readme_and_ci_run_the_same_command(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    blocks = [line[4:] for line in readme.splitlines() if line.startswith("    ")]
    assert COMMAND in blocks and "python3 -m course open" in blocks
    script = repository / ".ci" / "run"
    lines = command_lines(script.read_text(encoding="utf-8"))
    assert lines[-2] == COMMAND and lines[-1].startswith(f"{COMMAND} --colab")
    assert "set -euo pipefail" in lines


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("  push:\n", "  push:\n    branches: [master]\n", "push to main does not start it"),
        ("  push:\n", "  push:\n    branches-ignore: ['m*']\n", "push to main does not start it"),
        ("  push:\n", "  push:\n    paths: [docs/**]\n", "push to main does not start it"),
        ("  push:\n", "", "no trigger push"),
        ("  workflow_dispatch:\n", "", "no trigger workflow_dispatch"),
        ('"23 4 * * 1"', '"23 24 * * 1"', "not a cron line: 23 24 * * 1"),
        ('"23 4 * * 1"', '"weekly"', "not a cron line: weekly"),
        (", windows-latest", "", "systems: ['macos', 'ubuntu']"),
        ("runs-on: ${{ matrix.os }}", "runs-on: ubuntu-latest", "systems: "),
        ('"3.12", ', "", "Pythons: ['3.11', '3.13']"),
        ("${{ matrix.python }}", "3.11", "Pythons: "),
        ("run: python3 -m course test", "run: |\n          # python3 -m course test", "0 jobs"),
        ("run: python3 -m course test", "run: python3 -m course test || true", "0 jobs"),
        ("run: python3 -m course test", "if: false\n        run: python3 -m course test", "0 jobs"),
        ("    timeout-minutes: 60", "    continue-on-error: true", "the job may be skipped"),
        ("        python: [", "        exclude: []\n        python: [", "the matrix leaves"),
    ],
)
def test_planted_faults_are_found(workflow, old, new, fault):
    assert old in workflow
    found = faults(workflow.replace(old, new))
    assert any(text.startswith(fault) for text in found), found


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("23 4 * * 1", True),
        ("*/15 0-6 1,15 * 1-5", True),
        ("60 4 * * 1", False),
        ("23 4 * *", False),
        ("23 4 0 * 1", False),
        ("23 4 * * mon!", False),
        ("6-2 4 * * 1", False),
    ],
)
def test_cron_lines(text, valid):
    assert is_cron(text) is valid


def test_comments_are_no_commands():
    assert command_lines("a  # b\n# c\n\n  d\n") == ["a", "d"]


def test_the_site_is_published_by_the_command_of_the_readme(repository):
    path = repository / ".github" / "workflows" / "site.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    build, publish = content["jobs"]["build"], content["jobs"]["publish"]
    steps = [step.get("run", "") for step in build["steps"]]
    assert "python -m course site build/site" in steps
    assert any("[lab,site]" in step for step in steps)
    uploaded = [s for s in build["steps"] if "upload-pages-artifact" in s.get("uses", "")]
    assert uploaded[0]["with"]["path"] == "build/site"
    assert publish["needs"] == "build" and publish["permissions"]["pages"] == "write"
    assert content["permissions"] == {"contents": "read"}, "only publishing may write"
