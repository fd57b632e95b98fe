"""A probe runs on what models are made of, or refuses it in one line; each fault has a healthy twin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import initlab
from initlab.frameworks import constructed
from initlab.probing.diagnosis import Diagnosis

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

X = torch.randn(24, 8, generator=torch.Generator().manual_seed(3))
Y = torch.arange(24) % 3


class Body(nn.Module):
    """Two layers, with something between them."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.head = layer or nn.Linear(8, 8), nn.Linear(8, 3)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.between(torch.relu(self.first(x))))


def picked(h: torch.Tensor) -> torch.Tensor:
    at = torch.where(h > 0.5)
    h = h.clone()
    h[at] = 2.0 * h[at]
    return h


def mixed(h: torch.Tensor) -> torch.Tensor:
    return (torch.eye(24).roll(1, 0) + torch.eye(24)).to_sparse() @ h


@pytest.mark.parametrize("between", [picked, mixed])
def test_values_that_are_picked_and_sparse_matrices_are_probed(between: Callable[[torch.Tensor], torch.Tensor]) -> None:
    profile = initlab.probe(Body(between), X, Y)
    assert [row.path for row in profile.rows] == ["first", "head"]
    assert profile.coverage.unseen == 0.0


def test_sparse_inputs_are_probed() -> None:
    sparse = functional.relu(X).to_sparse()
    assert initlab.probe(Body(lambda h: h), sparse, Y).evidence.reading.loss > 0.0
    with pytest.raises(initlab.InitlabError, match="NaN or infinite"):
        initlab.probe(Body(lambda h: h), sparse / 0.0, Y)


class Bag(nn.Module):
    """A product of sparse rows and a weight, as of words counted in documents."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Parameter(0.3 * torch.randn(8, 16)), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(torch.sparse.mm(x, self.table)))


def test_a_sparse_product_is_the_product_that_it_is() -> None:
    model, dense = Bag(), functional.relu(X)
    plain = nn.Sequential(nn.Linear(8, 16, bias=False), nn.ReLU(), model.head)
    with torch.no_grad():
        plain[0].weight.copy_(model.table.T)
    found, wanted = initlab.probe(model, dense.to_sparse(), Y), initlab.probe(plain, dense, Y)
    assert found.coverage.unseen == 0.0
    assert [row.signal.measured for row in found.rows] == pytest.approx([row.signal.measured for row in wanted.rows])


class Mapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body(torch.tanh)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.vmap(self.body)(x)


def test_what_a_mapped_function_does_is_not_seen_and_no_verdict_is_given() -> None:
    profile = initlab.probe(Mapped(), X, Y)
    assert profile.evidence.reading.loss > 0.0
    assert all(sums.square > 0.0 for sums in profile.evidence.reading.gradients.values())
    found = profile.diagnose()
    assert (found.verdict, found.unseen) == ("not judged", 1.0)
    assert initlab.probe(Mapped().body, X, Y).diagnose().healthy


def scripted_part() -> nn.Module:
    return nn.Sequential(torch.jit.script(nn.Linear(8, 8)), nn.Linear(8, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("build", [lambda: torch.jit.script(nn.Linear(8, 3)), scripted_part], ids=["whole", "part"])
def test_a_scripted_module_is_refused_in_one_line(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(initlab.InitlabError, match="a scripted module runs outside of Python") as caught:
        initlab.probe(build(), X, Y)
    assert "\n" not in str(caught.value)


class Adapted(nn.Module):
    """DoRA: a size for each unit, and the direction of a weight to which a product of rank 2 is added."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.base = nn.Linear(8, 8)
        nn.init.normal_(self.base.weight, std=std)
        self.base.requires_grad_(requires_grad=False)
        self.a, self.b = nn.Parameter(0.1 * torch.randn(2, 8)), nn.Parameter(torch.zeros(8, 2))
        self.size = nn.Parameter(self.base.weight.norm(dim=1, keepdim=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.base.weight + self.b @ self.a
        return functional.linear(x, self.size * weight / weight.norm(dim=1, keepdim=True), self.base.bias)


def diagnosed(model: nn.Module) -> Diagnosis:
    return initlab.probe(model, X, Y).diagnose()


def test_a_zero_weight_that_is_divided_by_its_norm_is_told_as_such() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        sick, well = (nn.Sequential(Adapted(std), nn.ReLU(), nn.Linear(8, 3)) for std in (0.0, 0.3))
    found = diagnosed(sick)
    first = found.findings[0]
    assert (first.kind, first.where[:2]) == ("zero divided by zero", ("0", "0.base.weight"))
    assert "values that overflow" not in found
    assert all(one.cause == "zero divided by zero" for one in found.findings[1:])
    assert "zero divided by zero" not in diagnosed(well)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
def test_a_keras_model_without_weights_has_those_of_its_factory_s_example() -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = layers.Dense(8, "relu"), layers.Dense(3)

        def call(self, x: object) -> object:
            return self.head(self.first(x))

    def chain() -> object:
        return keras.Sequential([layers.Dense(8, "relu"), layers.Dense(3)])

    for build in (Own, chain):
        (model, x, y), written = constructed(lambda build=build: (build(), X.numpy(), Y.numpy()), "build")
        assert len(written) == 4
        assert len(initlab.probe(model, x, y).rows) == 2
    with pytest.raises(initlab.InitlabError, match="has no parameters"):
        constructed(chain, "build")


class Fused(nn.Module):
    """Attention that is one call."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.head = (nn.Linear(8, n) for n in (8, 8, 8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))).mean(1)


def test_a_row_of_which_theory_says_nothing_says_why() -> None:
    profile = initlab.probe(Fused(), torch.randn(24, 5, 8), Y)
    told = " ".join(profile.text(80).split())
    assert all(row.gradient.predicted is not None or row.gradient_unknown for row in profile.rows)
    assert "no theory of E[g²] of q, k, head: the gradient behind it is not known" in told
    assert "no theory of E[g²] of v: how alike the gradients of the tokens are is not known" in told
    assert "no theory of E[g²]" not in initlab.probe(Body(lambda h: h), X, Y).text(80)
