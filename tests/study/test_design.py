"""Studies as data: files, overrides, expansion."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import InitlabError, OptionError, UnknownNameError
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.design import expand, list_studies, load_study, parse_study, with_overrides
from initlab.study.records import StudyDesign

MINIMAL = """
name = "mine"
task = "iris"
hidden = [8]
schemes = ["zeros"]
[optimizer]
[budget]
epochs = 2
batch_size = 8
"""

# One value a key that is not its default, so that a key that is read into the wrong field is seen.
EVERY_KEY = StudyDesign(
    name="mine",
    title="All of it",
    task="mnist",
    task_options={"scale": "signed"},
    preprocess="signed",
    hidden=(8, 8),
    schemes=("he_normal",),
    optimizer=Optimizer("momentum", 0.5, 0.8, 0.7, 0.6, 0.5, 0.4, 3.0, 0.2, 0.1),
    budget=Budget(7, 9),
    activation="tanh",
    dropout=0.25,
    norm="layer",
    residual=True,
    bias=False,
    loss="mse",
    output_scheme="zeros",
    bias_scheme="native",
    dialect="torch",
    seeds=3,
    histogram_epochs=(0, 3),
    framework="jax",
    vary="data",
    held_seed=11,
)


def as_toml(table: dict[str, object]) -> str:
    def spell(value: object) -> str:
        if isinstance(value, tuple):
            return f"[{', '.join(map(spell, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{k} = {spell(v)}' for k, v in value.items())}}}"
        return (
            str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else repr(value)
        )

    return "\n".join(f"{key} = {spell(value)}" for key, value in table.items())


def data(kind: str = "classification", features: int = 4) -> Dataset:
    x = np.zeros((1, features), np.float32)
    y = np.zeros(1, np.int32) if kind == "classification" else np.zeros((1, 2), np.float32)
    names = ("a", "b", "c") if kind == "classification" else ()
    return Dataset("some", x, y, x, y, kind=kind, class_names=names)


def test_a_study_file_is_a_study_design_key_by_key():
    keys = dataclasses.asdict(EVERY_KEY)
    del keys["model"]  # a model of one's own is built, not written
    del keys["steps"]  # a recurrent net has no norm, no skips and no dropout
    text = as_toml(keys)
    assert parse_study(text, where="mine.toml") == EVERY_KEY


def test_a_file_cannot_hold_a_model_of_ones_own():
    with pytest.raises(OptionError, match="unknown key 'model'"):
        parse_study(f'model = "Net"\n{MINIMAL}', where="mine.toml")


def test_absent_keys_are_the_defaults_of_the_design():
    parsed = parse_study(MINIMAL, where="mine.toml")
    plain = StudyDesign("mine", "iris", (8,), ("zeros",), Optimizer(), Budget(2, 8))
    # What the data set does to its features is said by name.
    assert parsed == dataclasses.replace(plain, preprocess="standardise")


@pytest.mark.parametrize("name", list_studies())
def test_every_ready_made_study_is_named_as_its_file_and_has_a_title(name):
    study = load_study(name)
    assert study.name == name
    assert study.title


def test_the_iris_study_is_as_published():
    study = load_study("iris")
    assert study.hidden == (64, 32)
    assert study.schemes == ("zeros", "normal(std=0.05)", "glorot_normal", "he_normal")
    assert (study.output_scheme, study.dialect, study.activation) == ("glorot_uniform", "keras", "relu")
    assert (study.optimizer, study.budget) == (Optimizer("adam", 1e-3), Budget(50, 32))


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_the_mnist_study_and_its_small_sister_compare_the_same_fourteen_schemes(name):
    study = load_study(name)
    assert len(study.schemes) == 14
    assert study.schemes == load_study("mnist").schemes
    assert study.dropout == 0.2
    assert study.output_scheme is None


def test_the_sgd_study_takes_signed_pixels_and_torchs_own_biases():
    study = load_study("mnist-sgd")
    assert study.schemes == ("zeros", "torch_default", "glorot_uniform", "he_uniform")
    assert (study.hidden, study.bias_scheme, study.preprocess) == ((128,), "native", "signed")
    assert (study.optimizer.name, study.optimizer.learning_rate, study.budget) == ("sgd", 0.01, Budget(10, 64))


def test_a_study_of_ones_own_is_loaded_by_its_path(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(MINIMAL)
    assert load_study(str(file)) == load_study(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 2", "epoch = 2"), "unknown key 'epoch' (mine.toml, key budget): Did you mean 'epochs'?"),
        (("hidden =", "hiden ="), "unknown key 'hiden' (mine.toml): Did you mean 'hidden'?"),
        (("epochs = 2", "epochs = 2.5"), "2.5 is not a whole number (mine.toml, key budget, key epochs)"),
        (("epochs = 2", "epochs = true"), "True is not a whole number (mine.toml, key budget, key epochs)"),
        (("epochs = 2\n", ""), "the key 'epochs' is missing (mine.toml, key budget)"),
        (("hidden = [8]", "hidden = 8"), "8 is not a list (mine.toml, key hidden)"),
        (("hidden = [8]", "hidden = [8]\nnorm = 'group'"), "unknown value 'group' (mine.toml, key norm)"),
        (("epochs = 2", "epochs = 0"), "epochs must be a whole number of 1 or more, got 0 (mine.toml, key budget)"),
        (("name =", "name"), "not a TOML file"),
        (("hidden = [8]", "hidden = [8]\nseeds = 0"), "seeds must be a whole number of 1 or more, got 0 (mine.toml)"),
        (("hidden = [8]", "hidden = [0]"), "widths must be whole numbers of 1 or more, got 0"),
        (("hidden = [8]", "hidden = [8]\nhistogram_epochs = [3]"), "histogram epoch 3 in a run of 2 (mine.toml)"),
        (("hidden = [8]", "hidden = [8]\ndropout = nan"), "dropout"),
        (('"mine"', '"../mine"'), "'../mine' cannot name a study (mine.toml)"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_file_and_key(change, message):
    with pytest.raises(OptionError) as caught:
        parse_study(MINIMAL.replace(*change), where="mine.toml")
    assert str(caught.value).startswith(message) if message != "dropout" else "dropout" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_study_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"unknown study 'iriss': Did you mean 'iris'\?.*initlab list studies"):
        load_study("iriss")


def test_a_missing_study_file_is_named(tmp_path: Path):
    with pytest.raises(OptionError, match=r"no such study file .*nowhere\.toml"):
        load_study(tmp_path / "nowhere.toml")


def test_schemes_are_spelled_canonically_whatever_alias_was_given():
    changed = with_overrides(load_study("iris"), schemes=["kaiming_normal", "RandomNormal(std=1)"])
    assert changed.schemes == ("he_normal", "normal(std=1.0)")


@pytest.mark.parametrize("pair", [("zeros", "zeros"), ("he_normal", "kaiming_normal"), ("normal", "normal(std=0.05)")])
def test_one_scheme_under_two_names_is_refused(pair):
    with pytest.raises(OptionError, match="scheme given twice"):
        with_overrides(load_study("iris"), schemes=pair)


@pytest.mark.parametrize(
    "override",
    [
        {"seeds": 0},
        {"seeds": True},
        {"epochs": 0},
        {"epochs": -1},
        {"batch_size": 0},
        {"hidden": (0,)},
        {"dropout": 1.0},
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"schemes": ()},
        {"schemes": ("he_norml",)},
    ],
)
def test_an_override_outside_its_range_is_refused(override):
    with pytest.raises(InitlabError):
        with_overrides(load_study("iris"), **override)


def test_a_whole_learning_rate_is_the_same_run_as_its_float():
    one, other = (expand(with_overrides(load_study("iris"), learning_rate=rate), data())[0] for rate in (1, 1.0))
    assert one.run_id == other.run_id


def test_another_task_drops_the_options_of_the_first():
    changed = with_overrides(load_study("mnist-sgd"), task="iris")
    assert (changed.task, dict(changed.task_options), changed.preprocess) == ("iris", {}, "standardise")


def test_a_study_expands_to_every_scheme_with_every_seed():
    runs = expand(with_overrides(load_study("iris"), seeds=3), data())
    assert {(run.scheme, run.seed) for run in runs} == {(s, k) for s in load_study("iris").schemes for k in range(3)}
    assert len(runs) == 12


def test_widths_come_from_the_data_and_the_last_histogram_from_the_budget():
    run = expand(load_study("iris"), data(features=7))[0]
    assert run.arch.widths == (7, 64, 32, 3)
    assert run.histogram_epochs == (0, 1, 5, 50)


def test_more_seeds_keep_the_runs_that_were_there():
    few, many = (expand(with_overrides(load_study("iris"), seeds=n), data()) for n in (2, 5))
    assert {run.run_id for run in few} < {run.run_id for run in many}


def test_options_of_the_data_set_are_part_of_a_run():
    assert expand(load_study("mnist-sgd"), data())[0].task == "mnist(scale=signed)"


def test_ones_own_data_are_told_apart_by_their_content():
    x = np.ones((1, 4), np.float32)
    y = np.zeros(1, np.int32)
    other = Dataset("some", x, y, x, y, class_names=("a", "b", "c"))
    design = load_study("iris")
    assert expand(design, data())[0].run_id != expand(design, other)[0].run_id


def test_cross_entropy_on_a_regression_is_refused():
    with pytest.raises(OptionError, match="cross_entropy needs classes"):
        expand(load_study("iris"), data("regression"))
