"""Opens JupyterLab in a real headless browser and works in it as a reader would.

Used by `test_browser.py` and `test_browser_ranking.py`, which share the chapters between them so
that two cores can work at a time. JupyterLab gets folders, a port and a kernel of its own, so
nothing that somebody has configured on this machine plays a part; the browser refuses every
request that leaves the machine and remembers it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))

#: Set this to a folder to look at what the reader sees.
SCREENSHOTS = os.environ.get("COURSE_SCREENSHOTS")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: No news, no update checks, and every cell in the page at once, so that all can be looked at.
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}

_ALL_CELLS = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    return panel.context.model.toJSON().cells;
}"""

_RUN_ALL = """async (seconds) => {
    const app = window.jupyterapp;
    const wait = (ms) => new Promise(done => setTimeout(done, ms));
    const session = app.shell.currentWidget.sessionContext;
    await session.ready;
    const end = Date.now() + 1000 * seconds;
    while (session.session?.kernel?.status !== 'idle') {
        if (Date.now() > end) return 'the kernel did not start';
        await wait(100);
    }
    const late = wait(1000 * seconds).then(() => 'the cells did not finish');
    const done = app.commands.execute('notebook:run-all-cells').then(() => '');
    return Promise.race([late, done]);
}"""

_IMAGE_BYTES = """async (image) => {
    const data = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    let text = '';
    for (const byte of data) text += String.fromCharCode(byte);
    return btoa(text);
}"""


def find_browser() -> str | None:
    """Return the path of a browser of the machine, or None."""
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    return None


def marks() -> list:
    """Return the marks of a module of browser tests; they are skipped without a browser."""
    missing = "the browser test needs Chromium (on Debian: apt-get install chromium)"
    return [
        pytest.mark.browser,
        pytest.mark.slow,
        pytest.mark.skipif(find_browser() is None, reason=missing),
    ]


def copy_chapters(folder: Path, chapters: list[Path]) -> None:
    """Copy chapters, so that nothing is ever saved over the chapter itself."""
    for chapter in chapters:
        shutil.copyfile(chapter, folder / chapter.name)


@contextmanager
def lab_on(folder: Path, home: Path):
    """Start JupyterLab on a folder and a reader at a browser; yield the reader; stop both."""
    with jupyterlab(folder, home) as address, reader(address, find_browser()) as found:
        yield found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def jupyterlab(folder: Path, home: Path, *, seconds: float = 90):
    """Start JupyterLab on a folder; yield its address; stop it.

    Parameters
    ----------
    folder
        What JupyterLab shows.
    home
        An empty folder for all that JupyterLab keeps: settings, data, running files.
    seconds
        How long the start may take.
    """
    for name in ("config/labconfig", "data", "runtime", "workspaces", "settings", "ipython"):
        (home / name).mkdir(parents=True, exist_ok=True)
    overrides = home / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.write_text(json.dumps(OVERRIDES), encoding="utf-8")
    env = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")}
    env.update(
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_DATA_DIR=str(home / "data"),
        JUPYTER_RUNTIME_DIR=str(home / "runtime"),
        JUPYTERLAB_WORKSPACES_DIR=str(home / "workspaces"),
        JUPYTERLAB_SETTINGS_DIR=str(home / "settings"),
        JUPYTER_PREFER_ENV_PATH="1",
        IPYTHONDIR=str(home / "ipython"),
    )
    port = _free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}", "--ServerApp.allow_root=True",
        "--IdentityProvider.token=", "--ServerApp.password=",
        "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    log = home / "server.log"
    with log.open("w", encoding="utf-8") as written:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=written, stderr=written)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api/status", server, log, seconds)
        yield address
    finally:
        server.terminate()  # JupyterLab ends its kernels before it ends itself
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


def _wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(encoding='utf-8')[-3000:]}")


class Reader:
    """A reader at a browser.

    Attributes
    ----------
    page
        Playwright's page.
    outside
        Addresses off the machine that the present notebook asked for; all were refused.
    """

    def __init__(self, page, address: str) -> None:
        self.page, self.address = page, address
        self.outside: list[str] = []
        page.route("**/*", self._guard)

    def _guard(self, route) -> None:
        host = urlsplit(route.request.url).hostname
        if host in (None, "127.0.0.1", "localhost"):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def run_notebook(self, name: str, *, seconds: float = 180) -> list[dict]:
        """Open a notebook, run all its cells, return them as JupyterLab holds them."""
        self.page.goto("about:blank")  # what the last page still asks for is not this one's
        self.outside.clear()
        self.page.goto(f"{self.address}/lab/tree/{quote(name)}?reset", timeout=60_000)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=60_000
        )
        trouble = self.page.evaluate(_RUN_ALL, seconds)
        if trouble:
            raise AssertionError(f"{name}: {trouble}")
        return self.cells()

    def cells(self) -> list[dict]:
        """Return the cells with their outputs."""
        return self.page.evaluate(_ALL_CELLS)

    def errors(self) -> list[str]:
        """Return what went wrong on the page: error outputs, and errors told under a widget."""
        outputs = [out for cell in self.cells() for out in cell.get("outputs", [])]
        raised = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
        shown = self.page.locator("[role=alert].course-error").all_inner_texts()
        broken = self.page.get_by_text("Error displaying widget").all_inner_texts()
        return [*raised, *shown, *broken]

    def picture(self, image) -> str:
        """Return a hash of a picture's bytes; the empty string while it has none."""
        if not image.get_attribute("src"):
            return ""
        return hashlib.sha256(image.evaluate(_IMAGE_BYTES).encode()).hexdigest()

    def wait_for_new_picture(self, image, old: str, *, seconds: float = 30) -> str:
        """Wait until a picture differs from what it was; return its hash."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            new = self.picture(image)
            if new not in ("", old):
                return new
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the picture did not change within {seconds} s")

    def beside(self, part):
        """Return the picture that belongs to a control."""
        box = "xpath=ancestor::*[contains(@class, 'widget-vbox')][.//img][last()]"
        return part.locator(box).locator("img.widget-image").last

    def move_slider(self, handle) -> tuple[str, str]:
        """Move a slider one step by keyboard; return the picture before and after."""
        handle.scroll_into_view_if_needed()
        image = self.beside(handle)
        before = self.wait_for_new_picture(image, "")
        at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        handle.focus()
        self.page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
        return before, self.wait_for_new_picture(image, before)

    def change(self, control) -> tuple[str, str]:
        """Choose another value of a choice, or turn a switch; return both pictures."""
        control.scroll_into_view_if_needed()
        image = self.beside(control)
        before = self.wait_for_new_picture(image, "")
        other = control.locator("button:not(.mod-active), input[type=checkbox]").first
        other.focus()
        self.page.keyboard.press("Space")
        return before, self.wait_for_new_picture(image, before)

    def screenshot(self, name: str) -> None:
        """Keep what the reader sees, if a folder was named for it."""
        if SCREENSHOTS:
            folder = Path(SCREENSHOTS)
            folder.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=folder / f"{name}.png")

    def work_through(self, chapter: Path) -> None:
        """Run a chapter, touch every control of it and play its game; assert that all works."""
        cells = self.run_notebook(chapter.name, seconds=300)
        self.screenshot(chapter.stem)
        assert not (wrong := self.errors()), wrong
        assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")

        handles, games = self.page.locator(".noUi-handle"), self.page.locator(".widget-gridbox")
        choices = self.page.locator(".widget-toggle-buttons, .widget-checkbox")
        touch = handles.count() + choices.count() + games.count()
        assert touch > 0, "nothing to touch in this chapter"
        for number in range(handles.count()):
            before, after = self.move_slider(handles.nth(number))
            assert after != before, f"slider {number} changes nothing"
            self.screenshot(f"{chapter.stem}-slider-{number}")
        for number in range(choices.count()):
            before, after = self.change(choices.nth(number))
            assert after != before, f"choice {number} changes nothing"
            self.screenshot(f"{chapter.stem}-choice-{number}")
        if games.count():
            game = games.first.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][last()]")
            assert self.play(game)
            self.screenshot(f"{chapter.stem}-game")
        assert not (wrong := self.errors()), wrong
        assert self.outside == []

    def play(self, game) -> str:
        """Fill a page by keyboard, press Recommend; return the picture of the result."""
        picks = game.locator(".widget-gridbox button.widget-toggle-button")
        recommend = game.locator("button.widget-button", has_text="Recommend")
        for number in range(picks.count()):
            if recommend.is_enabled():
                break
            picks.nth(number).focus()
            self.page.keyboard.press("Space")
            game.get_by_text("✓ place " + str(number + 1)).wait_for()
            self.page.wait_for_timeout(200)
        recommend.focus()
        self.page.keyboard.press("Enter")
        image = game.locator("img.widget-image").last
        image.wait_for(state="visible", timeout=60_000)
        return self.wait_for_new_picture(image, "")


@contextmanager
def reader(address: str, browser: str):
    """Start the browser; yield a `Reader`; close it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser,
            args=[
                "--disable-background-networking",
                "--disable-component-update",
                # Names of other machines cannot even be looked up.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        try:
            page = chromium.new_page(viewport={"width": 1280, "height": 1000})
            yield Reader(page, address)
        finally:
            chromium.close()


#: JupyterLab's own: its editors and the buttons that fold a heading have no label, its list of
#: cells has other parts in between.
LABS_OWN = ("cm-scroller", "jp-collapseHeadingButton", "jp-WindowedPanel-viewport")


def serious(page, where: str = "body") -> list[str]:
    """Return what axe finds serious or critical in a part of a page, but for JupyterLab's own."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context={"include": [[where]]}).response["violations"]
    return [
        f"{one['id']} at {node['target']}: {node['failureSummary'].splitlines()[-1].strip()}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        if not any(own in str(node["target"]) for own in LABS_OWN)
    ]
