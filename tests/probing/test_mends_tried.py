"""What a diagnosis offers is tried on the model, which then is bit for bit as it was; an offer may be withdrawn."""

from __future__ import annotations

import random
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from tests.probing.sick_scripts import SCRIPTS, Script, Transformer

import initlab
from initlab import Mlp
from initlab.api.mending import MOST, offers, with_mends_tried
from initlab.core.adapter import Adapter, GivenWeights
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.frameworks import FRAMEWORKS
from initlab.probing.checks.mends import with_trials, without_obstacles
from initlab.probing.diagnosis import Diagnosis
from initlab.probing.records import Finding, Trial

torch = pytest.importorskip("torch")
nn = torch.nn

NET = Mlp((12, *(24,) * 9, 5), "relu")
X = np.random.default_rng(3).standard_normal((48, 12)).astype(np.float32)
Y = np.arange(48) % 5

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2


@pytest.fixture(params=["torch", "keras", "jax"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    pytest.importorskip({"jax": "flax"}.get(request.param, request.param))
    return FRAMEWORKS[request.param].load()


def built(adapter: Adapter, *, times: float) -> object:
    """A net whose weights are He's times a factor: 1 of a healthy one."""
    model = initlab.initialize(adapter.build(NET, seed=3), "he_normal", seed=5)
    for p in adapter.describe(model).params:
        if p.is_weight and times != 1.0:
            values = np.asarray(adapter.read(model, p), np.float32)
            adapter.write(model, p, GivenWeights(values * np.float32(times), p))
    return model


def bits(adapter: Adapter, model: object) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in adapter.state(model).items()}


def generators() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def test_a_planted_fault_is_mended_by_what_is_offered_and_the_model_is_as_it_was(adapter: Adapter) -> None:
    model = built(adapter, times=0.2)
    before, drawn = bits(adapter, model), generators()
    found = initlab.probe(model, X, Y, try_mends=True).diagnose()
    assert bits(adapter, model) == before
    assert generators() == drawn
    first = found.alarms[0]
    assert (first.kind, first.scheme, first.mended) == ("vanishing forward signal", "he_normal", "yes")
    assert 'initlab.initialize(model, "he_normal", seed=0)  # tried: mends it' in str(found)
    assert initlab.probe(initlab.initialize(model, "he_normal", seed=0), X, Y).diagnose().healthy


def test_nothing_is_tried_on_the_healthy_twin(adapter: Adapter) -> None:
    profile = initlab.probe(built(adapter, times=1.0), X, Y, try_mends=True)
    assert profile.diagnose().healthy
    assert profile.evidence.trials == ()


def test_without_the_word_nothing_is_tried() -> None:
    found = initlab.probe(built(FRAMEWORKS["torch"].load(), times=0.2), X, Y).diagnose()
    assert {one.mended for one in found.findings} == {"not tried"}
    assert "# tried" not in str(found)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_trial_leaves_the_model_as_it_was(
    adapter: Adapter, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(adapter, times=0.2)
    before, drawn, passes = bits(adapter, model), generators(), list[bool]()
    capture = type(adapter).capture

    def second(model: object, *args: object, **kwargs: object) -> object:
        seen = capture(model, *args, **kwargs)
        passes.append(bits(adapter, model) == before)
        if len(passes) > 1:
            raise error
        return seen

    monkeypatch.setattr(type(adapter), "capture", staticmethod(second))
    with pytest.raises(error):
        initlab.probe(model, X, Y, try_mends=True)
    assert passes == [True, False]  # the second one ran on other weights
    assert bits(adapter, model) == before
    assert generators() == drawn


def test_diagnose_reads_the_record_of_a_trial_and_runs_no_model(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = initlab.probe(built(adapter, times=0.2), X, Y, try_mends=True)
    monkeypatch.setattr(type(adapter), "capture", None)
    assert profile.diagnose().alarms[0].mended == "yes"
    assert (
        profile.diagnose(initlab.Limits(ratio=1e30)).to_dict()["findings"] != profile.diagnose().to_dict()["findings"]
    )


def tied(number: int) -> tuple[Finding, ...]:
    return tuple(Finding(f"k{i}", "alarm", ("0",), "...", "do", scheme=f"normal(std=0.{i})") for i in range(1, number))


class Told:
    """A profile that offers more than is tried."""

    evidence = None

    def diagnose(self, limits: object = None) -> Diagnosis:
        return Diagnosis("Net", tied(7))


def test_three_offers_are_tried_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = nn.Linear(3, 2), list[float]()

    class Seen:
        evidence = None

    def again() -> object:
        calls.append(float(model.weight.detach().std()))
        return Seen()

    monkeypatch.setattr("initlab.api.mending.replace", lambda evidence, *, trials: trials)
    monkeypatch.setattr("initlab.api.mending.Profile", lambda trials: trials)
    before = model.weight.detach().clone()
    tried = with_mends_tried(model, Told(), again)
    assert [one.schemes for one in tried] == ["normal(std=0.1)", "normal(std=0.2)", "normal(std=0.3)"]
    assert len(calls) == len(set(calls)) == MOST
    assert torch.equal(model.weight, before)


class Odd(nn.Module):
    """What cannot be copied, and what a pass leaves behind."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(12, 12), nn.ReLU())])
        self.head, self.norm = nn.utils.weight_norm(nn.Linear(12, 5)), nn.BatchNorm1d(12)
        self.lock, self.file = threading.Lock(), tempfile.TemporaryFile()  # noqa: SIM115
        self.own = torch.Generator().manual_seed(3)
        self.others = [np.random.default_rng(3), random.Random(3)]
        self.kept: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = self.others[0].random() + self.others[1].random()
        self.kept = self.norm(self.body(x) + 0.1 * scale * torch.randn(x.shape, generator=self.own))
        return self.head(self.kept)

    def states(self) -> tuple[object, ...]:
        first, second = self.others
        return self.own.get_state().tolist(), str(first.bit_generator.state), second.getstate()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_that_cannot_be_copied_is_tried_and_a_waiting_graph_is_not_spoiled() -> None:
    torch.manual_seed(0)
    model, x = Odd(), torch.randn(32, 12)
    for layer in model.body[::2]:
        nn.init.normal_(layer.weight, std=0.05)
    model(x).sum().backward()
    waiting = model(x).square().mean()
    held = [*model.named_parameters(), *model.named_buffers()]
    before = [(name, tensor.detach().clone(), tensor._version) for name, tensor in held]
    gradients = [p.grad.clone() for p in model.parameters()]
    kept, weight, states = model.kept, model.head.weight, model.states()
    found = initlab.probe(model, x, torch.arange(32) % 5, try_mends=True).diagnose()
    assert found.alarms[0].mended == "yes", str(found)
    now = [(name, tensor.detach().clone(), tensor._version) for name, tensor in held]
    assert all(a[0] == b[0] and torch.equal(a[1], b[1]) and a[2] == b[2] for a, b in zip(before, now, strict=True))
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert model.kept is kept
    assert model.head.weight is weight
    assert model.states() == states
    assert model.training
    waiting.backward()
    model.file.close()


def test_numbers_that_are_not_numbers_keep_their_bits() -> None:
    adapter, layer = FRAMEWORKS["torch"].load(), nn.Linear(2, 2, bias=False, dtype=torch.bfloat16)
    raw = torch.tensor([[0x7FC1, 0x7F81], [-1, 0x0001]], dtype=torch.int16)  # NaNs with a payload, and a subnormal
    layer.weight.data = raw.view(torch.bfloat16)
    (p,) = adapter.describe(layer).params
    with adapter.holding(layer, [p]):
        adapter.write(layer, p, GivenWeights(np.full((2, 2), 3.0, np.float32), p))
    assert torch.equal(layer.weight.detach().view(torch.int16), raw)


def lost(kind: str = "a", *, severity: str = "alarm", grade: str = "sick", **facts: object) -> Finding:
    return Finding(kind, severity, ("0",), "...", "do", grade=grade, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "mended", "told"),
    [
        ([], "yes", ""),
        ([lost("b", severity="note")], "yes", ""),
        ([lost(severity="note")], "yes", ""),
        ([lost(grade="hard")], "partly", ""),
        ([lost("b", grade="hard")], "partly", ""),
        ([lost(value=5.0, limit=1.0)], "partly", ""),  # from 100 times the limit to 5 times
        ([lost(value=50.0, limit=1.0)], "no", "leaves it as it is"),
        ([lost()], "no", "leaves it as it is"),
        ([lost("b")], "no", "brings 'b'"),
    ],
)
def test_an_offer_is_judged_by_what_is_found_with_it(after: list[Finding], mended: str, told: str) -> None:
    offer = lost(scheme="auto", value=100.0, limit=1.0)
    (one,) = with_trials([offer], [(Trial("auto", None), after)])
    assert one.mended == mended
    assert bool(one.scheme) == (mended != "no")
    assert told in one.fix


def test_a_mend_that_leaves_what_follows_mends_a_part() -> None:
    follows = lost("b", cause="a")
    both = with_trials([lost(scheme="auto"), follows], [(Trial("auto", None), [lost("b")])])
    assert [one.mended for one in both] == ["partly", "not tried"]


def test_an_offer_that_cannot_be_drawn_is_withdrawn_and_another_one_is_not_touched() -> None:
    both = [lost(scheme="auto"), lost("b", scheme="zeros", params=("head",))]
    first, second = with_trials(both, [(Trial("auto", None, refused="no fan"), ())])
    assert (first.mended, first.scheme) == ("no", "")
    assert "no fan" in first.fix
    assert (second.mended, second.schemes) == ("not tried", {"head": "zeros"})


def test_a_note_is_brought_by_a_mend_of_an_alarm_and_not_by_that_of_a_note() -> None:
    brought = [lost("b", severity="note")]
    note = lost(severity="note", scheme="auto")
    assert [one.mended for one in with_trials([note], [(Trial("auto", None), brought)])] == ["no"]


def test_nothing_is_offered_for_weights_most_of_which_cannot_be_drawn() -> None:
    part = ParamSpec("0/weight", (9, 2), "unknown", intent="a part of a weight under X", is_obstacle=True)
    offer, named = lost(scheme="auto"), lost(scheme="zeros", params=("1.weight",))
    few, many = ParamSpec("1/weight", (3, 3)), ParamSpec("1/weight", (30, 9))
    first, second = without_obstacles([offer, named], ModelSpec((part, few)))
    assert first.scheme == ""
    assert "under X" in first.fix
    assert second is named
    assert without_obstacles([offer], ModelSpec((part, many))) == (offer,)


class Highway(nn.Module):
    def __init__(self, layers: int = 20, width: int = 24) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(12, width), nn.Linear(width, 5)
        self.values = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        for gate in self.gates:
            nn.init.constant_(gate.bias, -2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for value, gate in zip(self.values, self.gates, strict=True):
            t = torch.sigmoid(gate(x))
            x = t * torch.relu(value(x)) + (1.0 - t) * x
        return self.head(x)


class DeepSets(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        self.whole = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.whole(self.each(x.unflatten(1, (4, 3))).mean(1))


def deep(layer, f: type[nn.Module], layers: int, norm: type[nn.Module] | None = None) -> nn.Module:
    steps = [m for i in range(layers) for m in (layer(12 if i == 0 else 24, 24), *([norm(24)] if norm else []), f())]
    return nn.Sequential(*steps, nn.Linear(24, 5))


@contextmanager
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def told(build) -> Diagnosis:
    with seeded():
        model = build()
    return initlab.probe(model, X, Y, try_mends=True).diagnose()


@pytest.mark.parametrize("build", [Highway, DeepSets], ids=lambda one: one.__name__)
def test_a_net_that_trains_is_offered_nothing_that_would_make_it_worse(build: type[nn.Module]) -> None:
    found = told(build)
    assert found.healthy
    assert offers(found) == []


def test_a_gate_is_not_called_the_activation() -> None:
    assert "sigmoid" not in str(told(Highway))


def biased(value: float) -> nn.Module:
    net = deep(nn.Linear, nn.Tanh, 6)
    for layer in net[:-1:2]:
        nn.init.constant_(layer.bias, value)
    return net


def test_biases_that_look_designed_and_saturate_the_units_start_at_zero_with_the_mend() -> None:
    found = told(lambda: biased(3.0))
    named = {one.kind: one for one in found.alarms}
    zeros = {f"{i}.bias": "zeros" for i in range(0, 12, 2)}
    assert named["saturated units"].schemes == {"*": "glorot_normal"} | zeros
    assert named["saturated units"].mended == "yes"
    assert not told(lambda: biased(0.1)).alarms


def test_a_gate_that_starts_shut_is_no_bias_to_mend() -> None:
    """Sixty layers that only carry fade: the mend leaves the gates alone, whose biases make most of their sums."""
    with seeded():
        model = Highway(layers=60)
    for value in model.values:
        nn.init.zeros_(value.weight)
    assert not any(one.zeros for one in initlab.probe(model, X, Y).diagnose().findings)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_weight_normed_layers_are_offered_what_bare_ones_are(kind) -> None:
    found, bare = (told(lambda of=of: deep(of, nn.ReLU, 12)) for of in (lambda a, b: kind(nn.Linear(a, b)), nn.Linear))
    assert found.alarms
    assert offers(found) == offers(bare) == ["he_normal", "auto"]


def test_a_deep_sigmoid_net_is_offered_auto_which_was_tried() -> None:
    found = told(lambda: deep(nn.Linear, nn.Sigmoid, 8))
    assert [(one.scheme, one.mended) for one in found.alarms if not one.cause] == [("auto", "yes")]


@pytest.mark.parametrize(("norm", "healthy"), [(nn.LayerNorm, False), (nn.BatchNorm1d, True)])
def test_norms_are_not_the_mend_of_a_net_that_has_them(norm: type[nn.Module], healthy: bool) -> None:
    found = told(lambda: deep(nn.Linear, nn.Sigmoid, 20, norm))
    assert found.healthy == healthy
    assert healthy or "put residual connections" in found.alarms[0].fix


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_line_that_is_printed_makes_a_script_s_net_healthy(script: Script) -> None:
    assert followed(script)[0].diagnose().healthy


@pytest.mark.soak
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_that_does_not_train_does_so_by_the_line_that_is_printed(script: Script) -> None:
    assert script.trained(script.model()) < 0.3
    assert script.trained(followed(script)[1]) > 0.9


def followed(script: Script) -> tuple[initlab.Profile, nn.Module]:
    """The net after the first line that the diagnosis prints, and its profile."""
    model, batch = script.model(), script.batch()
    found = initlab.probe(model, *batch, try_mends=True).diagnose()
    assert not found.healthy
    line = re.search(
        r"initlab\.initialize\(.*?\)  # tried: mends it", " ".join(str(found).split()).replace(" #", "  #")
    )
    assert line is not None, str(found)
    eval(line[0], {"initlab": initlab, "model": model})  # what a reader pastes
    return initlab.probe(model, *batch), model


def test_what_is_added_to_a_tied_table_is_drawn_with_it_where_it_would_drown_the_words() -> None:
    """A table of words of std 0.02 under places of N(0, 1) starts at ln 64 and learns nothing in 100 steps."""
    script = SCRIPTS["transformer"]
    loud, model = initlab.probe(script.model(), *script.batch()).diagnose().findings[0], script.model()
    assert loud.schemes == {"words.weight": "normal(std=0.02)", "places.weight": "normal(std=0.02)"}
    nn.init.normal_(model.places.weight, std=0.01)
    quiet = initlab.probe(model, *script.batch()).diagnose().findings[0]
    assert quiet.schemes == {"words.weight": "normal(std=0.02)"}
    assert initlab.probe(Transformer(std=0.02), *script.batch()).diagnose().healthy
