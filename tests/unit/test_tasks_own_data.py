"""A user's own arrays and tables: what becomes of them, and what is refused, in one line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError, UnknownNameError
from initlab.tasks import from_arrays, from_csv, load_task
from initlab.tasks.split import shuffled_split

X = np.arange(20.0).reshape(10, 2)
Y = np.arange(10) % 2


def test_no_row_is_lost_and_none_is_in_both_parts() -> None:
    ours = from_arrays(X, Y)
    assert sorted(np.concatenate([ours.x_train, ours.x_test])[:, 0].tolist()) == X[:, 0].tolist()


def test_each_row_keeps_its_label() -> None:
    ours = from_arrays(X, Y)
    assert (ours.x_train[:, 0] / 2 % 2).tolist() == ours.y_train.tolist()


def test_columns_stay_as_they_are_unless_standardised() -> None:
    train, _ = shuffled_split(10)
    assert np.array_equal(from_arrays(X, Y).x_train, X[train])


def test_standardised_columns_have_mean_zero_and_variance_one_in_training() -> None:
    x = from_arrays(X, Y, standardize=True).x_train
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=1e-7)
    np.testing.assert_allclose(x.std(axis=0), 1.0, rtol=1e-6)


def test_another_seed_is_another_split() -> None:
    assert from_arrays(X, Y, seed=1).y_test.tolist() != from_arrays(X, Y, seed=3).y_test.tolist()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a"] * 5, ("a", "b")),
        ([10, 9] * 5, ("9", "10")),
        ([1.0, 0.0] * 5, ("0", "1")),
        ([True, False] * 5, ("False", "True")),
        (np.array(["b", "a"] * 5, dtype=object), ("a", "b")),
    ],
)
def test_labels_of_any_kind_become_sorted_indices(labels: list[object], names: tuple[str, ...]) -> None:
    ours = from_arrays(X, labels)
    train, _ = shuffled_split(10)
    assert ours.class_names == names
    assert ours.y_train.tolist() == [1 - row % 2 for row in train]


def test_images_are_flattened_and_their_shape_is_kept() -> None:
    ours = from_arrays(np.zeros((10, 3, 5)), Y)
    assert (ours.x_train.shape, ours.image_shape) == ((8, 15), (3, 5))


def test_numbers_to_predict_become_a_float32_column() -> None:
    ours = from_arrays(X, X[:, 0] / 10, kind="regression")
    assert (ours.y_train.dtype, ours.y_train.shape, ours.outputs, ours.class_names) == (np.float32, (8, 1), 1, ())


def test_the_digest_tells_equal_data_from_a_changed_number_split_or_label() -> None:
    changed = X.copy()
    changed[3, 1] += 1
    variants = [
        from_arrays(X, Y),
        from_arrays(changed, Y),
        from_arrays(X, Y, seed=1),
        from_arrays(X, Y, standardize=True),
        from_arrays(X, np.array(["even", "odd"])[Y]),
    ]
    assert len({dataset.digest for dataset in variants}) == len(variants)
    assert from_arrays(X.copy(), Y).digest == variants[0].digest


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "words"),
    [
        (X, Y[:9], {}, ShapeError, "x has 10 rows and y has 9"),
        (X[:, 0], Y, {}, ShapeError, r"x has shape \(10,\)"),
        (X, X, {}, ShapeError, r"y has shape \(10, 2\)"),
        (np.where(X == 7, np.nan, X), Y, {}, DataError, r"no finite float32 \(row 3, counted from 0\)"),
        (np.where(X == 7, 1e39, X), Y, {}, DataError, "no finite float32"),
        ([["a", "b"]] * 10, Y, {}, DataError, "x holds something that is no number"),
        (X, Y * 0, {}, DataError, "y holds 1 class"),
        (X, Y + 0.5, {}, DataError, "y holds fractions, not classes"),
        (X, np.where(Y == 1, np.inf, 0.0), {}, DataError, "y holds fractions, not classes"),
        (X, np.array(["a", None] * 5, dtype=object), {}, DataError, r"no text \(row 1, counted from 0\)"),
        (X, Y, {"seed": 0.5}, OptionError, "seed must be a whole number"),
        (X, Y, {"kind": "ranking"}, OptionError, "unknown kind 'ranking'"),
        (X, Y, {"test_size": 0.0}, OptionError, "test_size must be between 0 and 1"),
        (X[:1], Y[:1], {"kind": "regression"}, DataError, "1 rows cannot be split"),
    ],
)
def test_arrays_that_no_network_can_take_are_refused(
    x: np.ndarray, y: np.ndarray, options: dict[str, str], error: type[InitlabError], words: str
) -> None:
    with pytest.raises(error, match=words):
        from_arrays(x, y, **options)


GOOD = "weight,length,fruit\n1,2,plum\n3,1,plum\n9,8,fig\n1,1,plum\n3,9,fig\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "fruit.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_table_of_iris_gives_the_task_iris(tmp_path: Path) -> None:
    bunch = datasets.load_iris()
    lines = [
        ",".join([*map(str, row), bunch.target_names[label]]) for row, label in zip(*bunch_rows(bunch), strict=True)
    ]
    ours, task = from_csv(write(tmp_path, "\n".join(lines))), load_task("iris")
    assert ours.class_names == task.class_names
    for part in ("x_train", "y_train", "x_test", "y_test"):
        assert np.array_equal(getattr(ours, part), getattr(task, part))


def bunch_rows(bunch: object) -> tuple[list[list[float]], list[int]]:
    return bunch.data.tolist(), bunch.target.tolist()  # type: ignore[attr-defined]


def test_a_named_column_is_the_target(tmp_path: Path) -> None:
    moved = "fruit,weight,length\nplum,1,2\nplum,3,1\nfig,9,8\nplum,1,1\nfig,3,9\n"
    ours = from_csv(write(tmp_path, moved), target="fruit")
    assert np.array_equal(ours.x_train, from_csv(write(tmp_path, GOOD)).x_train)


@pytest.mark.parametrize(
    "same",
    [
        GOOD.removeprefix("weight,length,fruit\n"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\n\n"),
        "\ufeff" + GOOD,
        GOOD.replace("plum", '"plum"').replace("fig", " fig "),
        gzip.compress(GOOD.encode(), mtime=0),
    ],
    ids=["no names", "CRLF", "blank lines", "byte-order mark", "quotes and blanks", "gzip"],
)
def test_the_same_table_written_otherwise_is_the_same_data_set(tmp_path: Path, same: str | bytes) -> None:
    assert from_csv(write(tmp_path, same)).digest == from_csv(write(tmp_path, GOOD)).digest


def test_whole_number_classes_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    text = GOOD.replace("plum", "10").replace("fig", "9")
    assert from_csv(write(tmp_path, text)).class_names == ("9", "10")


def test_a_column_of_fractions_can_be_predicted(tmp_path: Path) -> None:
    ours = from_csv(write(tmp_path, "a,b\n1,0.5\n2,1\n3,1.5\n"), kind="regression", standardize=False)
    assert np.array_equal(ours.y_train, ours.x_train / 2)


def test_the_data_set_is_named_after_its_file(tmp_path: Path) -> None:
    ours = from_csv(write(tmp_path, GOOD))
    assert (ours.name, ours.source) == ("fruit", "fruit.csv, a table of 5 rows")


@pytest.mark.parametrize(
    ("torn", "words"),
    [
        (GOOD.removesuffix(",9,fig\n"), r"row 6 has 1 fields, the first has 3 \(.*fruit.csv\): mend that row"),
        (GOOD.replace("9,8", "9,8,7"), "row 4 has 4 fields, the first has 3"),
        (GOOD.replace("9,8", "9,eight"), "row 4, length: 'eight' is no finite number"),
        (GOOD.replace("9,8", "inf,8"), "row 4, weight: 'inf' is no finite number"),
        (GOOD.replace("8,fig", "8, "), "row 4, target: the field is empty"),
        (GOOD.replace("9,8", '"9,8'), "row 6 cannot be read"),
        (GOOD.replace("plum", "fig"), "y holds 1 class"),
        ("", "the table needs a row of data and two columns or more"),
        ("weight,length,fruit\n", "the table needs a row of data and two columns or more"),
        ("1\n2\n", "the table needs a row of data and two columns or more"),
        (GOOD.encode().replace(b"plum", b"pl\xfcm"), "is not UTF-8"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-12], "the gzip stream is torn"),
    ],
)
def test_a_torn_table_is_one_line_with_the_row(tmp_path: Path, torn: str | bytes, words: str) -> None:
    path = write(tmp_path, torn)
    with pytest.raises(DataError, match=words) as caught:
        from_csv(path)
    assert "\n" not in str(caught.value)


def test_a_text_where_a_number_is_to_be_predicted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2, target: 'plum' is no number"):
        from_csv(write(tmp_path, GOOD), kind="regression")


def test_an_unknown_column_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown column of fruit.csv 'friut': Did you mean 'fruit'"):
        from_csv(write(tmp_path, GOOD), target="friut")


def test_a_missing_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the file cannot be read, No such file or directory \(.*none.csv\)"):
        from_csv(tmp_path / "none.csv")


def test_a_delimiter_of_two_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the delimiter must be one character, got ', '"):
        from_csv(write(tmp_path, GOOD), delimiter=", ")


def test_a_table_with_semicolons_is_read(tmp_path: Path) -> None:
    ours = from_csv(write(tmp_path, GOOD.replace(",", ";")), delimiter=";")
    assert ours.digest == from_csv(write(tmp_path, GOOD)).digest
