"""A notebook that somebody sends around: alone in an empty folder, as Colab would open it.

It fetches the course from a git server on the loopback. `python3 -m course test --colab` runs this
with the packages that Colab has; elsewhere, whatever is installed of the course is hidden.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

SITE = """
import sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.path[:] = [p for p in sys.path if p not in {hidden!r}]
sys.meta_path[:] = [f for f in sys.meta_path if "how_youtube" not in getattr(f, "__module__", "")]
"""
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read("alone.ipynb", as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, "alone.ipynb")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of the course's repository, from a git server on the loopback."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    base = tmp_path_factory.mktemp("served")
    git = shutil.which("git")
    have = git and subprocess.run([git, "daemon", "--help"], capture_output=True).returncode == 0
    if not have or not os.path.exists(os.path.join(root, ".git")):
        pytest.skip("needs a git checkout, and git with its server")
    subprocess.run([git, "clone", "-q", "--bare", root, str(base / "course.git")], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [git, "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1",
               f"--port={port}", f"--base-path={base}", str(base)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"git://127.0.0.1:{port}/course.git"
        server.terminate()


def alone(tmp_path, repository, address, cells=None):
    """Run a chapter alone in an empty folder; return the process and the notebook."""
    stored = json.loads((repository / "notebooks" / "00_start_here.ipynb").read_text("utf-8"))
    stored["cells"] = stored["cells"][:cells]
    text = json.dumps(stored).replace('REPOSITORY = \\"\\"', f'REPOSITORY = \\"{address}\\"')
    folder, site = tmp_path / "content", tmp_path / "site"
    for place in (folder, site):
        place.mkdir()
    (folder / "alone.ipynb").write_text(text, encoding="utf-8")
    code = SITE.format(hidden=[str(repository)])
    (site / "sitecustomize.py").write_text(code, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(site), "CUDA_VISIBLE_DEVICES": "",
           "COURSE_CACHE": str(tmp_path / "cache")}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, env=env, capture_output=True,
                          text=True)  # fmt: skip
    return done, json.loads((folder / "alone.ipynb").read_text("utf-8"))


@pytest.mark.lone
def test_it_fetches_the_course_and_runs_to_its_end(served, tmp_path, repository):
    done, notebook = alone(tmp_path, repository, served)
    assert done.returncode == 0, done.stderr[-2_000:]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert (tmp_path / "content" / "course-repository" / "course").is_dir()


@pytest.mark.lone
def test_without_an_address_it_says_what_to_do(tmp_path, repository):
    done, _ = alone(tmp_path, repository, "", cells=4)
    assert done.returncode == 1 and "into REPOSITORY above" in done.stderr


@pytest.mark.lone
def test_a_wrong_address_and_a_server_that_refuses(served, tmp_path, repository):
    for n, address in enumerate((served.replace("course.git", "nothing.git"),
                                 "http://127.0.0.1:9/course.git")):  # fmt: skip
        (tmp_path / str(n)).mkdir()
        done, _ = alone(tmp_path / str(n), repository, address, cells=4)
        assert done.returncode == 1 and f"git could not fetch {address} (" in done.stderr
        assert "may everybody read that repository?" in done.stderr
        assert not (tmp_path / str(n) / "content" / "course-repository").exists()
