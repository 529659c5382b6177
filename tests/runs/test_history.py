"""history.csv: every bit of it, through crashes and resumes."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.runs.history import HEADER, History, Row, read

ROWS = (
    Row(100, 0.1, 2.0, 70.0),
    Row(200, float(np.float32(0.01)), 1 / 3, 5e-324, 0.25, 12.5),
    Row(300, validation_error=11.0),
)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "history.csv"


def written(path: Path) -> History:
    history = History(path)
    for row in ROWS:
        history.append(row)
    return history


def test_the_file_is_plain(path):
    written(path)
    assert path.read_bytes().decode() == (
        "iteration,learning_rate,loss,training_error,validation_loss,validation_error\n"
        "100,0.1,2.0,70.0,,\n"
        "200,0.009999999776482582,0.3333333333333333,5e-324,0.25,12.5\n"
        "300,,,,,11.0\n"
    )


def test_rows_come_back_to_the_bit(path):
    assert tuple(written(path).rows()) == ROWS
    assert tuple(History(path).rows()) == tuple(read(path)) == ROWS


def test_numpy_numbers_are_written_like_python_s(path):
    History(path).append(Row(np.int64(5), np.float32(0.5), np.float64(math.inf), math.nan))
    assert path.read_text().splitlines()[1] == "5,0.5,inf,nan,,"


def test_each_row_is_in_the_file_at_once(path):
    history = History(path)
    assert path.read_text() == HEADER + "\n"
    history.append(ROWS[0])
    assert tuple(History(path).rows()) == ROWS[:1]


def test_resumed_equals_uninterrupted(path, tmp_path):
    expected = written(tmp_path / "uninterrupted.csv").path.read_bytes()
    written(path)
    history = History(path)
    history.replace(list(ROWS[:1]))
    assert tuple(History(path).rows()) == ROWS[:1]
    for row in ROWS[1:]:
        history.append(row)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("rows", [(), ROWS[:1], ROWS[1:], ROWS, (*ROWS, Row(400, 0.5)), (Row(7, 0.1), Row(9))])
def test_the_rows_become_those_of_a_checkpoint_whatever_was_there(path, tmp_path, rows):
    """Also those that this machine has never seen."""
    for history in (written(path), History(tmp_path / "empty.csv")):
        history.replace(list(rows))
        assert tuple(history.rows()) == tuple(History(history.path).rows()) == rows
        history.append(Row(1000))
        assert tuple(History(history.path).rows()) == (*rows, Row(1000))


def test_a_file_that_is_right_is_not_written_again(path):
    """It may be on a disk that is full or slow."""
    before = written(path).path.stat()
    history = History(path)
    history.replace(list(ROWS))
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_rows_of_the_caller_stay_his(path):
    rows = list(ROWS[:1])
    history = History(path)
    history.replace(rows)
    history.append(ROWS[1])
    assert rows == list(ROWS[:1])


def test_a_torn_line_is_dropped_wherever_it_tore(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # a millisecond and more, hundreds of times
    written(path)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        rows = max(whole[:length].count(b"\n") - 1, 0)
        assert tuple(read(path)) == ROWS[:rows]
        assert path.read_bytes() == whole[:length], "reading changes nothing"
        assert tuple(History(path).rows()) == ROWS[:rows]
        History(path).append(Row(1000))
        assert tuple(History(path).rows()) == (*ROWS[:rows], Row(1000))


@pytest.mark.parametrize("content", ["epoch,loss\n1,2\n", "hello", "\n", HEADER + ",seconds\n"])
def test_a_foreign_file_is_refused_and_left_alone(path, content):
    path.write_text(content)
    with pytest.raises(
        ValueError, match=r"history.csv is damaged in line 1: it must be iteration,learning_rate.*Received"
    ):
        History(path)
    assert path.read_text() == content


def test_a_file_that_is_not_there_has_no_rows_and_reading_makes_none(path):
    assert read(path) == [] and not path.exists()


@pytest.mark.parametrize("line", ["100,0.1", "x,,,,,", "100,fast,,,,", "100,,,,,,", "", "50,,,,,", "49,,,,,"])
def test_a_damaged_row_is_named(path, line):
    path.write_text(f"{HEADER}\n50,,,,,\n{line}\n200,,,,,\n")
    for reader in (read, History):
        with pytest.raises(ValueError, match=r"history.csv is damaged in line 3: "):
            reader(path)


@pytest.mark.parametrize("iteration", [300, 299])
def test_iterations_only_grow(path, iteration):
    history = written(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"`iteration` must be above 300.*Received: iteration={iteration}"):
        history.append(Row(iteration))
    assert path.read_bytes() == before


def test_what_there_was_can_be_kept_under_a_free_name(path):
    history = History(path)
    assert history.keep() is None
    history.append(Row(100, 0.1))
    before = path.read_bytes()
    assert [history.keep().name for _ in range(2)] == ["history-1.csv", "history-2.csv"]
    assert path.with_name("history-1.csv").read_bytes() == path.read_bytes() == before
