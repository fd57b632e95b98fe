from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pytest
from tests.study.report_data import MNIST, Study, large_study, small_study

from initlab.core.training.dataset import Dataset
from initlab.report.study.class_figures import confusion_figure, example_pictures
from initlab.report.study.class_specs import confusion_spec
from initlab.report.study.html import report_html, write_report

SIDE = 28
PNG = b"\x89PNG\r\n\x1a\n"


def _images(rows: int = 60) -> Dataset:
    """Noise, which no compression makes smaller."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, SIDE * SIDE)).astype(np.float32)
    y = (np.arange(rows) % 10).astype(np.int32)
    return Dataset("mnist", x, y, x, y, class_names=MNIST.class_names, image_shape=(SIDE, SIDE))


def _with_images(study: Study, dataset: Dataset) -> Study:
    """Every run predicts all rows but each seventh right, and has weights into its first units."""
    rng = np.random.default_rng(1)
    predicted = np.where(np.arange(len(dataset.y_test)) % 7 == 0, (dataset.y_test + 1) % 10, dataset.y_test)
    weights = rng.normal(size=(2, 25, SIDE * SIDE)).astype(np.float32)
    records = [replace(r, predictions=predicted.astype(np.int32), first_weights=weights) for r in study.records]
    return replace(study, records=tuple(records))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return _images()


@pytest.fixture(scope="module")
def study(dataset) -> Study:
    return _with_images(large_study(seeds=6), dataset)


def _page(study: Study, dataset: Dataset | None) -> str:
    return report_html(study.design, study.records, study.analysis, study.facts, command="", dataset=dataset)


def test_fourteen_schemes_of_images_with_six_seeds_are_smaller_than_two_megabytes(tmp_path, study, dataset):
    asked = study.design, study.records, study.analysis, study.facts
    page = write_report(tmp_path / "report.html", *asked, "initlab compare mnist", dataset=dataset)
    assert page.stat().st_size < 2_000_000


def test_the_rows_of_a_confusion_matrix_add_up_to_the_rows_of_each_class_and_seed(study, dataset):
    figure = confusion_figure(study.design, study.records, dataset)
    matrix = figure.of("he_normal")
    assert [sum(row) for row in matrix.counts] == [6 * 6] * 10
    # Of 60 rows the first and each seventh after it is taken for the next class: row 0 is a 0 taken for a 1.
    assert matrix.counts[0][1] == 6


def test_a_run_that_diverged_is_in_no_confusion_matrix(study, dataset):
    assert confusion_figure(study.design, study.records, dataset).of("normal(std=1)").seeds == 5


def test_a_cell_of_the_drawn_matrix_is_the_mean_over_the_seeds(study, dataset):
    figure = confusion_figure(study.design, study.records, dataset)
    rows = confusion_spec(figure, figure.of("he_normal"))["data"]["values"]
    assert {"true": "0", "predicted": "1", "rows": 1.0, "share": 0.1667} in rows


def test_regression_has_no_confusion_matrix():
    study = small_study()
    x, y = np.zeros((4, 4), np.float32), np.zeros((4, 1), np.float32)
    assert confusion_figure(study.design, study.records, Dataset("x", x, y, x, y, kind="regression")) is None


def test_the_mistakes_shown_are_those_of_the_best_scheme(study, dataset):
    first, wrong = example_pictures(study.records, study.analysis, dataset)
    assert first.png.startswith(PNG)
    assert wrong.about == "This run gets 9 of 60 test images wrong; all are here."


def test_a_report_of_images_holds_examples_and_the_first_layer_as_png(study, dataset):
    page = _page(study, dataset)
    sources = re.findall(r'<img id="picture-([\w-]+)"[^>]* src="data:image/png;base64,([^"]+)"', page)
    assert [name for name, _ in sources] == ["examples", "mistakes", *(f"weights-{i}" for i in range(4))]
    assert all(base64.b64decode(data).startswith(PNG) for _, data in sources)


def test_without_the_data_a_report_has_neither_matrices_nor_pictures(study):
    page = _page(study, None)
    assert "chart-confusion" not in page
    assert 'class="picture"' not in page
