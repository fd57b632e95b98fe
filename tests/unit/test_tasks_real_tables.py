"""Tables as people have them: separators, pandas' index, counted rows, prices as whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.real_tables import houses, passengers, wines

from initlab.core.errors import DataError
from initlab.tasks import from_csv
from initlab.tasks.columns import CategoryColumn, NumberColumn
from initlab.tasks.split import grouped_split, shuffled_split


def written(folder: Path, lines: list[str]) -> Path:
    (folder / "table.csv").write_text("\n".join(lines))
    return folder / "table.csv"


@pytest.mark.parametrize(("sign", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")])
def test_the_separator_is_found_and_said(sign: str, name: str, tmp_path: Path) -> None:
    rows = [sign.join((str(0.7 * i), str(i % 3 + 0.5), "ab"[i % 2])) for i in range(12)]
    found = from_csv(written(tmp_path, [sign.join(('"fixed, acidity"', "pH", "kind")), *rows]))
    assert (found.features, found.class_names) == (2, ("a", "b"))
    assert found.notes == f"Fields are separated by {name}."


def test_the_index_that_pandas_writes_is_dropped_and_said(tmp_path: Path) -> None:
    rows = [f"{i},{0.5 * i * i},{'yes' if i % 2 else 'no'}" for i in range(10)]
    found = from_csv(written(tmp_path, [",size,kind", *rows]))
    assert found.features == 1
    assert "Dropped, since it counts the rows: the first column." in found.notes


def test_a_column_that_counts_from_one_is_an_identifier_and_a_shuffled_one_is_not(tmp_path: Path) -> None:
    counted = [f"{i + 1},{i % 4},{i % 2}" for i in range(10)]
    assert from_csv(written(tmp_path, ["PassengerId,class,survived", *counted])).features == 1
    shuffled = [f"{(7 * i) % 10},{i % 4},{i % 2}" for i in range(10)]
    assert from_csv(written(tmp_path, ["rank,class,survived", *shuffled])).features == 2


def test_the_target_is_named_and_may_stand_first(tmp_path: Path) -> None:
    found = from_csv(written(tmp_path, ["kind,size", *[f"{'ab'[i % 2]},{i * 1.5}" for i in range(8)]]), target="kind")
    assert (found.class_names, found.features) == (("a", "b"), 1)


def test_many_whole_numbers_are_predicted_and_few_are_classes(tmp_path: Path) -> None:
    prices = [f"{0.3 * i},{100000 + 1500 * i}" for i in range(30)]
    assert from_csv(written(tmp_path, ["area,price", *prices]), kind=None).kind == "regression"
    grades = [f"{0.3 * i},{3 + i % 6}" for i in range(30)]
    found = from_csv(written(tmp_path, ["area,quality", *grades]), kind=None)
    assert (found.kind, found.class_names) == ("classification", ("3", "4", "5", "6", "7", "8"))
    assert set(np.unique(found.y_train)) <= set(range(6))


def test_a_table_of_nothing_but_counts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="every column but the target counts the rows"):
        from_csv(written(tmp_path, ["id,kind", *[f"{i},{i % 2}" for i in range(9)]]))


def test_gaps_are_filled_by_the_training_rows_alone_and_marked() -> None:
    column = NumberColumn("age", np.array([1.0, np.nan, 5.0, 100.0, np.nan]))
    train = np.array([0, 1, 2])
    assert column.fitted(train, standardize=False).tolist() == [[1, 0], [3, 1], [5, 0], [100, 0], [3, 1]]
    scaled = column.fitted(train, standardize=True)[:, 0]
    assert scaled[:3] == pytest.approx(np.array([-2, 0, 2]) / np.sqrt(8 / 3), rel=1e-6)


def test_a_mark_that_no_training_row_has_is_not_shown_to_a_network_that_never_saw_it() -> None:
    column = NumberColumn("age", np.array([1.0, 2.0, np.nan]))
    assert column.fitted(np.array([0, 1]), standardize=False).tolist() == [[1, 0], [2, 0], [1.5, 0]]


def test_levels_that_are_rare_or_unseen_in_training_are_other() -> None:
    words = ("S", "S", "S", "C", "C", "C", "Q", "", "C")
    column = CategoryColumn("port", words)
    assert (column.levels, column.has_others) == (("C", "S"), True)
    everywhere = column.fitted(np.arange(9), standardize=True)
    assert everywhere[[0, 3, 6, 7]].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1]]
    unseen = column.fitted(np.array([0, 1, 2, 6]), standardize=True)
    assert unseen[[0, 3, 6]].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]


def test_copies_of_a_row_never_straddle_a_split_and_rows_without_copies_are_split_as_ever() -> None:
    groups = np.array([0, 1, 2, 0, 4, 5, 1, 7, 8, 9])
    for seed in range(20):
        train, test = grouped_split(groups, test_size=0.3, seed=seed)
        assert not {*groups[train]} & {*groups[test]}
        assert (len(test), sorted([*train, *test])) == (3, list(range(10)))
    alone = grouped_split(np.arange(10), test_size=0.3, seed=7)
    assert [part.tolist() for part in alone] == [part.tolist() for part in shuffled_split(10, test_size=0.3, seed=7)]


def test_a_table_of_one_row_again_and_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="copies of each other"):
        from_csv(written(tmp_path, ["size,kind", *["1,a"] * 9, *["2,b"] * 9]))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["2010-05-03", "2011-07-12"], "column sold: '2010-05-03' is a date or time"),
        (["3.5.2010", "12.7.2011"], "column sold: '3.5.2010' is a date or time"),
        (["May 3, 2010", "12 July 2011"], "column sold: 'May 3, 2010' is a date or time"),
        (["2010-05-03T10:00:00Z", ""], "is a date or time"),
        (["10:30", "22:15"], "is a date or time"),
        (["$1.200", "$900"], "column sold: '$1.200' is a number with signs"),
        (["12 %", "7 %"], "is a number with signs"),
    ],
)
def test_dates_and_dressed_up_numbers_are_refused_by_name(cells: list[str], words: str, tmp_path: Path) -> None:
    rows = [f"{i * 1.5};{cells[i % 2]};{'ab'[i % 2]}" for i in range(8)]
    with pytest.raises(DataError, match=words.replace("$", r"\$")):
        from_csv(written(tmp_path, ["size;sold;kind", *rows]))


def test_decimal_commas_are_read_where_fields_are_separated_otherwise(tmp_path: Path) -> None:
    found = from_csv(written(tmp_path, ["size;kind", *[f"{i},5;{'ab'[i % 2]}" for i in range(8)]]), standardize=False)
    assert sorted(found.x_train[:, 0].tolist() + found.x_test[:, 0].tolist()) == [i + 0.5 for i in range(8)]
    assert "Decimal commas: size." in found.notes


def test_a_table_of_categories_without_names_keeps_its_first_row(tmp_path: Path) -> None:
    rows = [f"{'xyz'[i % 3]},{'st'[i % 2]},{'pe'[(i // 2) % 2]}" for i in range(24)]
    found = from_csv(written(tmp_path, rows))
    assert len(found.x_train) + len(found.x_test) == 24
    assert "column 1 (3 levels), column 2 (2 levels)" in found.notes


@pytest.mark.parametrize("label", ["", "NA", "nan", "?"])
def test_a_missing_label_is_never_a_class(label: str, tmp_path: Path) -> None:
    rows = [*[f"{i},{'yes' if i % 2 else 'no'}" for i in range(1, 9)], f"5,{label}"]
    with pytest.raises(DataError, match="row 10, target"):
        from_csv(written(tmp_path, ["size,kind", *rows]))


def test_a_target_of_all_different_words_is_no_set_of_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the target has 30 different words in 30 rows"):
        from_csv(written(tmp_path, ["size,name", *[f"{i * i},n{i}" for i in range(30)]]))


def test_the_tables_that_everyone_has_are_read_at_first_try_and_told(tmp_path: Path) -> None:
    wine = from_csv(written(tmp_path, wines()), kind=None)
    assert (wine.kind, wine.class_names, wine.features) == ("classification", ("3", "4", "5", "6", "7", "8"), 4)
    assert "Fields are separated by semicolons." in wine.notes
    assert "Copies of other rows, on the same side of the split: " in wine.notes
    titanic = from_csv(written(tmp_path, passengers()), target="Survived", kind=None)
    assert titanic.class_names == ("0", "1")
    assert "it counts the rows: PassengerId" in titanic.notes
    assert "every row has another text: Name" in titanic.notes
    assert "Sex (2 levels)" in titanic.notes
    assert all(name in titanic.notes.partition("Gaps filled")[2] for name in ("Age", "Cabin", "Embarked"))
    house = from_csv(written(tmp_path, houses()), kind=None)
    assert (house.kind, house.class_names) == ("regression", ())
    assert house.y_train.std() == pytest.approx(1.0, rel=1e-5)
    assert "a test loss of 1 is that of their mean" in house.notes


def test_words_that_are_all_rare_are_dropped_and_said_unless_some_are_missing(tmp_path: Path) -> None:
    rows = [f"t{i // 2},{i * 0.5},{i % 2}" for i in range(40)]
    found = from_csv(written(tmp_path, ["ticket,fare,survived", *rows]))
    assert found.features == 1
    assert "Dropped, since each of its words is rare: ticket." in found.notes
    rows = [f"{'' if i % 3 else f't{i // 2}'},{i * 0.5},{i % 2}" for i in range(40)]
    assert from_csv(written(tmp_path, ["ticket,fare,survived", *rows, "t0,9.5,1"])).features == 3


def test_every_split_of_a_table_has_the_same_inputs(tmp_path: Path) -> None:
    path = written(tmp_path, passengers())
    shapes = {from_csv(path, target="Survived", seed=seed).features for seed in range(42, 52)}
    assert len(shapes) == 1
    parts = [from_csv(path, target="Survived", seed=seed) for seed in (42, 43)]
    assert all(np.isfinite(part.x_train).all() and np.isfinite(part.x_test).all() for part in parts)
    assert parts[0].digest != parts[1].digest
