"""Runs a returned answer in a process of its own, which only maps inputs to outputs.

The grader starts this file by its path with Python's ``-I``: a job comes in by stdin, and a line
for each case goes out by stdout, as JSON; nothing is unpickled on either side. Before foreign code
runs, the process gives up what the system lets it give up: time, memory, size of files, the
network, and all folders but Python's own, the package `course`, and an empty one to work in.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sys
import traceback
from typing import Any

import numpy as np

LARGEST = 32_000_000  # bytes of outputs that are taken
GIVEN = {"np": "numpy", "pd": "pandas", "torch": "torch", "nn": "torch.nn",
         "functional": "torch.nn.functional", "math": "math"}  # fmt: skip
_SINGLE = {"...": Ellipsis, "NotImplemented": NotImplemented}


def encode(value: Any) -> Any:
    """A value as JSON holds it: numbers, texts, arrays, tensors, tables, and what holds them."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    for name, single in _SINGLE.items():
        if value is single:
            return [name]
    if isinstance(value, list | tuple):
        return ["tuple" if isinstance(value, tuple) else "list", [encode(part) for part in value]]
    if isinstance(value, dict):
        return ["dict", [[encode(key), encode(part)] for key, part in value.items()]]
    if hasattr(value, "columns"):
        columns = ((str(name), value[name].to_numpy()) for name in value.columns)
        return [
            "table",
            [
                [name, encode(column if column.dtype.kind in "biufc" else column.tolist())]
                for name, column in columns
            ],
        ]
    if hasattr(value, "detach"):
        return ["tensor", encode(value.detach().cpu().numpy())]
    array = np.asarray(value)
    if array.dtype.kind not in "biufcU" or array.nbytes > LARGEST:
        what = f"{array.nbytes:,} bytes" if array.dtype.kind in "biufcU" else type(value).__name__
        raise TypeError(f"gave back {what}; numbers are asked for, at most {LARGEST:,} bytes")
    return ["array", array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]


def decode(value: Any) -> Any:
    """The value that `encode` was given; raises on anything that it cannot have written."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind in _SINGLE:
        return _SINGLE[kind]
    if kind in ("list", "tuple"):
        return (tuple if kind == "tuple" else list)(decode(part) for part in rest[0])
    if kind == "dict":
        return {decode(key): decode(part) for key, part in rest[0]}
    if kind == "table":
        import pandas as pd

        return pd.DataFrame({name: decode(part) for name, part in rest[0]})
    if kind == "tensor":
        import torch

        return torch.tensor(decode(rest[0]))
    dtype, shape, data = rest
    known = kind == "array" and re.fullmatch(r"[<>|=]?[biufcU]\d+", dtype)
    if not known or min(shape, default=0) < 0:
        raise ValueError(f"not a value: {str(value)[:40]}")
    return np.frombuffer(base64.b64decode(data), np.dtype(dtype)).reshape(shape).copy()


# --- giving up rights


def limit(seconds: float, memory: float) -> None:
    """Limit processor seconds and memory (GB), both from now on; and the size of files."""
    try:
        import resource
    except ImportError:  # Windows: the grader's clock is all there is
        return
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    has = 0
    with contextlib.suppress(OSError):
        with open("/proc/self/statm") as file:
            has = int(file.read().split()[0]) * resource.getpagesize()
    for name, most in (
        ("CPU", int(used + seconds) + 1),
        ("AS", has + int(memory * 1e9)),
        ("FSIZE", 3 * LARGEST),
        ("CORE", 0),
        ("NOFILE", 256),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def shut_network() -> bool:
    """Go into a network of one's own, without any way out (Linux); say whether that worked."""
    import ctypes

    try:
        return ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) == 0  # a user's, and a net
    except (AttributeError, OSError, TypeError):
        return False


def shut_folders(readable: list[str], writable: str) -> bool:
    """Give up all other folders, and signals to others, by Landlock; say whether that worked."""
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        version = libc.syscall(444, None, 0, 1)
        if sys.platform != "linux" or version < 1:
            return False
        every = (1 << (13, 14, 15, 15)[min(version, 4) - 1]) - 1  # of files and folders
        wanted = (ctypes.c_uint64 * 3)(every, 3 * (version >= 4), 3 * (version >= 6))
        rules = libc.syscall(444, wanted, 8 * (1 + (version >= 4) + (version >= 6)), 0)
        for path, rights in [*((path, 0b1101) for path in readable), (writable, every)]:
            with contextlib.suppress(OSError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                rule = rights.to_bytes(8, "little") + place.to_bytes(4, "little")
                libc.syscall(445, rules, 1, rule, 0)
                os.close(place)
        libc.prctl(38, 1, 0, 0, 0)  # no new rights from here on, which the next call asks for
        return rules >= 0 and libc.syscall(446, rules, 0) == 0
    except (AttributeError, OSError, TypeError):
        return False


def refuse(closed: list[str], folder: str) -> None:
    """Let Python itself refuse: a net for systems where nothing stronger is there, no wall."""
    ways_out = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen",
                "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill",
                "os.killpg")  # fmt: skip
    changes = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link",
               "os.symlink", "os.truncate", "shutil.rmtree", "shutil.move")  # fmt: skip
    real = os.path.realpath

    def is_in(path: Any, place: str) -> bool:
        if isinstance(path, int) or path is None:
            return False
        path = real(os.fsdecode(path))
        return path == place or path.startswith(place.rstrip(os.sep) + os.sep)

    def hook(event: str, arguments: tuple) -> None:
        if event in ways_out:
            raise PermissionError(f"{event} is refused here")
        if event == "open" and arguments[0] is not None and not isinstance(arguments[0], int):
            path, mode, flags = (*arguments, 0)[:3]
            write = any(c in (mode or "") for c in "wax+") or bool((flags or 0) & 3)
            written = write and not is_in(path, folder) and not is_in(path, "/dev")
            if written or any(is_in(path, place) for place in closed):
                raise PermissionError(f"{os.fsdecode(path)} is closed here")
        elif event in changes and not is_in(arguments[0], folder):
            raise PermissionError(f"{event} is refused here")

    sys.addaudithook(hook)


# --- the answer


def _said(error: BaseException, source: str) -> dict[str, str]:
    """Type, message and the student's own line of an exception."""
    text = " ".join(str(error).split())[:200]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == "<answer>":
            line = source.splitlines()[frame.lineno - 1].strip()[:100]
            text += f" (line {frame.lineno}: {line})"
            break
    return {"error": type(error).__name__, "message": text}


def _defined(source: str, name: str) -> Any:
    """The function that a cell defines; what else the cell does may fail after it."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    for short, module in GIVEN.items():
        if re.search(rf"\b{short}\b", source):
            __import__(module)
            scope[short] = sys.modules[module]
    try:
        exec(compile(source, "<answer>", "exec"), scope)
    except (Exception, SystemExit):
        if name not in scope:
            raise
    if name not in scope:
        raise NameError(f"the cell defines no function {name}")
    return scope[name]


def main() -> None:
    """Read a job, give up rights, run the answer on each case, and write a line for each."""
    job = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # neither a flood of prints nor a question goes anywhere
        os.dup2(nowhere, stream)
    source, folder = job["source"], os.path.realpath(os.getcwd())
    network = shut_network()  # while this process has one thread
    if re.search(r"\b(torch|nn|functional|course)\b", source) or '"tensor"' in json.dumps(
        job["cases"]
    ):
        import torch

        torch.set_num_threads(1)
    sys.path.insert(0, job["root"])
    cases = [decode(case) for case in job["cases"]]
    limit(job["seconds"], job["memory"])
    own = {os.path.realpath(path) for path in [sys.prefix, sys.base_prefix, *sys.path]}
    own -= {os.path.realpath(job["root"])}  # of it, only what the job names
    system = ["/usr", "/lib", "/lib64", "/etc", "/dev", "/proc", "/sys"]
    folders = shut_folders([*own, *system, *job["readable"]], folder)
    refuse(job["closed"], folder)

    def tell(line: Any) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    tell({"network": network, "folders": folders})
    try:
        function = _defined(source, job["name"])
        for case in cases:
            tell({"output": encode(function(*case))})
    except BaseException as error:
        tell(_said(error, source))
    os._exit(0)  # threads that an answer left behind end here


if __name__ == "__main__":
    main()
