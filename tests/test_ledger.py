"""The ledger: rule of the verdict, formulas, tables, stored results, runner, command."""

import importlib.util
import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from course import ledger
from course.errors import CacheError, ConfigError
from course.ledger import formulas, registry, runner, store, tables
from course.ledger.claim import SEEDS, UNTESTABLE, VERDICTS, WORLDS, Claim, Contrast, Trial, rule
from course.ledger.fingerprint import fingerprint
from course.workshop import reproduce

THREE = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b b/@": [1.0, 1.0, 1.0]}, index=[1, 2, 3])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path


# --- the judge and the rule ---------------------------------------------------------------------


def test_interval_against_a_table_of_students_t():
    """Three seeds: mean 2, sd 1, t(2, .975) = 4.3027, t(2, .8) = 1.0607."""
    found = Contrast("a", "`a`", 0.0).judge(THREE)
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert found.detectable == pytest.approx((4.3027 + 1.0607) / np.sqrt(3), rel=1e-4)
    assert found.ours == "2.0 ± 2.5" and found.words == "undecided (could have seen 3.1)"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-1.0, None, "holds"), (0.0, None, "undecided"), (4.6, None, "fails"), (None, -0.6, "fails"),
     (None, 4.5, "holds"), (-1.0, 5.0, "holds"), (1.0, 3.0, "undecided"),
     (None, None, "shown only")],
)  # fmt: skip
def test_outcome_follows_the_interval(low, high, outcome):
    assert Contrast("a", "`a`", low, high).judge(THREE).outcome == outcome


def test_what_is_constant_or_not_finite():
    assert Contrast("b", "`b b/@`", 0.5).judge(THREE).ours == "1"
    found = Contrast("a", "`a`", 0.0, paper="7").judge(THREE.assign(a=[1.0, np.nan, 1.0]))
    assert found.outcome == found.words == "undecided"


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [("holds holds", "reproduced"), ("holds fails", "mixed"), ("holds undecided", "mixed"),
     ("undecided undecided", "undecided"), ("undecided fails", "contradicted")],
)  # fmt: skip
def test_rule(outcomes, verdict):
    outcomes = outcomes.split()
    assert rule(outcomes) == verdict
    built = "built as in the paper" if verdict == "reproduced" else verdict
    assert rule(outcomes, built=True) == built


def test_only_headline_lines_decide_and_the_first_is_one_if_none_is_marked():
    holds, fails = Contrast("h", "`a`", -1.0), Contrast("f", "`a`", 4.6)
    shown, head = Contrast("s", "`a`"), Contrast("h", "`a`", -1.0, headline=True)
    for lines, verdict in [((shown, holds, fails), "reproduced"), ((fails, holds), "contradicted"),
                           ((fails, head), "reproduced")]:  # fmt: skip
        claim = Claim("T", "99", "title", trial="t", contrasts=lines)
        assert claim.verdict(claim.findings(THREE)) == verdict
    assert Claim("T", "99", "title", untestable="no sound").verdict([]) == UNTESTABLE


# --- formulas and tables ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "values"),
    [("percent(`a`, `b b/@`)", [0, 100, 200]), ("`a` - 2 * `b b/@`", [-1, 0, 1]),
     ("mean(`a`, `b b/@`)", [1, 1.5, 2]), ("most(`a`, 2 * `b b/@`)", [2, 2, 3]),
     ("least(`a`, 2 * `b b/@`) + log(`b b/@`)", [1, 2, 2])],
)  # fmt: skip
def test_formulas(formula, values):
    assert formulas.evaluate(formula, THREE).tolist() == values


TABLE = """
X-1: A title; with a colon: and
  two lines
paper: what it says
trial: one, other
* words of a line
  | percent(`deep 0/mrr`, `als/mrr`) | -1.5 to 1e-3 | 7 %
- more | `a` - `b` | below 0
- shown | `a`
note: A note.

X-2: Another
untestable: nothing to see
"""


def test_a_table_is_read():
    one, two = tables.read(TABLE, "99")
    assert (one.id, one.title) == ("X-1", "A title; with a colon: and two lines")
    assert one.trials == ("one", "other") and one.note == "A note." and one.chapter == "99"
    head, more, shown = one.contrasts
    assert (head.low, head.high, head.headline, head.paper) == (-1.5, 0.001, True, "7 %")
    assert head.value == "percent(`deep 0/mrr`, `als/mrr`)" and head.label == "words of a line"
    assert (more.expected, more.headline, shown.expected) == ("below 0", False, "")
    assert two.untestable == "nothing to see"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-1.5 to 1e-3", "2 to 1", "X-1.*words of a line.*2 to 1.*lower end"),
        ("-1.5 to 1e-3", "over 9", "X-1.*words of a line.*'over 9'.*above 0"),
        ("| -1.5 to 1e-3 | 7 %", "", "X-1.*words of a line.*without a range"),
        ("`a` - `b`", "`a` - ", "X-1.*more.*`a` -.*cannot be read"),
        ("`a` - `b`", "a - b", "X-1.*more.*reads no column"),
        ("- shown | `a`", "- shown", "X-1.*shown.*1 cells"),
        ("note:", "nota:", "X-1.*nota.*paper, trial"),
        ("X-2: Another", "Another", "begins with 'Another'.*ID: title"),
        ("untestable: nothing to see", "paper: x", "X-2.*either a trial"),
    ],
)
def test_faults_of_a_table_are_named(old, new, message):
    assert old in TABLE
    with pytest.raises(ConfigError, match=message):
        tables.read(TABLE.replace(old, new), "99")


@pytest.mark.parametrize(
    ("value", "message"),
    [("`deep 1/mrr`", r"T-1.*'words'.*no column 'deep 1/mrr'.*perhaps it is `deep 0/mrr`"),
     ("nothing(`a`)", r"T-1.*'words'.*cannot be evaluated.*percent"),
     ("`a`.mean()", r"T-1.*'words'.*shape \(\)")],
)  # fmt: skip
def test_faults_of_a_line_are_named_when_it_is_judged(value, message):
    claim = Claim("T-1", "99", "title", trial="t", contrasts=(Contrast("words", value, 0.0),))
    with pytest.raises(ConfigError, match=message):
        claim.findings(THREE.assign(**{"deep 0/mrr": 1.0}))


# --- the chapters' files ------------------------------------------------------------------------


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Function (text, number) that makes this the ledger's only chapters; returns their trials."""
    files = []

    def make(text, number="98"):
        path = tmp_path / f"chapter_{number}.py"
        path.write_text(text, encoding="utf-8")
        files[:] = sorted({*files, path})
        registry._module.cache_clear()
        monkeypatch.setattr(registry, "chapter_files", lambda: files)
        return ledger.trials()

    yield make
    registry._module.cache_clear()


CHAPTER = '''
from course.ledger import Trial

CLAIMS = """
X-1: A title
trial: made
* words | `x` | above 0
"""

def made(seed):
    yield {"x": seed}

TRIALS = (Trial("made", made, seeds=(1, 2, 3)),)
'''


def test_a_chapter_is_loaded_by_its_path(chapter):
    assert list(chapter(CHAPTER)) == ["made"] and ledger.find("X-1").chapter == "98"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("import Trial", "import Trail", "chapter_98.py cannot be loaded.*ImportError.*Trail"),
     ("above 0", "2 to 1", "chapter_98.py cannot be loaded.*X-1.*words.*2 to 1"),
     ("trial: made", "trial: mode", "X-1 needs a trial 'mode'.*write made"),
     ("(1, 2, 3)", "(1, 1)", r"chapter_98.py cannot be loaded.*'made'.*\(1, 1\)")],
)  # fmt: skip
def test_faults_of_a_chapter_are_named(chapter, old, new, message):
    with pytest.raises(ConfigError, match=message):
        chapter(CHAPTER.replace(old, new))
        ledger.claims()


def test_a_trial_named_twice(chapter):
    chapter(CHAPTER)
    with pytest.raises(ConfigError, match="made exists twice, in .*chapter_98.*chapter_99"):
        chapter(CHAPTER.replace("X-1", "X-2"), "99")


# --- records and stored results -----------------------------------------------------------------


def test_records_become_columns():
    found = store.flatten([
        {"who": "deep 0", "mrr": np.float32(0.5), "recall": 1},
        {"who": "deep 0", "metric": "taste", "value": True},
        {"alone": 2.0, "value": 3.0},
    ])  # fmt: skip
    assert found == {"deep 0/mrr": 0.5, "deep 0/recall": 1.0, "deep 0/taste": 1.0,
                     "alone": 2.0, "value": 3.0}  # fmt: skip
    assert store.flatten({"a/b": 1}) == {"a/b": 1.0}


def made_up(seed):
    yield {"x": 1.0}


TRIAL = Trial("hand-made", made_up, seeds=(1, 2, 3))


@pytest.fixture
def ran(cache, monkeypatch):
    """Results and kept seeds go to a folder of the test; a list of the seeds that are run."""
    found = []

    def run_here(name, seed):
        if seed in stop:
            raise KeyboardInterrupt
        found.append(seed)
        return {"x": 1.0 * seed, "who/y": 0.5}, 0.1

    stop = run_here.stop = set()
    monkeypatch.setattr(store, "data_dir", lambda: cache)
    monkeypatch.setattr(runner, "run_seed", run_here)
    return found


def test_results_are_stored_and_read_back(ran, cache):
    paths = runner.run_trials([TRIAL], jobs=1)
    table = ledger.results("hand-made")
    assert paths == [cache / "results" / "hand-made.json"]
    assert table.index.tolist() == [1, 2, 3] and table["x"].tolist() == [1.0, 2.0, 3.0]
    assert table.attrs["code"] == fingerprint(made_up)
    assert not list((cache / "cache" / "reproduce").glob("*"))  # nothing left behind
    tidy = ledger.results("hand-made", tidy=True)
    assert tidy.iloc[-1].tolist() == [3, "who", "y", 0.5]


def test_an_interrupted_run_goes_on_where_it_stopped(ran, cache):
    runner.run_seed.stop.add(3)
    with pytest.raises(KeyboardInterrupt):
        runner.run_trials([TRIAL], jobs=1)
    runner.run_seed.stop.clear()
    stored = cache / "results" / "hand-made.json"
    assert not stored.exists()
    kept = next((cache / "cache" / "reproduce").glob("*-2.json"))
    kept.write_text('[{"x": 99', encoding="utf-8")  # broken: run again
    runner.run_trials([TRIAL], jobs=1)
    assert ran == [1, 2, 2, 3] and len(store.load("hand-made")) == 3
    # More worlds: only what is missing, and the others stay.
    runner.run_trials([TRIAL], (1, 2, 3, 21), missing=True, jobs=1)
    assert ran[4:] == [21] and store.load("hand-made").index.tolist() == [1, 2, 3, 21]
    runner.run_trials([TRIAL], jobs=1)
    assert ran[5:] == [1, 2, 3] and len(store.load("hand-made")) == 4
    # What other code has made is not mixed with this.
    text = stored.read_text(encoding="utf-8")
    stored.write_text(text.replace(fingerprint(made_up), "other"), encoding="utf-8")
    runner.run_trials([TRIAL], (1, 2), missing=True, jobs=1)
    assert store.load("hand-made").index.tolist() == [1, 2]


def test_what_builds_on_another_trial_runs_after_it(ran, monkeypatch):
    order = []
    real = runner.run_seed
    monkeypatch.setattr(runner, "run_seed", lambda *key: (order.append(key), real(*key))[1])
    above = Trial("above", made_up, seeds=(1, 2), after=("hand-made",))
    runner.run_trials([above, TRIAL], jobs=1)
    assert [name for name, _ in order] == 3 * ["hand-made"] + 2 * ["above"]
    assert ledger.row("hand-made", 2)["x"] == 2.0
    with pytest.raises(ConfigError, match="reproduce hand-made"):
        ledger.row("hand-made", 21)
    known = ledger.trials()
    assert all(name in known for trial in known.values() for name in trial.after)


def test_faults_of_a_trial_are_named(cache, chapter, monkeypatch):
    trials = chapter(CHAPTER.replace('yield {"x": seed}', 'yield {"x": 1}; yield {"x": 2}'))
    with pytest.raises(ConfigError, match="'made', seed 1: two records have the name 'x'"):
        runner.run_trials(list(trials.values()), folder=cache, jobs=1)
    trials = chapter(CHAPTER.replace('{"x": seed}', '{"x": [seed]}'))
    with pytest.raises(ConfigError, match=r"'made', seed 1: 'x' is \[1\]"):
        runner.run_seed("made", 1)

    def uneven(name, seed):
        return ({"x": 1.0} if seed < 3 else {"z": 1.0}), 0.1

    monkeypatch.setattr(runner, "run_seed", uneven)
    with pytest.raises(ConfigError, match="seed 3 has other numbers than seed 1: x, z"):
        runner.run_trials([TRIAL], folder=cache, jobs=1)
    assert not (cache / "hand-made.json").exists()


def test_another_backend(ran):
    runner.run_trials([TRIAL], backend="threading")
    assert len(store.load("hand-made")) == 3
    with pytest.raises(ConfigError, match="'nonsense' cannot be used.*loky"):
        runner.run_trials([TRIAL], backend="nonsense")


def test_missing_and_broken_files_say_how_to_make_them(tmp_path):
    with pytest.raises(CacheError, match="reproduce nothing"):
        store.load("nothing", tmp_path)
    (tmp_path / "broken.json").write_text('{"seeds": [1]}', encoding="utf-8")
    with pytest.raises(CacheError, match="reproduce broken"):
        store.load("broken", tmp_path)


# --- fingerprints -------------------------------------------------------------------------------

CODE = '''
from course.metrics import {metric} as measure

STEP = 1.0

def unrelated(x):
    return x

class Model:
    """Doc."""
    def score(self):
        return helper() + STEP

def helper():
    return 2.0

def run(seed: int):
    "Doc."
    unrelated = Model().score()  # a local name
    return {{"x": unrelated, "y": measure}}
'''


def test_a_fingerprint_follows_what_a_trial_calls_and_nothing_else(tmp_path, monkeypatch):
    def code(old="", new="", metric="hit_rate"):
        name = f"made_{len(list(tmp_path.iterdir()))}"
        path = tmp_path / f"{name}.py"
        text = CODE.format(metric=metric)
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return fingerprint(module.run)

    first = code()
    for old, new in [('"Doc."\n', '"Other."\n'), ("# a local", "# another"), ("seed: int", "seed"),
                     ("    return x\n", "    return 2 * x\n")]:  # fmt: skip
        assert code(old, new) == first, old
    for old, new in [("2.0", "3.0"), ("1.0", "1.5"), ("helper() +", "helper() -")]:
        assert code(old, new) != first, old
    assert code(metric="mean_reciprocal_rank") != first  # another function of the package


# --- the whole ledger ---------------------------------------------------------------------------

P1 = ["F1", "F2", "F3", "F4", "F5", "F6", "F7", "T1", "A1", "A2", *(f"C{i}" for i in range(1, 20))]
P2 = [*(f"F{i}" for i in range(1, 8)), "T1", "T2", *(f"C{i}" for i in range(1, 18))]


def test_no_row_of_the_papers_is_missing_and_none_is_empty():
    wanted = {*(f"P1-{row}" for row in P1), *(f"P2-{row}" for row in P2),
              *(f"R-{i}" for i in range(1, 9))}  # fmt: skip
    known = ledger.claims()
    assert wanted <= set(known), sorted(wanted - set(known))
    assert {name for c in known.values() for name in c.trials} == set(ledger.trials())
    found = registry.lines()
    assert set(found["claim"]) == set(known) and set(found["verdict"]) <= set(VERDICTS)
    assert (found["line"].str.len() > 3).all() and found.groupby("claim")["headline"].any().all()
    assert len(ledger.table()) == len(found) and len(ledger.summary()) == len(known)
    with pytest.raises(ConfigError, match="write P1-F4"):
        ledger.find("P1-F44")


@pytest.mark.parametrize("name", sorted(ledger.trials()))
def test_stored_results_fit_the_trial(name):
    assert set(ledger.trials()[name].seeds) <= set(ledger.results(name).index) <= set(WORLDS)


@pytest.mark.parametrize("name", sorted(n for n, t in ledger.trials().items() if t.cheap))
def test_a_cheap_trial_run_again_fits_what_was_stored(name):
    row, _ = runner.run_seed(name, SEEDS[0])
    stored = ledger.results(name)
    wide = 5 * stored.std() + 0.02 * stored.abs().mean() + 1e-9
    assert set(row) == set(stored)
    assert ((pd.Series(row) - stored.mean()).abs() <= wide).all()


def test_show_has_headline_lines_in_full_and_counts_the_others():
    text = ledger.show("02").data
    found = registry.lines("02")
    assert all((line in text) == head for line, head in zip(found["line"], found["headline"],
                                                            strict=True))  # fmt: skip
    assert "reproduced" in text and "LEDGER.md" in text and "further lines" in text


# --- the command --------------------------------------------------------------------------------


def test_a_plain_run_leaves_the_further_questions_out():
    further = {t.name for t in ledger.trials().values() if t.further}
    papers = {t.name for t in reproduce.chosen([])}
    assert further and papers.isdisjoint(further)
    assert {t.name for t in reproduce.chosen([], further=True)} == papers | further
    # No row of the papers hangs on them.
    own = {c.id for c in ledger.claims().values() if further.intersection(c.trials)}
    assert all(not name[-1].isdigit() for name in own), own


def test_claims_that_read_two_trials():
    claim = ledger.find("P2-T1")
    assert {t.name for t in reproduce.chosen(["P2-T1"])} == set(claim.trials)
    assert set(registry.results_of(claim)) == {
        column for name in claim.trials for column in ledger.results(name)
    }
    assert set(reproduce.judged({"frontiers"})) == {"P2-T1", "P2-C6"}
    assert reproduce.judged({"frontiers"}, stored=False) == []
    assert "P2-T1" in reproduce.judged({"frontiers", "mixtures"}, stored=False)


def test_seeds_of_the_options():
    assert reproduce.seeds_of(None, None, True) is None
    assert reproduce.seeds_of(7, None, True) == [1, 2, 3, 4, 5, 21, 22]
    assert reproduce.seeds_of(None, ["101", "102"], False) == [101, 102]


@pytest.mark.parametrize(
    ("worlds", "seeds", "message"),
    [(1, None, "2 to 15"), (16, None, "2 to 15"), (3, ["1", "2"], "one of them"),
     (None, ["101"], "two or more"), (None, ["101", "P1-F4"], "names before --seeds"),
     (None, ["101", "101"], "different"), (None, ["7", "101"], "on 7 settings were chosen"),
     (None, ["101", "-2"], "0 or above")],
)  # fmt: skip
def test_wrong_seeds_are_refused(worlds, seeds, message):
    with pytest.raises(ConfigError, match=message):
        reproduce.seeds_of(worlds, seeds, stored=False)


def test_other_worlds_are_judged_and_nothing_is_stored(chapter, cache, monkeypatch, capsys):
    chapter(CHAPTER)
    monkeypatch.setattr(store, "data_dir", lambda: cache)
    with pytest.raises(ConfigError, match="add --no-store"):
        reproduce.main(["made", "--seeds", "101", "102"])
    reproduce.main(["X-1", "--seeds", "101", "102", "--no-store", "--json", "--jobs", "1"])
    row = json.loads(capsys.readouterr().out)[0]
    assert (row["claim"], row["worlds"], row["mean"]) == ("X-1", 2, 101.5)
    assert row["verdict"] == "reproduced" and not (cache / "results").exists()
    reproduce.main(["X-1", "--worlds", "2", "--jobs", "1"])
    assert "1.5 ± 6.4" in capsys.readouterr().out
    assert store.load("made").index.tolist() == [1, 2]
    shutil.rmtree(cache / "results")
