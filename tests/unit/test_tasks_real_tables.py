"""Tables as people have them: separators, pandas' index, counted rows, prices as whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import DataError
from initlab.tasks import from_csv


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
