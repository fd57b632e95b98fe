"""Lines, tables and bars."""

from __future__ import annotations

import pytest

from initlab.core.errors import OptionError
from initlab.lessons import Bars, Table
from initlab.lessons.text import bar_lines, table_lines


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    lines = [line.text for line in table_lines(Table("nets", ("net", "loss"), (("a", "0.1"), ("abc", "12"))))]
    assert lines == ["nets", "  net  loss", "  a     0.1", "  abc    12"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(OptionError, match="1 cells under 2 columns"):
        Table("nets", ("net", "loss"), (("a",),))


def test_a_long_last_cell_is_folded_under_itself() -> None:
    lines = [line.text for line in table_lines(Table("t", ("a", "b"), (("x", "one two three"),)), width=16)]
    assert max(map(len, lines)) <= 16
    assert "".join(lines[2:]).split() == ["x", "one", "two", "three"]


def test_bars_share_one_logarithmic_scale() -> None:
    bars = Bars("loss", {"a": (1.0, 1e-4), "b": (1e-2, 1e-2)})
    assert [line.text.split()[1] for line in bar_lines(bars)][1:] == ["█▁", "▅▅"]


def test_what_is_no_positive_number_is_a_gap() -> None:
    text = list(bar_lines(Bars("loss", {"a": (1.0, float("nan"), 0.0)})))[-1].text
    assert "··" in text


def test_equal_numbers_are_drawn_flat_in_the_middle() -> None:
    assert "▅▅▅" in list(bar_lines(Bars("loss", {"a": (2.0, 2.0, 2.0)})))[-1].text


def test_many_numbers_are_thinned_and_keep_both_ends() -> None:
    values = tuple(float(10**-i) for i in range(100))
    line = list(bar_lines(Bars("signal", {"a": values}), width=80))[-1].text
    assert len(line) <= 80
    assert line.split()[1][0] == "█"
    assert line.split()[1][-1] == "▁"
