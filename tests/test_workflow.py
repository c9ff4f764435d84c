"""The instructors' workflow starts by itself, on all systems, and runs the README's command."""

from __future__ import annotations

import yaml

COMMAND = "python3 -m course test"


def command_lines(text: str) -> list[str]:
    """The lines of a script that would run, without comments."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def test_the_workflow_runs_the_tests_everywhere(repository):
    path = repository / ".github" / "workflows" / "course.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    triggers = content[True]  # YAML 1.1 reads the bare word `on` as a truth value
    assert set(triggers) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert triggers["push"] is None and triggers["pull_request"] is None  # on every branch
    (job,) = content["jobs"].values()
    assert not {"if", "continue-on-error"} & set(job)
    (step,) = (s for s in job["steps"] if COMMAND in command_lines(s.get("run", "")))
    assert not {"if", "continue-on-error"} & set(step)
    matrix = job["strategy"]["matrix"]
    assert job["runs-on"] == "${{ matrix.os }}" and "${{ matrix.python }}" in str(job["steps"])
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert set(matrix["python"]) == {"3.11", "3.12", "3.13"} and "exclude" not in matrix


def test_readme_and_ci_run_the_same_command(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    blocks = [line[4:] for line in readme.splitlines() if line.startswith("    ")]
    assert COMMAND in blocks and "python3 -m course open" in blocks
    lines = command_lines((repository / ".ci" / "run").read_text(encoding="utf-8"))
    assert lines[-2] == COMMAND and lines[-1].startswith(f"{COMMAND} --colab")
    assert "set -euo pipefail" in lines


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
