"""The one address of the repository, and whatever is made from it.

It stands in ``pyproject.toml`` under ``[project.urls]``. ``python3 -m course address URL`` writes
it there, and from there into the first cell and below the title of every notebook and into the
README; the site reads it when it is built. While there is none, nothing is shown in its place.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

from course.errors import ConfigError
from course.paths import fill_between, write_whole

START, END = "<!-- address: written by `python3 -m course address` -->", "<!-- end of address -->"
NOBODY = "none"
TABLE = re.compile(r'\[project\.urls\]\nRepository = "[^"\n]*"\nBranch = "[^"\n]*"\n\n')
BEFORE = "[project.optional-dependencies]"
COLAB = "https://colab.research.google.com"
BINDER = "https://mybinder.org"


def read(root: Path) -> tuple[str, str]:
    """Address and branch of the repository; the address is empty if it was never written."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project.get("urls", {})
    return urls.get("Repository", ""), urls.get("Branch", "main")


def badges(address: str, branch: str, path: str) -> str:
    """Links, in Markdown, that open a notebook of the repository at Colab and at Binder.

    Empty unless the address is one at GitHub: Colab opens notebooks from nowhere else.
    """
    parts = urlsplit(address)
    if parts.netloc.lower() != "github.com":
        return ""
    place, branch = parts.path.strip("/"), quote(branch, safe="")
    colab = f"{COLAB}/github/{place}/blob/{branch}/{path}"
    binder = f"{BINDER}/v2/gh/{place}/{branch}?urlpath=lab/tree/{path}"
    return f"[Open in Colab]({colab}) · [Open in Binder]({binder})"


def main(address: str, branch: str = "main") -> int:
    """Write the address into the project, all notebooks and the README.

    Raises
    ------
    ConfigError
        If it is no address, or a notebook is not what its source says.
    """
    from course.workshop.book import Book, refill

    book = Book()
    address = "" if address == NOBODY else _plain(address)
    if not re.fullmatch(r"[\w./-]+", branch):
        raise ConfigError(f"{branch!r} is no name of a branch", allowed="a name such as main")
    project = book.root / "pyproject.toml"
    text = TABLE.sub("", project.read_text(encoding="utf-8"))
    if address:
        table = f'[project.urls]\nRepository = "{address}"\nBranch = "{branch}"\n\n'
        text = text.replace(BEFORE, table + BEFORE, 1)
    write_whole(project, text)
    for path in book.sources():
        refill(path, book)
    readme = book.readme.read_text(encoding="utf-8")
    write_whole(book.readme, fill_between(readme, START, END, clone(address, branch)))
    print(f"The address is {address}." if address else "There is no address any more.")
    return 0


def clone(address: str, branch: str) -> str:
    """The README's lines on how to get the course."""
    if not address:
        return ("Clone this repository (the page you read this on names its address), and go into "
                "its folder.")  # fmt: skip
    opens = badges(address, branch, "notebooks/00_start_here.ipynb")
    lines = [f"    git clone {address} how-youtube-recommends", "    cd how-youtube-recommends"]
    return "\n".join(lines + (["", f"Without installing anything: {opens}."] if opens else []))


def _plain(address: str) -> str:
    parts = urlsplit(address.strip())
    if parts.scheme != "https" or not parts.netloc or not parts.path.strip("/"):
        raise ConfigError(
            f"{address!r} is not the address of a repository",
            allowed=f"https://HOST/OWNER/NAME, or {NOBODY}",
        )
    if "@" in parts.netloc or parts.query or set(parts.path) & set(' "\\()'):
        raise ConfigError(f"{address!r} holds more than an address",
                          allowed="no user, password or question mark in it")  # fmt: skip
    return f"https://{parts.netloc}/{parts.path.strip('/').removesuffix('.git')}"
