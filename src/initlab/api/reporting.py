"""The verb of finished studies: their report made again, and two of them compared."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from initlab.api.tables import CUSTOM
from initlab.core.errors import DataError, InitlabError, StoreError
from initlab.core.files import check_target
from initlab.core.training.dataset import Dataset
from initlab.report.study.difference import Difference, difference_of
from initlab.report.study.html import write_report
from initlab.report.study.saved import SavedStudy, read_comparison, read_saved
from initlab.study.analysis import analyse
from initlab.study.design import data_options
from initlab.tasks import load_task
from initlab.tasks.download import offline


def report(folder: str | Path, *, out: str | Path | None = None, data: str | Path | None = None) -> Path:
    """Write the report of a finished comparison again, from its folder alone.

    Args:
        folder: What ``compare`` wrote.
        out: The report's file; ``report.html`` in the folder where left out.
        data: Folder or file of the data set, where it does not travel with initlab; without the data the report has no
            confusion matrices and no pictures.

    Returns:
        The report's file.

    Raises:
        StoreError: The folder holds no comparison, or what it holds is damaged.
        DataError: The data are not those of the study, or were the user's own rows.
    """
    target = Path(out) if out is not None else Path(folder) / "report.html"
    saved = read_saved(folder)
    check_target(target, option="out" if out is not None else "")
    analysis = analyse(
        saved.design, saved.records, ratio=saved.facts.rows_test / saved.facts.rows_train, notes=saved.facts.notes
    )
    return write_report(
        target,
        saved.design,
        saved.records,
        analysis,
        saved.facts,
        saved.command,
        dataset=_dataset(saved, data),
        logging=saved.logging,
    )


def _dataset(saved: SavedStudy, data: str | Path | None) -> Dataset | None:
    """The study's data, None where they are not at hand and were not named."""
    if data is not None and saved.design.task == CUSTOM:
        raise DataError("the study's data were rows of your own, which are not read again", fix="leave data out")
    try:
        with offline() if data is None else nullcontext():
            found = load_task(saved.design.task, data=data, **data_options(saved.design))
    except InitlabError:
        if data is not None:
            raise
        return None
    if found.digest == saved.facts.digest:
        return found
    if data is not None:
        raise DataError("the data are not those of the study", where=str(data), fix="name the folder it was made from")
    return None


def difference(first: str | Path, second: str | Path) -> Difference:
    """What differs between two finished comparisons, scheme by scheme, and whether it is more than luck.

    Args:
        first: The folder of a comparison, or its ``comparison.json``.
        second: Another.

    Raises:
        StoreError: One of them is no comparison, or is damaged.
        OptionError: One tells accuracies and the other losses.
    """
    try:
        return difference_of(read_comparison(first), read_comparison(second))
    except (KeyError, TypeError) as error:
        fix = "run the comparisons again, finished runs are kept"
        raise StoreError(f"a comparison is damaged: {error}", where=f"{first}, {second}", fix=fix) from error
