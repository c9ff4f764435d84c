"""Widgets: controls and their corners, one picture, errors that stay, the game."""

from __future__ import annotations

import ipywidgets
import numpy as np
import pytest

from course.plots import COLOURS, colour, figure, floor_and_ceiling, interval, look, png
from course.plots.palette import SAME_AS
from course.plots.style import styled
from course.widgets import (
    PREDICTIONS,
    Card,
    Choice,
    Deal,
    FloatSlider,
    IntSlider,
    RecommenderGame,
    Toggle,
    WidgetError,
    corners,
    predict,
    sliders,
)

PNG = b"\x89PNG\r\n\x1a\n"
CONTROLS = {
    "frequency": FloatSlider(0.5, 4, 0.1, 1.0, label="waves per second"),
    "points": IntSlider(20, 100, 20, 40),
    "shape": Choice(["sine", "square"]),
    "grid": Toggle(True),
}


def wave(frequency, points=50, shape="sine", grid=True, phase=0.0):
    fig, ax = figure(height=2.5)
    x = np.linspace(0, 1, points)
    y = np.sin(2 * np.pi * frequency * x + phase)
    ax.plot(x, np.sign(y) if shape == "square" else y)
    ax.set_title(f"{shape} {frequency:.2f}")
    ax.grid(grid)
    return fig


def children(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from children(child)


# --- controls and sliders


def test_corners_cover_both_ends_of_every_control():
    tried = list(corners(CONTROLS))
    assert len(tried) == 3 * 3 * 2 * 2
    for name, ends in {"frequency": {0.5, 4.0}, "points": {20, 100}, "grid": {True, False}}.items():
        assert ends <= {values[name] for values in tried}


@pytest.mark.parametrize("values", list(corners({k: CONTROLS[k] for k in ("frequency", "shape")})))
def test_every_corner_gives_a_picture(values):
    shown = sliders(wave, **CONTROLS, fixed={"phase": 0.3}).set(**values)
    assert shown.png == png(wave(**{**shown.values, "phase": 0.3}))
    assert {name: shown.values[name] for name in values} == values


def test_one_picture_only_after_many_moves():
    shown = sliders(wave, **CONTROLS)
    pictures = {shown.png}
    for frequency in (0.5, 1.5, 2.5, 3.5):
        shown.set(frequency=frequency)
        pictures.add(shown.png)
    assert len(pictures) == 5 and all(picture.startswith(PNG) for picture in pictures)
    kinds = [type(part) for part in children(shown.widget)]
    assert kinds.count(ipywidgets.Image) == 1
    assert ipywidgets.Output not in kinds


def test_controls_act_on_release_and_are_built_from_keyboard_elements():
    shown = sliders(wave, **CONTROLS)
    for part in children(shown.widget):
        if hasattr(part, "continuous_update"):
            assert part.continuous_update is False
            assert part.style.description_width == "initial"
    assert shown.values == {"frequency": 1.0, "points": 40, "shape": "sine", "grid": True}


def test_slider_values_are_free_of_floating_point_dust():
    seen = []

    def draw(x):
        seen.append(x)
        return wave(1)

    shown = sliders(draw, x=(0.0, 1.0, 0.1, 0.0))
    shown._inputs["x"].value = 0.1 + 0.2
    assert seen[-1] == 0.3


def test_short_forms_become_controls():
    shown = sliders(wave, frequency=(0.5, 4.0, 0.5, 1.0), points=(20, 60, 20, 20), grid=False,
                    shape=["square", "sine"])  # fmt: skip
    kinds = [type(control) for control in shown.controls.values()]
    assert kinds == [FloatSlider, IntSlider, Toggle, Choice]


def test_a_choice_can_be_used_by_keyboard_in_jupyterlab():
    # JupyterLab takes the arrow keys of drop-down lists and radio buttons for itself.
    few = sliders(wave, frequency=(1, 9, 1, 1), shape=["sine", "square"])
    many = sliders(lambda letter: wave(1), letter=list("abcdefgh"))
    asked = predict("t-0", "?", ["a", "b"])
    kinds = {type(part) for shown in (few, many, asked) for part in children(shown.widget)}
    assert kinds >= {ipywidgets.ToggleButtons, ipywidgets.SelectionSlider, ipywidgets.Button}
    assert not kinds & {ipywidgets.Dropdown, ipywidgets.RadioButtons, ipywidgets.Select}
    assert many.set(letter="h").values == {"letter": "h"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: FloatSlider(1, 1, 0.1, 1),
        lambda: FloatSlider(0, 1, 0, 0),
        lambda: FloatSlider(0, 1, 0.1, 2),
        lambda: IntSlider(5, 1, 1, 3),
        lambda: Choice([]),
        lambda: Choice(["a"], "b"),
        lambda: sliders(wave),
        lambda: sliders(wave, frequency="fast"),
        lambda: sliders(wave, frequency=(1.0, 2.0, 0.5, 1.0), fixed={"frequency": 3}),
        lambda: sliders(wave, frequency=(1.0, 2.0, 0.5, 1.0)).set(frequency=9),
        lambda: sliders(wave, frequency=(1.0, 2.0, 0.5, 1.0)).set(colour="red"),
        lambda: sliders(wave, frequency=1.0, points=IntSlider(1, 9, 1, 3)).set(points=2.5),
    ],
)
def test_unusable_controls_and_values_are_refused(make):
    with pytest.raises(WidgetError):
        make()


def test_error_at_first_display_fails_the_cell():
    with pytest.raises(ZeroDivisionError):
        sliders(lambda x: 1 / 0, x=(0, 1, 1, 0))


def test_error_in_a_callback_is_shown_stays_and_is_raised_by_set():
    def draw(x):
        if x == 2:
            raise ValueError("two is <not> allowed")
        return wave(x)

    shown = sliders(draw, x=(1, 5, 1, 1))
    before = shown.png
    with pytest.raises(ValueError, match="two is"):
        shown.set(x=2)
    assert "ValueError" in shown.error_html and "&lt;not&gt;" in shown.error_html
    assert "draw" in shown.error_html, "the error does not name the function it came from"
    assert shown.png == before
    shown.set(x=3)
    assert shown.error_html == "" and shown.error is None and shown.png != before


def test_a_callback_error_does_not_escape_into_the_front_end():
    shown = sliders(lambda x: wave(1 / (2 - x)), x=(1, 5, 1, 1))
    shown._inputs["x"].value = 2  # what the browser does
    assert "ZeroDivisionError" in shown.error_html


def test_wrong_return_value_is_explained():
    with pytest.raises(WidgetError, match="returned int"):
        sliders(lambda x: x, x=(0, 1, 1, 0))


def test_progress_reaches_the_reader_and_goes_away():
    said = []

    def slow(x, progress):
        for step in range(3):
            progress(step, 3, "training")
            said.append(shown._stage.status.value if ready else "")
        return wave(1), f"<b>x is {x}</b>"

    ready = False
    shown = sliders(slow, x=(0, 3, 1, 0))
    ready = True
    shown.set(x=1)
    assert said[3:] and all("working" in text and "training" in text for text in said[3:])
    assert "33 %" in said[4]
    assert shown._stage.status.value == "" and shown._stage.text.value.startswith("<b>x is 1</b>")


# --- predict first


def test_prediction_is_kept_and_shown_beside_the_result():
    PREDICTIONS.clear()
    asked = predict("t-1", "What happens?", ["it rises", "it falls"])
    assert asked.choice is None
    folded = asked.note("It rises.")
    assert repr(folded) == "It came out: It rises."
    assert folded._repr_html_().startswith("<details") and " open" not in folded._repr_html_()
    asked.choose("it falls")
    note = asked.note("It <b>rises</b>.")
    assert "it falls" in note._repr_html_() and "<b>rises</b>" in note._repr_html_()
    assert "<details" not in note._repr_html_()
    assert repr(note) == "You expected: it falls\nIt came out: It rises."
    assert predict("t-1", "What happens?", ["it rises", "it falls"]).choice == "it falls"
    assert predict("t-1", "Another?", ["yes", "no"]).choice is None
    PREDICTIONS.clear()


def test_what_came_out_is_shown_wherever_it_stands_and_opens_with_the_choice(monkeypatch):
    PREDICTIONS.clear()
    shown = []

    class Place:
        def update(self, note):
            shown.append(note)

    def display(note, display_id):
        shown.append(note)
        return Place()

    monkeypatch.setattr("course.widgets.prediction.display", display)
    asked = predict("t-3", "?", ["a", "b"])
    assert asked.beside("B.") is None and "<details" in shown[0]._repr_html_()
    asked.choose("a")
    assert repr(shown[1]) == "You expected: a\nIt came out: B."
    PREDICTIONS.clear()


def test_prediction_refuses_bad_options():
    with pytest.raises(WidgetError):
        predict("t-2", "?", ["only one"])
    with pytest.raises(WidgetError):
        predict("t-2", "?", ["a", "b"]).choose("c")


# --- you are the recommender


def fake_deal(number, cards=8):
    made = [
        Card(100 * number + i, f"Video <{i}>", "A channel", 65 + i, i, 10**i, b"<svg/>")
        for i in range(cards)
    ]
    return Deal(
        f"<b>viewer {number}</b>", made, secret={card.video_id: card.views for card in made}
    )


def fake_score(deal, picks, history):
    fig, ax = figure(height=2)
    ax.barh(["you"], [sum(deal.secret[video_id] for video_id in picks)])
    return fig, f"you picked {picks} after {len(history)}"


def press(game, *video_ids):
    """Press the buttons of these cards, as the browser does (once more takes a pick back)."""
    for video_id in video_ids:
        game._buttons[video_id].value = not game._buttons[video_id].value
    return game


def test_a_round_of_the_game():
    game = RecommenderGame(fake_deal, fake_score, picks=3)
    game.recommend_button.click()  # nothing is picked: nothing happens
    assert game.recommend_button.disabled and game.png == b"" and not game.history
    press(game, 5, 2, 7)
    assert game.picked == [5, 2, 7] and not game.recommend_button.disabled
    shown = [game._buttons[v].description for v in (5, 2, 7)]
    assert shown == ["✓ place 1", "✓ place 2", "✓ place 3"]
    game.recommend_button.click()
    assert game.done and game.png.startswith(PNG)
    assert game.history == [(game.deal, (5, 2, 7))]
    assert game._stage.text.value.startswith("you picked (5, 2, 7) after 0")


def test_a_pick_can_be_taken_back_and_a_full_page_takes_no_more():
    game = press(RecommenderGame(fake_deal, fake_score, picks=2), 1, 2)
    assert game._buttons[3].disabled and not game._buttons[1].disabled
    press(game, 1, 3)
    assert game.picked == [2, 3]


def test_another_viewer_starts_a_clean_round():
    game = press(RecommenderGame(fake_deal, fake_score, picks=2), 1, 2)
    for _ in range(2):  # once more changes nothing
        game.recommend_button.click()
    game.another_button.click()
    assert game.round == 1 and game.picked == [] and game.png == b""
    assert "viewer 1" in game._viewer.value and set(game._buttons) == set(range(100, 108))
    assert len(game.history) == 1
    press(game, 100, 101).recommend_button.click()
    assert "after 1<span" in game._stage.text.value


def test_the_game_keeps_one_picture_and_uses_buttons_only():
    game = RecommenderGame(fake_deal, fake_score, picks=2)
    for _ in range(3):
        first, second, *_rest = (card.video_id for card in game.deal.cards)
        press(game, first, second).recommend_button.click()
        game.another_button.click()
    parts = list(children(game.widget))
    assert sum(isinstance(part, ipywidgets.Image) for part in parts) == 1
    assert sum(isinstance(part, ipywidgets.ToggleButton) for part in parts) == 8
    text = "".join(part.value for part in parts if isinstance(part, ipywidgets.HTML))
    assert "<0>" not in text and "&lt;0&gt;" in text, "titles must be escaped"


def test_errors_of_the_game_are_shown():
    def broken(deal, picks, history):
        raise KeyError("no truth")

    game = press(RecommenderGame(fake_deal, broken, picks=1), 0)
    game.recommend_button.click()
    assert "KeyError" in game.error_html and not game.done and not game.history
    game = RecommenderGame(lambda number: fake_deal(number, 8 - 7 * number), fake_score, picks=2)
    game.another_button.click()
    assert "deals 1 cards" in game.error_html
    with pytest.raises(WidgetError, match="deals 8 cards"):
        RecommenderGame(fake_deal, fake_score, picks=9)
    with pytest.raises(WidgetError, match="each id once"):
        Deal("", [fake_deal(0).cards[0]] * 2)


# --- the look of figures


def test_a_figure_shows_itself_with_words_and_without_an_address():
    fig = wave(1)
    data, metadata = fig._repr_mimebundle_()
    assert data["image/png"].startswith(PNG)
    assert 'alt="Figure: sine 1.00" width="880" height="250"' in data["text/html"]
    assert data["text/plain"] == repr(fig) == "Figure: sine 1.00"
    assert metadata["image/png"] == {"width": 880, "height": 250, "alt": "Figure: sine 1.00"}
    assert png(wave(1)) == png(wave(1))


def test_figures_do_not_depend_on_the_readers_settings():
    import matplotlib as mpl

    @styled
    def drawn():
        fig, ax = figure(title="a")
        ax.plot([1, 2], [1.5, 3.0], label="random")
        ax.legend()
        ax.set(title="b", xlabel="c")
        return png(fig)

    plain = drawn()
    for setting in (
        {"axes.facecolor": "red", "font.size": 30},
        {"text.usetex": True},
        {"savefig.bbox": "tight", "savefig.pad_inches": 2.0},
        {"axes.titlepad": 90.0, "lines.dash_joinstyle": "bevel", "axes.xmargin": 0.4},
    ):
        with mpl.rc_context(setting):
            before = dict(mpl.rcParams)
            assert drawn() == plain, setting
            assert dict(mpl.rcParams) == before, "the reader's settings are given back"


def test_text_that_a_reader_writes_needs_no_latex():
    import matplotlib as mpl

    fig, ax = figure(title="a")
    with mpl.rc_context({"text.usetex": True}):
        ax.text(0.5, 0.5, "50 % of \\it")
        ax.legend(["x"])
        assert png(fig).startswith(PNG)


def test_interval_is_students():
    mean, half = interval([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    # t(0.975, 2 degrees of freedom) = 4.3027, standard error = 1 / sqrt(3)
    assert mean == pytest.approx([2, 5]) and half == pytest.approx([4.3027 / 3**0.5, 0], abs=1e-3)
    assert np.isnan(interval([[1.0]])[1]).all()


def test_floor_and_ceiling_stay_inside_the_frame():
    ax = figure()[1]
    ax.plot([0, 1], [0.4, 0.5])
    floor_and_ceiling(ax, -2.0, 3.0)
    low, high = ax.get_xlim()
    assert low < -2 and high > 3
    assert {text.get_text() for text in ax.texts} == {"random", "oracle"}


def test_names_have_lasting_colours():
    assert colour("MMoE") == colour("multitask") == COLOURS["multitask"]
    assert set(SAME_AS.values()) <= set(COLOURS)
    assert colour("a method nobody knows") == colour("a method nobody knows")
    assert look("random") != look("popularity")


# Methods that meet in one figure.
MEET = [
    ["random", "popularity", "matrix factorization", "deep candidates", "oracle"],
    ["random", "recent popularity", "co-watched", "matrix factorization", "deep candidates"],
    ["full softmax", "sampled softmax", "sampled softmax with correction", "hierarchical softmax"],
    ["linear", "trees", "click ranker", "watch-time ranker", "oracle"],
    ["single task", "shared bottom", "one gate", "multitask"],
    ["no treatment", "position as input", "adversarial", "inverse propensity", "shallow tower"],
    ["control", "treatment", "oracle"],
    ["random", "popularity", "logistic regression", "oracle", "you"],
]


def seen_by(rgb, kind):
    """Linear light of a colour as seen with a missing cone (Viénot, Brettel and Mollon, 1999)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = {
        "full": np.eye(3),
        "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }[kind]
    return np.clip(np.asarray(matrix) @ linear, 0, 1)


def lab(linear):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.asarray(to_xyz) @ linear / [0.9505, 1, 1.089]
    fx, fy, fz = (np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("names", MEET)
@pytest.mark.parametrize("kind", ["full", "protan", "deutan"])
def test_colours_that_meet_can_be_told_apart(names, kind):
    from matplotlib.colors import to_rgb

    places = {name: lab(seen_by(np.array(to_rgb(COLOURS[name])), kind)) for name in names}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.linalg.norm(places[one] - places[other]) > 15, (one, other)


@pytest.mark.parametrize("name", COLOURS)
def test_lines_stand_out_from_white(name):
    from matplotlib.colors import to_rgb

    luminance = seen_by(np.array(to_rgb(COLOURS[name])), "full") @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) > 2.2


def test_a_picture_of_a_widget_brings_its_words():
    shown = sliders(wave, frequency=(1, 3, 1, 2), shape=["sine", "square"]).set(shape="square")
    assert "class='course-alt' hidden>Figure: square 2.00</span>" in shown._stage.text.value
