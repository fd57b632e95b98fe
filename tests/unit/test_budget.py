"""The length of a training run."""

from __future__ import annotations

import pytest

from initlab.core.errors import OptionError
from initlab.core.training.protocol import Budget


def test_one_epoch_of_single_rows_is_a_step_a_row() -> None:
    assert Budget(epochs=1, batch_size=1).steps(7) == 7


@pytest.mark.parametrize("value", [0, -1, 1.0, True])
@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_what_is_no_whole_number_of_one_or_more_is_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be a whole number of 1 or more, got {value!r}"):
        Budget(**{"epochs": 3, "batch_size": 4} | {name: value})
