"""The four sets of the package, beside scikit-learn's; and what the list of tasks says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from initlab.core.errors import DataError, OptionError, UnknownNameError
from initlab.core.training.dataset import Dataset
from initlab.tasks import TASKS, load_task, register_task, tabular
from initlab.tasks.registry import Task
from initlab.tasks.split import shuffled_split, standardized

SKLEARN = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
STANDARDIZED = ("iris", "wine", "breast_cancer")
TABLES = {
    "iris": tabular._IRIS,
    "wine": tabular._WINE,
    "breast_cancer": tabular._BREAST_CANCER,
    "digits": tabular._DIGITS,
}


@pytest.fixture
def own_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(TASKS, "_items", dict(TASKS._items))
    monkeypatch.setattr(TASKS, "_keys", dict(TASKS._keys))


@pytest.mark.parametrize("name", SKLEARN)
def test_every_number_is_that_of_scikit_learn(name: str) -> None:
    theirs = SKLEARN[name]()
    x, y = TABLES[name].read()
    assert np.array_equal(x, theirs.data)
    assert np.array_equal(y, theirs.target)


@pytest.mark.parametrize("name", SKLEARN)
def test_class_names_are_those_of_scikit_learn(name: str) -> None:
    assert load_task(name).class_names == tuple(map(str, SKLEARN[name]().target_names))


@pytest.mark.parametrize("rows", [2, 3, 10, 149, 150, 178, 569, 1797])
@pytest.mark.parametrize("test_size", [0.1, 0.2, 0.25, 1 / 3])
@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
def test_the_split_has_the_rows_and_the_order_of_scikit_learn(rows: int, test_size: float, seed: int) -> None:
    train, test = shuffled_split(rows, test_size=test_size, seed=seed)
    their_train, their_test = train_test_split(np.arange(rows), test_size=test_size, random_state=seed)
    assert train.tolist() == their_train.tolist()
    assert test.tolist() == their_test.tolist()


@pytest.mark.parametrize("name", SKLEARN)
def test_labels_come_in_the_order_of_train_test_split(name: str) -> None:
    _, _, y_train, y_test = train_test_split(*SKLEARN[name](return_X_y=True), test_size=0.2, random_state=42)
    ours = load_task(name)
    assert ours.y_train.tolist() == y_train.tolist()
    assert ours.y_test.tolist() == y_test.tolist()


@pytest.mark.parametrize("name", STANDARDIZED)
def test_inputs_are_those_of_a_scaler_fitted_on_the_training_rows(name: str) -> None:
    x_train, x_test, _, _ = train_test_split(*SKLEARN[name](return_X_y=True), test_size=0.2, random_state=42)
    scaler = StandardScaler().fit(x_train)
    ours = load_task(name)
    for mine, theirs in ((ours.x_train, scaler.transform(x_train)), (ours.x_test, scaler.transform(x_test))):
        # The two float64 variances may differ in their last bits: at most one float32 apart, and nearly always equal.
        np.testing.assert_array_max_ulp(mine, theirs.astype(np.float32), maxulp=1)


def test_digits_are_sixteenths_from_zero_to_one() -> None:
    digits = load_task("digits")
    theirs, _, _, _ = train_test_split(*datasets.load_digits(return_X_y=True), test_size=0.2, random_state=42)
    assert np.array_equal(digits.x_train * 16, theirs)


def test_a_column_that_is_constant_in_training_is_only_centred() -> None:
    # 0.1 has no exact mean over 10 rows in binary, so dividing by a computed std would blow rounding up.
    train, test = standardized(np.full((10, 1), 0.1), np.array([[0.1], [1.1]]))
    assert train.tolist() == [[0.0]] * 10
    assert test.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize("name", TABLES)
def test_the_list_tells_the_true_size(name: str) -> None:
    task, dataset = TASKS[name], load_task(name)
    assert task.rows == len(dataset.x_train) + len(dataset.x_test)
    assert (task.features, task.classes) == (dataset.features, dataset.outputs)


@pytest.mark.parametrize("name", TABLES)
def test_arrays_have_the_types_that_trainers_take(name: str) -> None:
    dataset = load_task(name)
    assert {dataset.x_train.dtype, dataset.x_test.dtype} == {np.dtype(np.float32)}
    assert {dataset.y_train.dtype, dataset.y_test.dtype} == {np.dtype(np.int32)}


def test_every_name_is_listed() -> None:
    names = ["mnist", "fashion_mnist", "mnist_5k", "recall", "iris", "wine", "breast_cancer", "digits"]
    assert list(TASKS) == names


def test_every_digest_differs() -> None:
    assert len({load_task(name).digest for name in TABLES}) == 4


def test_every_file_of_the_package_is_attributed() -> None:
    folder = Path(tabular.__file__).parent / "data"
    text = (folder / "LICENSES.md").read_text(encoding="utf-8")
    files = {path.name for path in folder.iterdir() if ".csv" in path.name}
    assert files == {table.file for table in TABLES.values()}
    assert all(f"`{file}`" in text for file in files)


def test_a_changed_file_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = (Path(tabular.__file__).parent / "data" / "iris.csv").read_bytes()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "iris.csv").write_bytes(genuine.replace(b"5.1,3.5", b"5.2,3.5", 1))
    monkeypatch.setattr(tabular, "__file__", str(tmp_path / "tabular.py"))
    with pytest.raises(DataError, match=r"a file of initlab's own was changed .*iris.csv.*: install initlab again"):
        load_task("iris")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'irsi': Did you mean 'iris'"):
        load_task("irsi")


@pytest.mark.parametrize(("alias", "name"), [("mnist-5k", "mnist_5k"), ("FashionMNIST", "fashion_mnist")])
def test_names_are_matched_without_dashes_and_case(alias: str, name: str) -> None:
    assert TASKS[alias].name == name


def test_an_unknown_option_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown option of mnist 'scael': Did you mean 'scale'"):
        load_task("mnist", scael="unit")


def test_an_option_that_a_set_has_not_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown option of iris 'scale': Known: preprocess, split"):
        load_task("iris", scale="unit")


def test_a_folder_for_a_set_that_reads_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="iris travels with initlab"):
        load_task("iris", data=tmp_path)


@pytest.mark.usefixtures("own_tasks")
def test_a_registered_function_is_loaded_by_name_with_its_options() -> None:
    @register_task("copies", title="t", source="s", license="CC0", rows=4, aliases=("clones",))
    def copies(*, data: Path | None = None, of: str = "iris") -> Dataset:
        return load_task(of)

    assert load_task("clones", of="wine").name == "wine"
    assert TASKS["copies"] == Task("copies", "t", "s", "CC0", copies, rows=4)


@pytest.mark.usefixtures("own_tasks")
def test_a_taken_name_is_refused() -> None:
    with pytest.raises(OptionError, match="the data set name 'iris' is taken"):
        register_task("iris", title="t", source="s", license="CC0")(load_task)


@pytest.mark.parametrize(("options", "words"), [({"test_size": 1.0}, "test_size"), ({"seed": -1}, "seed must be")])
def test_an_option_of_the_split_out_of_range_is_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        shuffled_split(10, **options)


def test_one_row_cannot_be_split() -> None:
    with pytest.raises(DataError, match="1 rows cannot be split"):
        shuffled_split(1)
