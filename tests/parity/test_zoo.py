"""The parity table: what three frameworks say of one model is the same, or the table names it with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.parity.comparison import Difference, Outcome, compare_frameworks, covers, outcome
from tests.parity.drifts import DRIFTS, Drift
from tests.parity.page import PAGE, exceptions, page, row
from tests.parity.zoo import NETS
from tests.parity.zoo.chains import two_layers
from tests.parity.zoo.net import FRAMEWORKS, Framework, Reason

KEPT = PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", NETS)
def test_the_table_names_every_difference_and_no_other(name: str) -> None:
    net, found = NETS[name], outcome(name)
    assert [str(one) for one in found.unexplained(net)] == []
    assert found.stale(net) == []
    lacking = [line for line in (row(net, found), *exceptions(net)) if line not in KEPT]
    assert lacking == [], "run ./dev docs"


def test_the_page_holds_nothing_but_the_table() -> None:
    # The numbers of a row are compared above, where they are computed anyway.
    blank = Outcome({"fact": 0, "predicted": 0, "measured": 0}, (), {})

    def without_numbers(lines: list[str]) -> list[str]:
        names = {f"| {name}" for name in NETS}
        return [line.rsplit(" | ", 3)[0] if line.rsplit(" | ", 3)[0] in names else line for line in lines]

    assert without_numbers(KEPT) == without_numbers(page(lambda _: blank).splitlines())


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.case)
def test_a_case_that_is_easy_to_get_wrong_is_right(drift: Drift, framework: Framework) -> None:
    assert drift.told(framework) == drift.elsewhere.get(framework, drift.right)


def test_a_planted_activation_is_found_and_its_healthy_twin_is_not() -> None:
    net = NETS["an output bias of 3 and -0.5"]
    assert outcome(net.name).unexplained(net) == []
    planted = replace(net, keras=two_layers("tanh", 2)["keras"])
    found = {(one.where, one.fact): one.values for one in compare_frameworks(planted).unexplained(planted)}
    assert found["fc/weight", "f_out"] == {"torch": "relu", "keras": "tanh", "flax": "relu"}
    assert found["head/weight", "f_in"] == {"torch": "relu", "keras": "tanh", "flax": "relu"}


DIFFERENT = Difference("fact", "fc/weight", "role", {"torch": "dense", "keras": "dense", "flax": "scale"})


@pytest.mark.parametrize(
    ("reason", "covered"),
    [
        (Reason("role", "fc/*", ("flax",), ""), True),
        (Reason("fact role", "*", ("flax",), ""), True),
        (Reason("role", "fc/*", ("keras",), ""), False),
        (Reason("role", "head/*", ("flax",), ""), False),
        (Reason("shape", "fc/*", ("flax",), ""), False),
        (Reason("role", "fc/*", ("torch", "keras", "flax"), ""), False),
    ],
)
def test_a_reason_covers_what_it_names_where_the_other_frameworks_agree(reason: Reason, covered: bool) -> None:
    assert covers(reason, DIFFERENT) == covered


def test_a_reason_that_nothing_needs_is_stale_and_so_is_a_framework_that_does_not_differ() -> None:
    found = Outcome({}, (DIFFERENT,), {})
    net = NETS["dropout"]
    needed, idle = Reason("role", "fc/*", ("flax",), ""), Reason("shape", "fc/*", ("flax",), "")
    too_wide = Reason("role", "fc/*", ("keras", "flax"), "")
    assert found.stale(replace(net, reasons=(needed,))) == []
    assert len(found.stale(replace(net, reasons=(needed, idle)))) == 1
    assert ["keras is not odd" in text for text in found.stale(replace(net, reasons=(too_wide,)))] == [True]
