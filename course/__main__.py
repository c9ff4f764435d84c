"""The command line: ``python3 -m course COMMAND``.

Runs on a bare Python: everything that needs installed packages is imported in its own command.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from pathlib import Path

from course import __version__
from course.workshop import bootstrap, commands, copies

# What a disk may refuse, and what to do about it.
DISK = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "you may use no more of this disk. Free some space",
    errno.EROFS: "that disk is read-only. Name a folder of yours",
    errno.EACCES: "that folder is somebody else's. Name one of yours",
}

# Keeps a command from handing itself on twice.
HANDED_ON = "COURSE_HANDED_ON"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python3 -m course", description="How YouTube recommends: a course of notebooks."
    )
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    one = sub.add_parser("open", help="install what is missing, then open the course")
    one.add_argument("--no-browser", action="store_true", help="only print the address")
    one.add_argument("--port", type=int, help="port of the server")
    one.add_argument("--folder", type=Path, help="where your copies lie; my-notebooks if none")
    _add_here(one)

    one = sub.add_parser("test", help="install what is missing, then run all checks")
    which = one.add_mutually_exclusive_group()
    which.add_argument("--unit", action="store_true", help="neither notebooks nor browser")
    which.add_argument(
        "--notebooks", action="store_true", help="only the notebooks, and the solved ones"
    )
    which.add_argument(
        "--colab", action="store_true", help="the solved notebooks with the packages that Colab has"
    )
    _add_here(one)

    sub.add_parser("doctor", help="one OK or FAIL line for each thing that tends to break")

    one = sub.add_parser("copy", help="bring your copies of the notebooks up to date")
    one.add_argument("folder", nargs="?", type=Path, help="where they lie; my-notebooks if none")

    one = sub.add_parser("address", help="write the repository's address wherever it belongs")
    one.add_argument("address", help="as `git clone` takes it; none takes it out again")
    one.add_argument("--branch", default="main", help="that Colab and Binder open")

    one = sub.add_parser("notebooks", help="build the notebooks from notebooks/source")
    one.add_argument("names", nargs="*", metavar="NAME", help="chapters such as 00; all if none")
    one.add_argument("--check", action="store_true", help="only compare, write nothing")
    one.add_argument("--no-execute", action="store_true", help="build without outputs")

    one = sub.add_parser("site", help="build a site to read without installing anything")
    one.add_argument("folder", nargs="?", type=Path, help="where it goes; build/site if none")
    one.add_argument("--quick", action="store_true", help="run no chapter; sliders may stand still")

    one = sub.add_parser("slides", help="slides for a class, from figures and summaries")
    one.add_argument("names", nargs="*", metavar="NAME", help="chapters such as 00; all if none")
    one.add_argument("--folder", type=Path, default=Path("build") / "slides", help="where they go")
    one.add_argument("--reveal", help="address or folder of reveal.js, for a room without network")

    one = sub.add_parser("check-logs", help="what is wrong with tables of your own")
    one.add_argument("folder", type=Path, help="with watches.csv or .parquet, and others")

    one = sub.add_parser("handout", help="write a copy for students, with graded questions")
    one.add_argument("folder", type=Path)
    one.add_argument("--cohort", type=int, required=True, help="a number, such as the year")
    one.add_argument("--nbgrader", action="store_true", help="a tree of assignments for nbgrader")

    one = sub.add_parser("grade", help="marks for a folder of returned notebooks")
    one.add_argument("folder", type=Path)
    one.add_argument("--csv", type=Path, required=True, help="where the marks go; a run goes on")
    one.add_argument("--cohort", type=int, help="without it, the one that most notebooks name")
    one.add_argument("--chapters", type=int, nargs="+", metavar="N", help="without it, all found")
    one.add_argument("--seconds", type=float, default=20.0, help="of a processor, for an answer")
    one.add_argument("--memory", type=float, default=2.0, help="GB that an answer may take")
    one.add_argument("--jobs", type=int, help="answers at a time; 1, or all workers of a backend")
    one.add_argument("--backend", metavar="NAME", help="dask or ray (a cluster), or joblib's")
    one.add_argument("--address", metavar="HOST:PORT", help="of the cluster")

    sub.add_parser("reproduce", help="run the papers' claims again and judge", add_help=False)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        bootstrap.check_python()
        return _run(argv)
    except bootstrap.SetupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Start the same command again to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `doctor | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(f"{error.filename or 'A file'} could not be written: {DISK[error.errno]}, then start "
              "the same command again.", file=sys.stderr)  # fmt: skip
        return 2


def _run(argv: list[str]) -> int:
    extra: list[str] = []
    if "--" in argv:
        cut = argv.index("--")
        argv, extra = argv[:cut], argv[cut + 1 :]
    top = parser()
    # It reads its own arguments; its module needs packages, so it does so later.
    options = top.parse_args(argv[:1] if argv[:1] == ["reproduce"] else argv)
    if extra and options.command not in ("open", "test"):
        top.error(f"{options.command} takes nothing after --")

    if not (bootstrap.ROOT / "pyproject.toml").is_file():
        raise bootstrap.SetupError(
            f"{bootstrap.ROOT} holds the package alone. The chapters, and the stored results that "
            "they read, are in the repository: clone it, and give the command in its folder."
        )
    if options.command in ("test", "notebooks") and not (bootstrap.ROOT / "tests").is_dir():
        raise bootstrap.SetupError(
            "This copy of the course was handed out: it has no tests, and no sources to build "
            "from. What works: open, doctor, copy, reproduce."
        )
    if options.command == "open":
        python = Path(sys.executable) if options.here else bootstrap.ensure()
        folder = options.folder and options.folder.expanduser().absolute()
        return commands.open_course(python, folder, not options.no_browser, options.port, extra)
    if options.command == "test":
        return _test(options, extra)
    if options.command == "copy":
        folder = options.folder or commands.own_folder()
        copies.bring(folder.expanduser().absolute(), commands.NOTEBOOKS)
        return 0

    python = bootstrap.interpreter_for_tools()
    if python is not None and HANDED_ON not in os.environ:
        env = bootstrap.child_environment(python)
        env[HANDED_ON] = "1"
        # The package must be found from any folder, also before it is installed.
        path = env.get("PYTHONPATH")
        env["PYTHONPATH"] = os.pathsep.join([str(bootstrap.ROOT), *([path] if path else [])])
        return bootstrap.call([str(python), "-m", "course", *argv], env=env)

    if options.command == "doctor":
        from course.workshop import doctor

        return doctor.main()

    from course.errors import CourseError

    if not bootstrap.dependencies_here():
        raise bootstrap.SetupError(
            "The packages of the course are not installed for this Python. Either of these "
            "installs them:\n    python3 -m course open\n    python3 -m course test"
        )
    try:
        if options.command == "notebooks":
            from course.workshop import book

            return book.main(options.names, options.check, not options.no_execute)
        if options.command == "address":
            from course.workshop import address

            return address.main(options.address, options.branch)
        if options.command == "site":
            from course.workshop import site

            return site.main(options.folder, quick=options.quick)
        if options.command == "check-logs":
            from course.logs import outside

            return outside.main(options.folder.expanduser())
        if options.command == "slides":
            from course.workshop import slides

            return slides.main(options.names, options.folder.expanduser(), options.reveal)
        if options.command == "handout":
            from course.workshop import handout

            return handout.main(options.folder.expanduser(), options.cohort, options.nbgrader)
        if options.command == "grade":
            from course.workshop import grading

            limits = grading.Limits(options.seconds, options.memory)
            here = 1 if options.jobs is None and options.backend is None else options.jobs
            grading.grade(options.folder.expanduser(), options.csv.expanduser(), options.cohort,
                          options.chapters, limits, bootstrap.say, here, options.backend,
                          options.address)  # fmt: skip
            return 0
        from course.workshop import reproduce

        return reproduce.main(argv[1:])
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2


def _test(options: argparse.Namespace, extra: list[str]) -> int:
    legs = ["lint", "format", "unit", "browser", "notebooks"]
    if options.unit:
        legs = legs[:3]
    elif options.notebooks:
        by_name = any(argument.split("::")[0].endswith(".ipynb") for argument in extra)
        legs = ["notebooks"] if by_name else ["notebooks", "solved"]
    elif options.colab:
        legs = ["solved", "lone"]
    if options.here:
        python = Path(sys.executable)
    elif options.colab:
        # The course itself is left out, as on Colab: there the first cell of a notebook finds it.
        python = bootstrap.ensure(
            bootstrap.COLAB_VENV, bootstrap.COLAB_REQUIREMENTS, install_course=False
        )
    else:
        python = bootstrap.ensure()
    return commands.run_tests(python, legs, extra)


def _add_here(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--here",
        action="store_true",
        help="use the Python that runs this command and install nothing (conda users)",
    )


if __name__ == "__main__":
    sys.exit(main())
