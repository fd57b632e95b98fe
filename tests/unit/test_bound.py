"""Plans bound to a model of a framework that is a dictionary: written in place, drawn anew, or not touched at all."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Mapping
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

import initlab
from initlab.api import planning
from initlab.core.adapter import Overrides, WeightSource
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ModelSpec, ParamSpec


class Net:
    """A model: named arrays."""

    def __init__(self, width: int = 13) -> None:
        self.arrays: dict[str, NDArray[np.generic]] = {
            "0.weight": np.full((width, 4), 9.0),
            "0.bias": np.full(width, 9.0),
            "1.weight": np.full((3, width), 9.0),
            "scale": np.full(1, 9.0),  # of 105 numbers: too few for a warning
        }

    def digest(self) -> dict[str, bytes]:
        return {name: array.tobytes() for name, array in self.arrays.items()}


ROLES = {"0.weight": "dense", "0.bias": "bias", "1.weight": "dense", "scale": "unknown"}


class FakeAdapter:
    """An adapter of dictionaries, with a generator of its own, whose writes can be made to fail."""

    framework = "fake"

    def __init__(self) -> None:
        self.generator = Random(0)
        self.fails_at = ""
        self.marked: list[tuple[tuple[str, ...], int]] = []

    def describe(self, model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
        assert isinstance(model, Net)
        params = [
            ParamSpec(path=name.replace(".", "/"), native=name, shape=array.shape, role=ROLES[name])  # type: ignore[arg-type]
            for name, array in model.arrays.items()
        ]
        return ModelSpec(tuple(params), notes=("seen",) if example is not None else ())

    def read(self, model: object, param: ParamSpec) -> NDArray[np.generic]:
        assert isinstance(model, Net)
        return model.arrays[param.native].copy()

    def write(self, model: object, param: ParamSpec, source: WeightSource) -> None:
        assert isinstance(model, Net)
        if param.native == self.fails_at:
            raise OSError("device is full")
        model.arrays[param.native][...] = source.part()

    def mark(self, model: object, names: Iterable[str], seed: int) -> None:
        self.marked.append((tuple(names), seed))

    def generator_state(self, model: object) -> bytes:
        return str(self.generator.getstate()).encode()

    def random_bits(self, model: object) -> int:
        return self.generator.getrandbits(64)

    def state(self, model: object) -> Mapping[str, NDArray[np.generic]]:
        assert isinstance(model, Net)
        return model.arrays


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> FakeAdapter:
    fake = FakeAdapter()
    monkeypatch.setattr(planning, "adapter_for", lambda model: fake)
    return fake


def test_planning_changes_no_weight(adapter: FakeAdapter) -> None:
    net = Net()
    before = net.digest()
    plan = initlab.plan(net, "he_normal", example=np.zeros(4))
    assert net.digest() == before
    assert plan.notes == ("seen",)


def test_a_bound_plan_has_the_rows_and_notes_of_its_plan(adapter: FakeAdapter) -> None:
    plan = initlab.plan(Net(), "he_normal")
    assert plan.entries == plan.plan.entries
    assert [entry.param.native for entry in plan.entries] == ["0.weight", "0.bias", "1.weight", "scale"]
    assert plan.notes == plan.plan.notes


def test_applying_writes_what_the_plan_draws_and_returns_the_model(adapter: FakeAdapter) -> None:
    net = Net()
    plan = initlab.plan(net, "he_normal")
    drawn = plan.draw(5)
    assert plan.apply(5) is net
    assert np.array_equal(net.arrays["0.weight"], drawn["0/weight"])
    assert np.array_equal(net.arrays["0.bias"], np.zeros(13))


def test_a_parameter_of_unknown_role_is_kept_to_the_bit(adapter: FakeAdapter) -> None:
    net = Net()
    initlab.initialize(net, seed=0)
    assert net.arrays["scale"] == 9.0
    assert initlab.plan(net)["scale"].why == "role unknown"


def test_the_adapter_is_told_what_was_written_under_which_seed(adapter: FakeAdapter) -> None:
    initlab.initialize(Net(), seed=3)
    assert adapter.marked == [(("0.weight", "0.bias", "1.weight"), 3)]


def test_a_plan_fits_another_model_of_the_same_parameters(adapter: FakeAdapter) -> None:
    first, second = Net(), Net()
    plan = initlab.plan(first, "he_normal")
    assert plan.apply(1, model=second) is second
    assert np.array_equal(second.arrays["1.weight"], plan.draw(1)["1/weight"])
    assert (first.arrays["1.weight"] == 9.0).all()


def test_a_plan_is_refused_by_a_model_of_other_shapes_which_stays_as_it_was(adapter: FakeAdapter) -> None:
    other = Net(width=5)
    before = other.digest()
    with pytest.raises(OptionError, match=r"'0/weight' of shape \(13, 4\), the model has shape \(5, 4\)"):
        initlab.plan(Net(), "he_normal").apply(1, model=other)
    assert other.digest() == before


@pytest.mark.parametrize(
    ("schemes", "options"),
    [
        ("dirac", {}),
        ({"*": "he_normal", "1.weight": "dirac"}, {}),
        ("he_normal", {"include": "2.*"}),
        ("he_norml", {}),
        ("he_normal", {"seed": -1}),
        ("he_normal", {"seed": 0.5}),
        ({"*": "he_normal", "7.*": "zeros"}, {}),
    ],
)
def test_bad_input_is_one_line_and_changes_no_weight(
    adapter: FakeAdapter, schemes: str | dict[str, str], options: dict[str, object]
) -> None:
    net = Net()
    before = net.digest()
    with pytest.raises(InitlabError) as caught:
        initlab.initialize(net, schemes, **{"seed": 0, **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert net.digest() == before


def test_a_write_that_fails_says_how_far_it_came_and_how_to_go_on(adapter: FakeAdapter) -> None:
    net = Net()
    adapter.fails_at = "1.weight"
    with pytest.raises(InitlabError, match=r"after 2 of 3 parameters: device is full \(1.weight\): .* seed=7"):
        initlab.initialize(net, "he_normal", seed=7)
    adapter.fails_at = ""
    initlab.initialize(net, "he_normal", seed=7)
    assert np.array_equal(net.arrays["1.weight"], initlab.plan(net, "he_normal").draw(7)["1/weight"])


def test_a_refused_row_stops_everything_before_the_first_write(adapter: FakeAdapter) -> None:
    net = Net()
    plan = initlab.plan(net, {"0.weight": "dirac"})
    with pytest.raises(ShapeError, match=r"0\.weight"):
        plan.apply(0)
    assert adapter.marked == []


def test_without_a_seed_two_calls_in_a_row_differ(adapter: FakeAdapter) -> None:
    first, second = initlab.initialize(Net()), initlab.initialize(Net())
    assert not np.array_equal(first.arrays["0.weight"], second.arrays["0.weight"])


def test_a_generator_that_is_set_again_repeats_the_sequence(adapter: FakeAdapter) -> None:
    def three(seed: int) -> list[dict[str, bytes]]:
        adapter.generator.seed(seed)
        return [initlab.initialize(Net()).digest() for _ in range(3)]

    first, again, other = three(1), three(1), three(2)
    assert again == first
    assert first != other
    assert first[0] != first[1] != first[2] != first[0]


def test_what_is_refused_draws_nothing(adapter: FakeAdapter) -> None:
    before = adapter.generator_state(None)
    net = Net()
    with pytest.raises(InitlabError):
        initlab.initialize(net, "dirac")
    with pytest.raises(OptionError):
        initlab.plan(net).apply(model=Net(width=5))
    with pytest.raises(OptionError):
        initlab.reset(net)
    assert adapter.generator_state(None) == before


def test_the_seed_in_use_is_told_and_repeats_the_draw(adapter: FakeAdapter) -> None:
    net, plan = Net(), None
    plan = initlab.plan(net, "he_normal")
    assert plan.seed is None
    plan.apply()
    assert plan.seed is not None
    assert f"last seed: {plan.seed}" in str(plan)
    assert initlab.initialize(Net(), "he_normal", seed=plan.seed).digest() == net.digest()


def test_a_reset_redraws_by_the_same_laws_what_initlab_wrote_and_nothing_else(adapter: FakeAdapter) -> None:
    net = initlab.initialize(Net(), "he_normal", seed=0, exclude="1.*")
    net.arrays["0.weight"][...] = 1e3  # trained since
    assert initlab.reset(net, seed=1) is net
    assert np.array_equal(net.arrays["0.weight"], initlab.plan(net, "he_normal").draw(1)["0/weight"])
    assert (net.arrays["1.weight"] == 9.0).all()


def test_a_reset_covers_what_several_calls_wrote(adapter: FakeAdapter) -> None:
    net = initlab.initialize(Net(), "he_normal", seed=0, exclude="1.*")
    initlab.initialize(net, "normal(std=0.5)", seed=0, exclude="0.*")
    initlab.reset(net, seed=4)
    assert np.array_equal(net.arrays["0.weight"], initlab.plan(net, "he_normal").draw(4)["0/weight"])
    assert np.array_equal(net.arrays["1.weight"], initlab.plan(net, "normal(std=0.5)").draw(4)["1/weight"])


def test_a_model_that_initlab_never_wrote_into_is_not_reset(adapter: FakeAdapter) -> None:
    with pytest.raises(OptionError, match="initialised nothing in this Net"):
        initlab.reset(Net(), seed=0)


def test_the_memory_of_a_model_ends_with_it(adapter: FakeAdapter) -> None:
    net = initlab.initialize(Net(), seed=0)
    seen = weakref.ref(net)
    del net
    gc.collect()
    assert seen() is None


def test_an_architecture_has_no_weights_to_initialise() -> None:
    with pytest.raises(OptionError, match="Mlp holds no weights"):
        initlab.initialize(Mlp((4, 3)))


def test_an_architecture_is_not_traced() -> None:
    with pytest.raises(OptionError, match="example"):
        initlab.plan(Mlp((4, 3)), example=np.zeros(4))


def test_what_is_no_model_is_refused_in_one_line() -> None:
    with pytest.raises(InitlabError, match="int is not a model"):
        initlab.plan(3)
