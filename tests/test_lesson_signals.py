"""What chapter 04 writes: against plain twins, and examples worked by hand."""

import math

import numpy as np
import pytest
import torch

from course import simulate
from course.exercises import registry
from course.lessons import candidate_generation as cg
from course.lessons import signals as sg
from course.paths import load_by_path
from course.tasks.next_watch import Moments, NextWatch

_given = load_by_path(registry.folder() / "chapter_04.py")._given


@pytest.fixture(scope="module")
def game():
    return NextWatch(simulate("village", seed=3, cache=False).logs())


@pytest.fixture(scope="module")
def told(game):
    rows = game.examples()
    tell = sg.teller(game.train, game.videos, game.at)
    return tell(Moments.of_events(game.train, rows)), torch.tensor(
        rows["video_id"].to_numpy(np.int64)
    )


def test_ages_by_hand():
    found = sg.age_inputs(np.array([12.0, 39.0, 45.0]), 42.0)
    want = [[1.0, 1.0, 1.0], [0.1, 0.01, math.sqrt(0.1)], [-0.1, 0.01, 0.0]]
    np.testing.assert_allclose(found, want)


def test_inputs_give_a_column_or_rows_of_all():
    given = sg.Inputs(a=torch.arange(3), b=torch.eye(3))
    assert given["a"].tolist() == [0, 1, 2]
    part = given[torch.tensor([2, 0])]
    assert isinstance(part, sg.Inputs) and part["a"].tolist() == [2, 0]
    assert part["b"].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_teller_says_what_is_known_of_a_moment(game):
    rows = game.examples().tail(5)
    moments = Moments.of_events(game.train, rows)
    given = sg.teller(game.train, game.videos, game.at)(moments)
    user = game.train.users.iloc[int(rows["user_id"].iloc[2])]
    country, gender, band = (
        game.train.users[name].cat.categories[int(code)]
        for name, code in zip(
            ("country", "gender", "age_band"),
            (given["region"][2, 0], *given["person"][2, :2]), strict=True,
        )
    )  # fmt: skip
    assert (country, gender, band) == (user["country"], user["gender"], user["age_band"])
    assert bool(given["person"][2, 2]) == user["logged_in"]
    a = (game.at - rows["time"].to_numpy()) / 30
    np.testing.assert_allclose(given["age"][:, 0], a, rtol=1e-5)
    later = sg.teller(game.train, game.videos, game.at, served=6.0)(moments)
    np.testing.assert_allclose(later["age"], [[0.2, 0.04, 0.2**0.5]] * 5, rtol=1e-5)
    assert torch.equal(later["watches"], given["watches"])
    assert all(given[kind].max() < max(of.values()) for kind, of in sg.KINDS.items())


def test_the_network_against_a_loop_by_hand():
    model = sg.AllSignals(15, dim=4, widths=(6, 5), skip=True)
    given = _given(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for i, got in enumerate(model(given)):
            parts = []
            for name, empty in (("watches", 15), ("searches", sg.TOKENS)):
                ids = [k for k in given[name][i].tolist() if k != empty]
                x = sum((model.bags[name].weight[k] for k in ids), torch.zeros(4))
                x = x / max(1, len(ids))
                x = (x - x.mean()) / (x.var(unbiased=False) + model.norms[name].eps).sqrt()
                parts += [*x.tolist(), math.log(1 + len(ids))]
            parts += given["age"][i].tolist()
            for name in ("region", "person", "moment"):
                for table, code in zip(model.codes[name], given[name][i].tolist(), strict=True):
                    parts += table.weight[code].tolist()
            x = torch.tensor(parts)
            hidden = x
            for layer in (model.tower.tower[0], model.tower.tower[2]):
                hidden = (layer.weight @ hidden + layer.bias).clamp(min=0)
            both = torch.cat([hidden, x])
            want = torch.cat([model.last.weight @ both + model.last.bias, torch.ones(1)])
            torch.testing.assert_close(got, want)


def test_a_signal_that_is_left_out_changes_nothing():
    blind = sg.AllSignals(15, ("watches", "moment"), dim=4, widths=(6,))
    given = _given(torch.Generator().manual_seed(1))
    before = blind(given)
    for name in ("searches", "age", "region", "person"):
        given[name] = given[name].flip(0)
    assert torch.equal(blind(given), before)
    given["moment"] = given["moment"].flip(0)
    assert not torch.equal(blind(given), before)


def test_with_a_skip_a_tower_that_says_nothing_leaves_the_linear_map():
    model = sg.AllSignals(15, dim=4, widths=(6,), skip=True)
    linear = sg.AllSignals(15, dim=4, widths=())
    same = {n: v for n, v in model.state_dict().items() if not n.startswith(("tower", "last"))}
    linear.load_state_dict(same, strict=False)
    with torch.no_grad():
        model.last.weight[:, :6] = 0
        linear.last.weight.copy_(model.last.weight[:, 6:])
        linear.last.bias.copy_(model.last.bias)
    given = _given(torch.Generator().manual_seed(2))
    torch.testing.assert_close(model(given), linear(given))


def test_a_cross_starts_as_the_network_and_then_differs_by_its_cell():
    crossed = sg.Crossed(15, dim=4, widths=())
    given = _given(torch.Generator().manual_seed(2))
    plain = sg.AllSignals.forward(crossed, given)
    assert torch.equal(crossed(given), plain)
    cell = crossed.cell(given)
    codes = zip(given["moment"].tolist(), given["person"].tolist(), strict=True)
    assert cell.tolist() == [20 * d + 5 * part + band for (d, part), (_, band, _) in codes]
    with torch.no_grad():
        crossed.cells.weight[cell[0]] += 1
    moved = (crossed(given) - plain)[:, :-1].sum(dim=1)
    torch.testing.assert_close(moved, 4.0 * (cell == cell[0]))


def trained(game, told, signals):
    given, label = told
    counts = torch.bincount(label, minlength=game.videos)
    model = sg.AllSignals(game.videos, signals, dim=16, widths=(), counts=counts, loud=10.0)
    cg.train(model, given, label, rate=0.03, tower_rate=0.01, passes=5, batch=128)
    return model


def test_a_clock_is_learned_and_without_one_the_lives_are_flat(game, told):
    given, ages = told[0][torch.arange(0, 800, 20)], np.array([1.0, 8.0, 15.0])
    clock, blind = (trained(game, told, names) for names in (("watches", "age"), ("watches",)))
    flat = sg.class_probabilities(blind, given, ages)
    assert np.allclose(flat, flat[0]) and np.allclose(flat.sum(axis=1), 1, atol=1e-4)
    bent = sg.class_probabilities(clock, given, ages)
    new = game.train.videos["uploaded"].to_numpy()[: game.videos] > game.at - 8
    assert bent[0, new].sum() > 1.5 * bent[2, new].sum()  # not there yet two weeks before
    with torch.no_grad():
        scores = clock(given) @ clock.output.weight.T
    some = Moments.of_events(game.train, game.examples().iloc[0:800:20])
    asked = sg.answers(clock, sg.teller(game.train, game.videos, game.at))(some)
    np.testing.assert_allclose(asked, scores, rtol=1e-4, atol=1e-5)


def test_shares_of_a_day_against_counting(game):
    days = np.arange(6, 20)
    share = sg.daily_shares(game, days)
    assert np.allclose(share.sum(axis=1), 1.0)
    watches = game.train.watches
    of_day = watches[watches["time"].between(9, 10, inclusive="left")]["video_id"]
    video = int(of_day.mode()[0])
    assert share[3, video] == pytest.approx((of_day == video).mean())


def test_lives_are_moved_to_the_upload(game):
    days = np.arange(6, 20)
    curves = np.arange(len(days) * game.videos, dtype=float).reshape(len(days), -1)
    video = int(np.flatnonzero(game.train.videos["uploaded"].between(8, 15))[0])
    born = int(np.floor(game.train.videos["uploaded"][video]))
    span = np.arange(6 - born - 1, 6 - born + 3)  # begins a day before the first there is
    (life,) = sg.since_upload(curves, days, game, np.array([video]), span)
    assert np.isnan(life[0]) and life[1:].tolist() == curves[:3, video].tolist()


def test_launched_videos_are_young_and_watched(game):
    found = sg.launched(game, 5, 20, least=20)
    uploaded = game.train.videos["uploaded"].to_numpy()[found]
    count = np.bincount(game.train.watches["video_id"], minlength=game.videos)[found]
    assert len(found) and ((uploaded >= 5) & (uploaded <= 20)).all()
    assert (count >= 20).all() and (np.diff(count) <= 0).all()
