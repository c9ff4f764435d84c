"""The ledger: the rule of the verdict, the stored results, the interruptible runner."""

import json

import numpy as np
import pandas as pd
import pytest

from course import claims
from course.claims import registry, reproduce, store
from course.claims.claim import Claim, Contrast, Trial
from course.errors import CacheError, ConfigError

SIX = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 1.0, 1.0]}, index=[1, 2, 3])


def contrast(low=None, high=None, column="a"):
    return Contrast("a (units)", lambda t: t[column], low, high)


def claim(*contrasts):
    return Claim("T-1", "99", "title", "paper", "trial", contrasts)


def constant(seed):
    return {"x": 1.0 * seed, "y": 0.5}


TRIAL = Trial("hand-made", constant, seeds=(1, 2, 3))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_interval_against_a_table_of_students_t():
    """Three seeds: mean 2, sd 1, t(2, .975) = 4.3027, t(2, .8) = 1.0607."""
    found = contrast(0.0).judge(SIX)
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert found.detectable == pytest.approx((4.3027 + 1.0607) / np.sqrt(3), rel=1e-4)
    assert found.ours == "2.0 ± 2.5"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-1.0, None, "holds"), (0.0, None, "undecided"), (4.6, None, "fails"), (None, -0.6, "fails"),
     (None, 4.5, "holds"), (-1.0, 5.0, "holds"), (1.0, 3.0, "undecided"),
     (None, None, "shown only")],
)  # fmt: skip
def test_outcome_follows_the_interval(low, high, outcome):
    assert contrast(low, high).judge(SIX).outcome == outcome


def test_a_number_that_is_not_finite_decides_nothing():
    table = SIX.assign(a=[1.0, np.nan, 1.0])
    assert contrast(0.0).judge(table).outcome == "undecided"


def test_verdict_counts_what_holds():
    holds, fails, shown = contrast(-1.0), contrast(4.6), contrast()
    assert claim(holds, shown).verdict(SIX) == "reproduced"
    assert claim(holds, fails).verdict(SIX) == "partly"
    assert claim(fails).verdict(SIX) == "not reproduced"
    assert Claim("T-2", "99", "t", "p", untestable="no sound").verdict(None) == (
        "cannot be tested here"
    )


def test_a_constant_is_allowed():
    found = contrast(0.5, column="b").judge(SIX)
    assert (found.outcome, found.ours) == ("holds", "1")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Trial("one", constant, seeds=(1,)),
        lambda: Trial("twice", constant, seeds=(1, 1)),
        lambda: contrast(2.0, 1.0),
        lambda: claim(contrast()),
        lambda: Claim("T", "99", "t", "p"),
        lambda: Contrast("scalar", lambda t: 1.0, 0.0).judge(SIX),
    ],
)
def test_what_cannot_be_judged_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_results_are_stored_and_read_back(cache):
    paths = reproduce.run_trials([TRIAL], jobs=1, folder=cache, run=run_here, progress=False)
    table = store.load("hand-made", cache)
    assert paths == [cache / "hand-made.json"]
    assert table.index.tolist() == [1, 2, 3] and table["x"].tolist() == [1.0, 2.0, 3.0]
    assert table.attrs["code"] == reproduce.fingerprint(TRIAL)
    assert not list((cache / "cache" / "reproduce").glob("*.json"))  # nothing left behind


def run_here(name, seed):
    return constant(seed), 0.1


def test_an_interrupted_run_goes_on_where_it_stopped(cache):
    ran = []

    def breaks(name, seed):
        if seed == 3:
            raise KeyboardInterrupt
        ran.append(seed)
        return run_here(name, seed)

    def goes_on(name, seed):
        ran.append(seed)
        return run_here(name, seed)

    with pytest.raises(KeyboardInterrupt):
        reproduce.run_trials([TRIAL], jobs=1, folder=cache, run=breaks, progress=False)
    assert not (cache / "hand-made.json").exists()
    reproduce.run_trials([TRIAL], jobs=1, folder=cache, run=goes_on, progress=False)
    assert ran == [1, 2, 3]
    assert len(store.load("hand-made", cache)) == 3


def test_a_first_look_stores_nothing_and_a_full_run_goes_on_from_it(cache):
    ran = []

    def counted(name, seed):
        ran.append(seed)
        return run_here(name, seed)

    look = cache / "look"
    options = {"jobs": 1, "run": counted, "progress": False}
    reproduce.first_look([TRIAL], 2, folder=look, **options)
    assert store.load("hand-made", look).index.tolist() == [1, 2]
    assert not (cache / "hand-made.json").exists()
    reproduce.run_trials([TRIAL], folder=cache, **options)
    assert ran == [1, 2, 3] and len(store.load("hand-made", cache)) == 3
    with pytest.raises(ConfigError, match="2 or more"):
        reproduce.first_look([TRIAL], 1, folder=look)


def test_fresh_forgets_and_a_broken_leftover_is_run_again(cache):
    kept = reproduce._kept_file(TRIAL, 2)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text('[{"x": 99', encoding="utf-8")
    reproduce.run_trials([TRIAL], jobs=1, folder=cache, run=run_here, progress=False)
    kept.write_text('[{"x": 99.0, "y": 0.5}, 1.0]', encoding="utf-8")
    reproduce.run_trials([TRIAL], jobs=1, fresh=True, folder=cache, run=run_here, progress=False)
    assert store.load("hand-made", cache)["x"].tolist() == [1.0, 2.0, 3.0]


def test_seeds_with_different_numbers_are_refused_and_nothing_is_written(cache):
    def uneven(name, seed):
        return ({"x": 1.0} if seed < 3 else {"z": 1.0}), 0.1

    with pytest.raises(ConfigError, match="seed 3"):
        reproduce.run_trials([TRIAL], jobs=1, folder=cache, run=uneven, progress=False)
    assert not (cache / "hand-made.json").exists()


def test_missing_and_broken_files_say_how_to_make_them(tmp_path):
    with pytest.raises(CacheError, match="reproduce nothing"):
        store.load("nothing", tmp_path)
    (tmp_path / "broken.json").write_text('{"seeds": [1]}', encoding="utf-8")
    with pytest.raises(CacheError, match="reproduce broken"):
        store.load("broken", tmp_path)


def test_a_run_that_does_not_fit_is_noticed():
    stored = pd.DataFrame({"x": [1.0, 1.1, 0.9, 1.0, 1.05]})
    assert not store.disagreements(stored, {"x": 1.1}, 1)
    assert store.disagreements(stored, {"x": 2.0}, 1)
    assert store.disagreements(stored, {}, 1)


def test_every_claim_has_its_trial_and_every_stored_trial_its_claims():
    known = claims.trials()
    used = {c.trial for c in claims.claims().values() if c.trial}
    assert used == set(known)


def test_an_unknown_claim_names_the_closest():
    if claims.claims():
        with pytest.raises(ConfigError, match="P"):
            claims.find("P1-F99")


@pytest.mark.parametrize("name", sorted(claims.trials()))
def test_stored_results_fit_the_trial_and_can_be_judged(name):
    trial = claims.trials()[name]
    table = claims.results(name)
    assert tuple(table.index) == trial.seeds
    for one in claims.claims().values():
        if one.trial == name:
            everything = registry.results_of(one)
            assert one.verdict(everything) in ("reproduced", "partly", "not reproduced")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n, t in claims.trials().items() if t.cheap))
def test_a_cheap_trial_run_again_fits_what_was_stored(name):
    trial = claims.trials()[name]
    row, _ = reproduce.run_seed(name, trial.seeds[0])
    assert not store.disagreements(claims.results(name), row, trial.seeds[0])


def test_fingerprint_ignores_comments_only(tmp_path, monkeypatch):
    """The same code with other comments has the same name; another number has not."""
    import importlib.util
    import sys

    def load(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return reproduce.fingerprint(Trial(name, module.run))

    first = load("one", 'def run(seed):\n    "Doc."\n    return {"x": 1.0}\n')
    again = load("two", 'def run(seed):\n    "Other."\n    # note\n    return {"x": 1.0}\n')
    other = load("three", 'def run(seed):\n    "Doc."\n    return {"x": 2.0}\n')
    assert first == again != other


def test_ledger_as_table_and_in_short():
    table, short = claims.table(), claims.summary()
    assert len(short) == len(claims.claims())
    assert set(table["verdict"]) <= {
        "", "reproduced", "partly", "not reproduced", "cannot be tested here"
    }  # fmt: skip
    json.dumps(short.to_dict("records"))


def test_a_plain_run_leaves_the_further_questions_out():
    further = {t.name for t in registry.trials().values() if t.further}
    papers = {t.name for t in reproduce.chosen([])}
    assert further and papers.isdisjoint(further)
    assert {t.name for t in reproduce.chosen([], further=True)} == papers | further
    # No row of the papers hangs on them.
    own = {c.id for c in registry.claims().values() if further.intersection(c.trials)}
    assert all(not name[-1].isdigit() for name in own), own


def test_a_claim_may_read_two_trials():
    claim = registry.claims()["P2-T1b"]
    assert {t.name for t in reproduce.chosen(["P2-T1b"])} == set(claim.trials)
    assert len(claim.trials) == 2
    both = registry.results_of(claim)
    assert set(both) == {c for name in claim.trials for c in registry.results(name)}


def test_what_a_trial_judges():
    assert set(reproduce.judged({"multitask_context"})) == {"P2-T1b", "P2-F5b"}
    assert reproduce.judged({"multitask_context"}, stored=False) == []
    assert "P2-T1b" in reproduce.judged({"multitask_context", "multitask"}, stored=False)
