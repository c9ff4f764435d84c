"""The benchmark prints its figures; it judges nothing."""

import sys

from course import benchmark


def test_core_seconds_measures_work():
    def work():
        sum(range(200_000))

    assert benchmark.core_seconds(work, repeats=3) > 0


def test_it_prints_every_figure(capsys, cache):
    assert benchmark.main(["--sizes", "tiny", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "candidate generator",
        "implicit",
        "ranker on the tiny world",
        "eight experts",
        "shallow tower",
        "one request, 100,000 videos",
        "tiny",
        "rows/core-s",
        "feed/core-s",
        "slider",
        "notebook",
    ):
        assert words in printed


def test_without_implicit_the_comparison_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "implicit", None)  # an import now fails
    monkeypatch.delitem(sys.modules, "implicit.cpu.als", raising=False)
    assert benchmark.als_beside_implicit() is None
    monkeypatch.setattr(benchmark, "candidate_speed", lambda: 1234.0)
    benchmark._print_training(1)
    printed = capsys.readouterr().out
    assert "1,234 examples per core-second" in printed and "left out" in printed
