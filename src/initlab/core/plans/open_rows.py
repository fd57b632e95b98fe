"""Rows whose numbers are open until a plan meets its model: scales from data, and parts of weights that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError
from initlab.core.laws import Calibrated, LowRank
from initlab.core.plans.calibration import calibrated_rows
from initlab.core.plans.low_rank import split_rows
from initlab.core.plans.plan import PlanEntry


def are_open(rows: Iterable[PlanEntry]) -> bool:
    """Whether the numbers of a row hang on a batch, or on what the model holds."""
    return any(isinstance(entry.law, Calibrated | LowRank) for entry in rows)


def check_example(rows: Iterable[PlanEntry], example: object) -> None:
    """Nothing, where there is an example, or no row that needs one.

    Raises:
        OptionError: A row's law waits for a pass, and there is nothing to pass.
    """
    waiting = [e for e in rows if isinstance(e.law, Calibrated | LowRank) and e.law.scale is None]
    if not waiting or example is not None:
        return
    fix = "give one, as initialize(model, scheme, example=batch), or return (model, batch) from the function"
    if isinstance(waiting[0].law, LowRank):
        what = f"the factor of the update of '{waiting[0].law.of}' is read off a pass, and there is no batch for it"
        raise OptionError(
            what, where="example", fix=f"{fix}; or give the factor, as {waiting[0].law.method}(scale=2.0)"
        )
    what = f"'{waiting[0].why}' is data-driven, and there is no batch to look at"
    raise OptionError(what, where="example", fix=fix)


def closed_rows(
    model: object, adapter: Adapter, rows: Mapping[str, PlanEntry], seed: int, example: object
) -> dict[str, PlanEntry]:
    """The same rows, each with a law that can be drawn; the model holds what it held.

    Args:
        model: The framework's model.
        adapter: The framework's side.
        rows: What is to be initialised, by canonical path.
        seed: Of the draw.
        example: What the model is called with; None where there is nothing.

    Raises:
        OptionError: There is no example where one is needed, or it gives no numbers.
        InitlabError: What ``capture`` raises.
    """
    check_example(rows.values(), example)
    return calibrated_rows(model, adapter, split_rows(model, adapter, rows, example), seed, example)
