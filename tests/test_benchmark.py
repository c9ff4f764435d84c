"""The benchmark prints its figures; it judges nothing."""

from course import benchmark


def test_core_seconds_measures_work():
    def work():
        sum(range(200_000))

    assert benchmark.core_seconds(work, repeats=3) > 0


def test_it_prints_every_figure(capsys, cache):
    assert benchmark.main(["--sizes", "village", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "candidate generator",
        "ranker on the village world",
        "eight experts",
        "shallow tower",
        "one request to the whole system",
        "village",
        "rows/core-s",
        "feed/core-s",
        "slider",
        "notebook",
    ):
        assert words in printed
