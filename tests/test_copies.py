"""Copies of the chapters: nothing that a reader wrote is ever lost, and news arrive."""

import json

import pytest

from course.workshop import bootstrap, commands, copies


def notebook(*texts, heading="## 2. The loop", outputs=()):
    cells = [{"id": "h", "cell_type": "markdown", "metadata": {}, "source": [heading]}]
    cells += [{"id": f"c{i}", "cell_type": "code", "metadata": {}, "source": text,
               "outputs": list(outputs), "execution_count": None}
              for i, text in enumerate(texts)]  # fmt: skip
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def shelf(tmp_path):
    """A course with two chapters and a page, and a reader's folder that is not there yet."""
    course = tmp_path / "notebooks"
    (course / "solutions").mkdir(parents=True)
    (course / "00_a.ipynb").write_text(notebook("first", "second"), encoding="utf-8")
    (course / "01_b.ipynb").write_text(notebook("third"), encoding="utf-8")
    (course / "NOTATION.md").write_text("x is a vector", encoding="utf-8")
    (course / "solutions" / "00_a.ipynb").write_text(notebook("solved"), encoding="utf-8")
    return course, tmp_path / "deep" / "mine"


def write(path, *texts, **more):
    path.write_text(notebook(*texts, **more), encoding="utf-8")


def test_first_copies_and_then_nothing(shelf, capsys):
    course, mine = shelf
    assert set(copies.bring(mine, course).values()) == {"copied"}
    assert sorted(p.name for p in mine.iterdir()) == sorted(
        ["00_a.ipynb", "01_b.ipynb", "NOTATION.md", copies.RECORD]
    )
    capsys.readouterr()
    assert set(copies.bring(mine, course).values()) == {"same"} and not capsys.readouterr().out


def test_news_replace_what_nobody_touched(shelf):
    course, mine = shelf
    copies.bring(mine, course)
    write(mine / "00_a.ipynb", "first", "second", outputs=[{"output_type": "stream"}])  # only run
    write(course / "00_a.ipynb", "first", "second, better")
    (course / "NOTATION.md").write_text("x is a row", encoding="utf-8")
    write(course / "02_c.ipynb", "new")
    done = copies.bring(mine, course)
    assert done == {"00_a.ipynb": "renewed", "01_b.ipynb": "same", "02_c.ipynb": "copied",
                    "NOTATION.md": "renewed"}  # fmt: skip
    assert (mine / "00_a.ipynb").read_text(encoding="utf-8").count("better") == 1


def test_what_the_reader_wrote_stays_and_news_are_named(shelf, capsys):
    course, mine = shelf
    copies.bring(mine, course)
    write(mine / "00_a.ipynb", "first", "my answer")
    assert copies.bring(mine, course)["00_a.ipynb"] == "same"  # nothing new: nothing is said
    write(course / "00_a.ipynb", "first", "second, better", "one more")
    capsys.readouterr()
    for _ in range(2):  # it is said until it is settled
        assert copies.bring(mine, course)["00_a.ipynb"] == "kept"
        said = capsys.readouterr().out
        assert "2. The loop (2 cells)" in said and "it is yours" in said
    assert "my answer" in (mine / "00_a.ipynb").read_text(encoding="utf-8")
    (mine / "00_a.ipynb").rename(mine / "00_old.ipynb")  # as the message proposes
    assert copies.bring(mine, course)["00_a.ipynb"] == "copied"
    assert (mine / "00_old.ipynb").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}', "\x00"])
def test_a_broken_copy_or_record_is_kept_and_harms_nothing(shelf, content):
    course, mine = shelf
    copies.bring(mine, course)
    (mine / "00_a.ipynb").write_text(content, encoding="utf-8")
    (mine / copies.RECORD).write_text(content, encoding="utf-8")
    done = copies.bring(mine, course)
    assert done["00_a.ipynb"] == "kept" and done["01_b.ipynb"] == "same"
    assert (mine / "00_a.ipynb").read_text(encoding="utf-8") == content
    (course / "01_b.ipynb").write_text(notebook("third, better"), encoding="utf-8")
    assert copies.bring(mine, course)["01_b.ipynb"] == "renewed"  # the record was made anew


def test_copies_from_before_the_record(shelf):
    course, mine = shelf
    mine.mkdir(parents=True)
    write(mine / "00_a.ipynb", "an older text")
    assert copies.bring(mine, course)["00_a.ipynb"] == "kept"


def test_the_package_alone_has_nothing_to_copy(tmp_path):
    with pytest.raises(bootstrap.SetupError, match="clone the whole repository"):
        copies.bring(tmp_path / "mine", tmp_path)
    assert not (tmp_path / "mine").exists()


def test_open_makes_copies_and_opens_the_first(tmp_path, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(bootstrap, "call", lambda command, **how: begun.append((command, how)) or 0)
    mine = tmp_path / "my own"
    assert commands.open_course(bootstrap.ROOT / "python", mine) == 0
    assert (mine / commands.FIRST).exists() and str(mine) in capsys.readouterr().out
    command, how = begun[0]
    assert f"--ServerApp.root_dir={mine}" in command and how["cwd"] == str(mine)
    assert f"--LabApp.default_url=/lab/tree/{commands.FIRST}" in command


def test_a_read_only_repository_puts_copies_at_home(monkeypatch, tmp_path):
    assert commands.own_folder() == bootstrap.ROOT / "my-notebooks"
    monkeypatch.setattr(bootstrap, "writable", lambda folder: folder != bootstrap.ROOT)
    assert commands.own_folder().parent == commands.Path.home()
    monkeypatch.setattr(bootstrap, "writable", lambda folder: False)
    with pytest.raises(bootstrap.SetupError, match="Set HOME"):
        commands.refuse_unwritable_home()
    for name in ("CONFIG", "RUNTIME", "DATA"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path))
    commands.refuse_unwritable_home()
