"""The user's own PyTorch models compared: how they train, where, and what is refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import initlab
from initlab.api.reporting import report
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.factories import dotted_name
from initlab.core.facts.arch import Mlp
from initlab.core.facts.user_model import own_model_of
from initlab.core.training.protocol import Budget, Optimizer, Start, TrainingSetup, UserTrainingSetup
from initlab.frameworks.torch.training.train import train as train_our_own
from initlab.frameworks.torch.user_training import train as own
from initlab.study.codec import decode, encode, spec_from_json
from initlab.study.design import expand
from initlab.study.own_models import examine
from initlab.study.run import initial_weights
from initlab.study.wire import user_setup_for

from . import own_models

IRIS = initlab.load_task("iris")
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def rows(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return x, np.argmax(x[:, :3], axis=1)


def here(build):
    """The same function under no name, so that its runs stay in this process."""
    return lambda: build()


def compared(tmp_path: Path, build, data="iris", **options):
    given = {"schemes": ["he_normal"], "seeds": 2, "epochs": 3} | options
    return initlab.compare(build=build, data=data, out=tmp_path / "out", **given)


def setup(build, *, epochs: int = 3, **options) -> UserTrainingSetup:
    return UserTrainingSetup(build, examine(build, IRIS), IRIS, Optimizer(**options), Budget(epochs, 32))


def start(made: UserTrainingSetup, seed: int = 0, scheme: str = "he_normal") -> Start:
    from initlab.api.own_models import own_study

    design = own_study(made.build, "iris", schemes=[scheme], seeds=seed + 1).design
    return Start(seed, initial_weights(expand(design, IRIS)[seed]))


# Training


def test_a_network_with_batch_norm_and_dropout_learns_the_digits(tmp_path):
    result = compared(tmp_path, here(own_models.cnn), "digits", epochs=6, seeds=1, learning_rate=0.01)
    assert [r.status for r in result.records] == ["ok"]
    assert result.records[0].final("test_accuracy") > 0.9
    assert result.design.model.row_shape == (1, 8, 8)


def test_the_twin_of_our_network_has_the_engines_curves():
    made = setup(own_models.twin, epochs=4)
    begun = start(made)
    mine = own.train(made, [begun])[0]
    theirs = train_our_own(TrainingSetup(Mlp((4, 16, 3)), IRIS, made.optimizer, made.budget), [begun])[0]
    for name in CURVES:
        # One network in two orders of float32 sums, over 16 Adam steps.
        np.testing.assert_allclose(mine.curves[name], theirs.curves[name], rtol=1e-5, err_msg=name)
    for name in ("weight_var", "activation_var", "gradient_norm", "dead"):
        np.testing.assert_allclose(mine.layers[name], theirs.layers[name], rtol=1e-4, err_msg=name)
    assert (mine.predictions == theirs.predictions).all()


def test_a_worker_gives_the_bits_of_this_process(tmp_path):
    mine_all = compared(tmp_path / "here", here(own_models.wide)).records
    theirs_all = compared(tmp_path / "there", "tests.study.own_models:wide", jobs=2).records
    for mine, theirs in zip(mine_all, theirs_all, strict=True):
        assert all((mine.curves[c][1:] == theirs.curves[c][1:]).all() for c in CURVES)
        assert all(np.array_equal(mine.layers[m], theirs.layers[m], equal_nan=True) for m in mine.layers)


def test_a_run_leaves_the_global_generator_as_it_was(tmp_path):
    before = torch.get_rng_state()
    compared(tmp_path, here(own_models.wide))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_the_plan_keeps_is_as_the_runs_seed_made_it():
    def build() -> nn.Module:
        net = own_models.mlp()
        net[0].weight.requires_grad_(False)
        return net

    made = setup(build)
    norms = []
    for seed in (0, 1):
        begun = start(made, seed)
        assert "0/weight" not in begun.weights
        trained = own.train(made, [begun])[0]
        assert np.ptp(trained.layers["weight_norm"][:, 0]) == 0
        norms.append(trained.layers["weight_norm"][0, 0])
    assert norms[0] != norms[1]


def test_probing_moves_no_running_moment():
    seen = []

    def build() -> nn.Module:
        seen.append(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))
        return seen[-1]

    made = setup(build, epochs=1)
    own.train(made, [start(made)])
    assert seen[-1][1].num_batches_tracked == 4  # 120 rows in batches of 32; the two probes count as none


def test_probabilities_are_taken_as_such():
    def build() -> nn.Module:
        return nn.Sequential(own_models.mlp(), nn.Softmax(-1))

    with_softmax, without = setup(build), setup(own_models.mlp)
    assert with_softmax.arch.gives == "probabilities"
    begun = start(without)
    renamed = {f"0/{path}": w for path, w in begun.weights.items()}
    losses = [
        own.train(*given)[0].curves["test_loss"][0]
        for given in ((without, [begun]), (with_softmax, [Start(0, renamed)]))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_loss_that_is_not_finite_is_divergence():
    made = setup(own_models.mlp, name="sgd", learning_rate=1e30)
    trained = own.train(made, [start(made)])[0]
    assert trained.status == "diverged"
    assert np.isnan(trained.curves["test_loss"][-1])


def test_numbers_are_predicted_by_squared_error(tmp_path):
    x = rows()[0]
    result = compared(
        tmp_path,
        lambda: nn.Linear(4, 1),
        (x, x @ [1.0, 2.0, 3.0, 4.0]),
        epochs=40,
        optimizer="sgd",
        learning_rate=0.1,
        seeds=1,
    )
    assert result.design.loss == "mse"
    assert result.records[0].final("test_loss") < 0.01


def test_indices_reach_an_embedding_as_whole_numbers(tmp_path):
    tokens = np.random.default_rng(0).integers(0, 7, (40, 5))
    net = lambda: nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(20, 2))  # noqa: E731
    result = compared(tmp_path, net, (tokens, tokens[:, 0] > 3))
    assert result.design.model.row_kind == "int64"
    assert {r.status for r in result.records} == {"ok"}


def test_tensors_are_data_as_arrays_are(tmp_path):
    arrays = rows()
    net = here(own_models.mlp)
    ids = [compared(tmp_path, net, data).records[0].run_id for data in (arrays, [torch.from_numpy(a) for a in arrays])]
    assert ids[0] == ids[1]


def test_a_split_that_is_given_is_kept(tmp_path):
    x, y = rows()
    result = compared(tmp_path, here(own_models.mlp), (x[:50], y[:50], x[50:], y[50:]), seeds=1)
    assert (result.facts.rows_train, result.facts.rows_test) == (50, 10)


def csv_file(folder: Path, targets: np.ndarray) -> Path:
    lines = [",".join(map(str, [*row, target])) for row, target in zip(rows()[0].tolist(), targets, strict=True)]
    (folder / "fruit.csv").write_text("\n".join(["a,b,c,d,kind", *lines]))
    return folder / "fruit.csv"


def test_a_csv_file_is_split_and_standardised_and_its_last_column_told(tmp_path):
    file = csv_file(tmp_path, np.array(["fig", "pear", "plum"])[rows()[1]])
    result = compared(tmp_path, own_models.mlp, file)
    assert result.dataset.class_names == ("fig", "pear", "plum")
    assert (len(result.dataset.x_train), len(result.dataset.x_test)) == (48, 12)
    np.testing.assert_allclose(result.dataset.x_train.std(0), 1.0, rtol=1e-6)
    assert f"--data {file}" in result.command


def test_a_csv_file_of_fractions_is_regressed_on(tmp_path):
    result = compared(tmp_path, lambda: nn.Linear(4, 1), csv_file(tmp_path, rows()[0].sum(1)))
    assert (result.dataset.kind, result.design.loss) == ("regression", "mse")


def test_a_report_made_again_says_that_the_users_rows_are_not_read_again(tmp_path):
    file = csv_file(tmp_path, rows()[1])
    folder = compared(tmp_path, own_models.mlp, file).folder
    assert report(folder).exists()
    with pytest.raises(InitlabError, match="leave data out"):
        report(folder, data=file)


def test_a_data_set_is_taken_as_its_name_is(tmp_path):
    named, given = (compared(tmp_path / d, own_models.mlp, data) for d, data in (("a", "iris"), ("b", IRIS)))
    assert [r.final("test_loss") for r in given.records] == [r.final("test_loss") for r in named.records]


# A model with an example beside it


def test_a_function_that_gives_an_example_trains_as_one_that_gives_the_model_alone(tmp_path):
    alone = compared(tmp_path / "alone", here(own_models.mlp)).records
    workers = compared(tmp_path / "workers", "tests.study.own_models:mlp_with_example", jobs=2).records
    for mine, theirs in zip(alone, workers, strict=True):
        assert theirs.status == "ok"
        assert all(np.array_equal(mine.curves[c], theirs.curves[c], equal_nan=True) for c in CURVES)


@pytest.mark.parametrize(("rows_of_example", "f_in"), [(2, "relu"), (5, "tanh")])
def test_a_model_is_traced_on_its_own_example(rows_of_example, f_in):
    found = examine(lambda: (own_models.Pairs(), torch.zeros(rows_of_example, 4)), IRIS)
    assert [p.f_in for p in found.weights] == [None, f_in]
    assert found.row_shape == (4,)


def test_a_model_with_example_and_targets_is_taken_too():
    assert examine(lambda: (*own_models.mlp_with_example(), torch.zeros(2)), IRIS).layers == ("0", "2")


# The study around it


def test_a_second_call_trains_nothing(tmp_path):
    told = []
    net = here(own_models.mlp)
    compared(tmp_path, net)
    compared(tmp_path, net, progress=lambda **now: told.append(now))
    assert [now["done"] for now in told] == [2]


def test_a_model_of_the_same_shapes_but_another_dropout_is_other_code(tmp_path):
    def names(rate: float) -> set[str]:
        net = lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(rate), nn.Linear(8, 3))  # noqa: E731
        return {r.name for r in compared(tmp_path, net, epochs=1).records}

    assert names(0.1) == names(0.1)
    with pytest.raises(OptionError, match=r"2 of 2 finished runs are not what would be made: .*rate' is another"):
        names(0.5)


@pytest.mark.parametrize("build", [own_models.stumbles, here(own_models.stumbles)], ids=["worker", "here"])
def test_a_model_that_raises_is_a_failed_row_with_its_reason(tmp_path, build):
    result = compared(tmp_path, build, rows(20), batch_size=8, seeds=1)
    assert [(r.status, r.reason) for r in result.records] == [("failed", "FloatingPointError: a row of eight")]
    assert result.failed == 1
    assert "a row of eight" in (tmp_path / "out" / "report.html").read_text()


def test_records_come_back_from_their_files_as_they_were(tmp_path):
    record = compared(tmp_path, here(own_models.cnn), "digits", epochs=1, seeds=1).records[0]
    back = decode(encode(record))
    assert back.spec == record.spec
    assert spec_from_json(record.spec.to_json()).arch == record.spec.arch


def test_a_model_comes_back_from_json_as_it_was():
    model = examine(own_models.cnn, initlab.load_task("digits"))
    assert own_model_of(json.loads(json.dumps(model.to_dict()))) == model


def test_the_report_and_the_table_tell_the_model(tmp_path):
    result = compared(tmp_path, own_models.cnn, "digits", epochs=1, seeds=1)
    page = (tmp_path / "out" / "report.html").read_text()
    for said in (
        "Cnn: a PyTorch model with 1,922 parameters",
        "conv2.weight",
        "16 × 8 × 3 × 3",
        "a row is 1 × 8 × 8 numbers",
    ):
        assert said in page
    assert result.to_dict()["model"]["layers"] == ["conv1", "conv2", "fc"]
    assert result.command.startswith(
        "initlab compare --build tests.study.own_models:cnn --data digits --schemes he_normal"
    )


def test_a_call_that_no_command_line_can_repeat_is_told_as_a_call(tmp_path):
    said = compared(tmp_path, here(own_models.mlp), rows(), seeds=1).command
    assert said == "initlab.compare(build=build, data=(x, y), schemes=['he_normal'], seeds=1, epochs=3)"


def test_a_function_inside_another_has_no_name_for_workers():
    def build() -> nn.Module:
        return own_models.mlp()

    assert dotted_name(build) is None
    assert dotted_name(own_models.mlp) == "tests.study.own_models:mlp"


def test_the_setup_of_a_worker_builds_the_same_model():
    made = setup(own_models.mlp)
    design = initlab.api.own_models.own_study(own_models.mlp, "iris", seeds=1).design
    assert user_setup_for(expand(design, IRIS)[0], IRIS, own_models.mlp).arch == made.arch


# Misuse: one line each, and nothing written

SIZES = itertools.count(5)
BAD = {
    "returned None": (lambda: None, "iris", OptionError, "build returned None"),
    "an example without a model": (lambda: (None, torch.zeros(2, 4)), "iris", OptionError, "build returned None"),
    "four things": (lambda: (own_models.mlp(), 1, 2, 3), "iris", OptionError, "build returned a tuple"),
    "an example that does not fit": (
        lambda: (own_models.mlp(), torch.zeros(2, 5)),
        "iris",
        ShapeError,
        "the model does not take the example",
    ),
    "rows that fit the example alone": (
        lambda: (nn.Linear(5, 3), torch.zeros(2, 5)),
        "iris",
        ShapeError,
        r"does not take rows of shape \(4,\)",
    ),
    "no model": (lambda: 3, "iris", OptionError, "build returned a int"),
    "a class": (lambda: nn.Linear, "iris", OptionError, "build returned the class Linear"),
    "raises": (lambda: 1 / 0, "iris", InitlabError, "build raised ZeroDivisionError: division by zero"),
    "no parameters": (nn.Identity, "iris", OptionError, "Identity has no parameters"),
    "nothing to initialise": (own_models.Scaled, "iris", OptionError, "Scaled has no weight"),
    "another each time": (
        lambda: nn.Sequential(nn.Linear(4, n := next(SIZES)), nn.Linear(n, 3)),
        "iris",
        OptionError,
        "a second call of build gave another model: '0/weight' has shape",
    ),
    "another input": (lambda: nn.Linear(5, 3), "iris", ShapeError, r"does not take rows of shape \(4,\)"),
    "another output": (
        lambda: nn.Linear(4, 2),
        "iris",
        ShapeError,
        r"outputs of shape \(4, 2\) .* 3 classes",
    ),
    "short y": (own_models.mlp, (rows()[0], rows()[1][:9]), ShapeError, "x has 60 rows and y has 9"),
    "no data": (own_models.mlp, None, OptionError, "the data are missing"),
    "three arrays": (own_models.mlp, rows() * 2 + rows()[:1], OptionError, "data is no pair"),
    "one-hot": (own_models.mlp, (rows()[0], np.eye(3)[rows()[1]]), OptionError, "y is one-hot"),
    "no such function": (
        "tests.study.own_models:nothing",
        "iris",
        OptionError,
        "there is no 'nothing' in tests.study.own_models",
    ),
    "no such module": ("no_such_module:build", "iris", OptionError, "there is no module 'no_such_module'"),
    "not callable": (3, "iris", OptionError, "3 is no function"),
}


@pytest.mark.parametrize("case", BAD)
def test_misuse_is_one_line_and_nothing_is_written(tmp_path, case):
    build, data, kind, said = BAD[case]
    with pytest.raises(kind, match=said) as raised:
        compared(tmp_path, build, data)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_scheme_that_cannot_take_a_layer_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ShapeError, match="fc/weight"):
        compared(tmp_path, here(own_models.cnn), "digits", schemes=["he_normal", "dirac"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing to compare"),
        ({"study": "iris", "build": own_models.mlp}, "build comes with a study"),
        ({"build": own_models.mlp, "data": "iris", "framework": "keras"}, "build comes with a study"),
        ({"study": "iris", "loss": "mse"}, "loss belongs to a model of your own"),
        ({"study": "iris", "data": rows()}, "a study brings its own data"),
        ({"build": own_models.mlp, "data": "iris", "optimizer": "adm"}, "unknown optimizer 'adm'"),
        ({"build": own_models.mlp, "data": "iris", "loss": "hinge"}, "unknown loss 'hinge'"),
        ({"build": own_models.mlp, "data": "iris", "test_share": 0.5}, "iris has a test set of its own"),
        ({"build": own_models.mlp, "data": rows(), "test_share": 1.5}, "test_size must be between 0 and 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given, said):
    with pytest.raises(OptionError, match=said):
        initlab.compare(**given)


def test_a_worker_that_imports_a_script_does_not_start_a_study_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("INITLAB_WORKER", "1")
    with pytest.raises(OptionError, match="__main__"):
        compared(tmp_path, here(own_models.mlp))


def test_every_weight_of_attention_and_recurrence_has_an_activation():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.att = nn.LSTM(4, 8, batch_first=True), nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h, _ = self.lstm(x[:, None])
            return self.out(self.att(h, h, h)[0][:, 0])

    made = setup(Mixed, epochs=1)
    assert np.isfinite(own.train(made, [start(made)])[0].layers["activation_norm"]).all()
