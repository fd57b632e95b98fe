"""The recurrent net: its plan, its record, its training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training.checks import chain_of
from initlab.core.training.protocol import Budget, Optimizer, Start
from initlab.frameworks.jax.training.train import train
from initlab.study.codec import spec_from_json
from initlab.study.design import check_design, expand, parse_study
from initlab.study.records import StudyDesign
from initlab.study.run import initial_weights, plan_of
from initlab.study.wire import setup_for
from initlab.tasks import load_task

STEPS = 30
DATA = load_task("recall", steps=STEPS)
DESIGN = StudyDesign(
    "memory",
    "recall",
    (32,),
    ("orthogonal", "normal(std=0.05)"),
    Optimizer(learning_rate=1e-3, clip_norm=1.0),
    Budget(8, 50),
    task_options={"steps": STEPS},
    activation="tanh",
    output_scheme="glorot_uniform",
    steps=STEPS,
    seeds=1,
    histogram_epochs=(),
)


def test_the_compared_scheme_rules_the_recurrent_weight_alone():
    first, second = (plan_of(run) for run in expand(check_design(DESIGN), DATA))
    laws = [{entry.param.path: str(entry.law) for entry in plan} for plan in (first, second)]
    assert {path for path in laws[0] if laws[0][path] != laws[1][path]} == {"1/weight"}


def test_a_spec_with_a_recurrent_net_survives_json():
    run = expand(check_design(DESIGN), DATA)[0]
    assert spec_from_json(run.to_json()) == run
    assert run.arch == Recurrent(4, 32, 4, STEPS)


def test_an_orthogonal_state_remembers_what_small_weights_forget():
    orthogonal, small = expand(check_design(DESIGN), DATA)
    accuracy = [
        train(setup_for(run, DATA), [Start(0, initial_weights(run))])[0].curves["test_accuracy"][-1]
        for run in (orthogonal, small)
    ]
    assert accuracy[0] > 0.9
    # Guessing is right on 1/4 of 500 rows, give or take 5 sqrt(3/16/500).
    assert accuracy[1] < 0.25 + 5 * np.sqrt(3 / 16 / 500)


def test_a_study_file_asks_for_a_recurrent_net_by_its_steps():
    text = """
    name = "memory"
    task = "recall"
    hidden = [32]
    schemes = ["orthogonal"]
    steps = 30
    optimizer = { name = "adam" }
    budget = { epochs = 1, batch_size = 50 }
    """
    (run, *_) = expand(parse_study(text, where="memory.toml"), DATA)
    assert run.arch == Recurrent(4, 32, 4, 30, activation="relu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": (8, 8)}, "one hidden size"),
        ({"norm": "layer"}, "one hidden size"),
        ({"framework": "torch"}, "torch trains no recurrent net"),
        ({"steps": 0}, "steps must be a whole number"),
    ],
)
def test_what_a_recurrent_net_has_not_is_refused(changes, message):
    with pytest.raises(OptionError, match=message):
        check_design(replace(DESIGN, **changes))


def test_features_that_are_no_whole_steps_are_refused():
    with pytest.raises(OptionError, match="120 features are no 7 steps"):
        expand(check_design(replace(DESIGN, steps=7)), DATA)


def test_a_trainer_of_chains_refuses_a_recurrent_net():
    run = expand(check_design(DESIGN), DATA)[0]
    with pytest.raises(OptionError, match="no recurrent net"):
        chain_of(setup_for(run, DATA))
