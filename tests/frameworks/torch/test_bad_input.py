"""What cannot be initialised is refused in one line, and no weight has changed."""

from __future__ import annotations

import pytest
import torch
from tests.frameworks.torch.models import digest
from torch import nn

import initlab
from initlab.core.errors import InitlabError
from initlab.frameworks.torch.adapter import ADAPTER


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.codes = nn.Parameter(torch.ones(3, 3, dtype=torch.int8), requires_grad=False)


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return nn.Linear(3, 3)


def sparse(how: str) -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = nn.Parameter(getattr(torch.eye(3), how)())
    return net


BAD = {
    "not a model": (lambda: "model", "str is not a model"),
    "no parameters": (lambda: nn.Sequential(nn.ReLU()), "Sequential has no parameters"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "give example="),
    "sparse": (lambda: sparse("to_sparse"), r"sparse tensor \(sparse_coo\).*1\.weight.*dense"),
    "sparse rows": (lambda: sparse("to_sparse_csr"), r"sparse tensor \(sparse_csr\).*1\.weight.*dense"),
    "scripted": (lambda: torch.jit.script(nn.Linear(3, 3)), "scripted module.*give the module that was scripted"),
    "traced inside": (
        lambda: nn.Sequential(nn.Linear(3, 3), torch.jit.trace(nn.Linear(3, 3), torch.ones(2, 3))),
        r"scripted module.*\(1\): give the module",
    ),
    "whole numbers": (Quantised, "int8.*codes.*quantise it"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:`torch.jit")
@pytest.mark.parametrize(("build", "text"), BAD.values(), ids=BAD)
def test_a_bad_model_is_refused_in_one_line(build, text: str) -> None:
    with pytest.raises(InitlabError, match=text) as caught:
        ADAPTER.describe(build())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["script", "to_sparse", "to_sparse_csr"])
@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:`torch.jit")
def test_a_probe_refuses_what_a_plan_refuses(how: str) -> None:
    net = torch.jit.script(nn.Linear(3, 3)) if how == "script" else sparse(how)
    with pytest.raises(InitlabError, match=r"scripted module|sparse tensor"):
        initlab.probe(net, torch.ones(2, 3))


def test_a_refused_model_keeps_its_numbers() -> None:
    net = Quantised()
    before = digest(net)
    with pytest.raises(InitlabError):
        ADAPTER.describe(net)
    assert digest(net) == before


def test_a_model_half_on_meta_is_refused() -> None:
    net = nn.Sequential(nn.Linear(3, 3), on_meta())
    before = digest(net[0])
    with pytest.raises(InitlabError, match=r"have no memory \(1\.weight, 1\.bias\): .*materialize"):
        initlab.initialize(net, "he_normal", seed=1)
    assert digest(net[0]) == before


def test_a_materialised_model_is_taken() -> None:
    net = on_meta().to_empty(device="cpu")
    assert len(ADAPTER.describe(net).params) == 2


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_parameters_of_a_type_that_is_not_drawn_are_kept_and_say_so() -> None:
    net = nn.Linear(3, 3)
    net.phase = nn.Parameter(torch.ones(3, dtype=torch.float16).to(torch.complex32))
    p = ADAPTER.describe(net)["phase"]
    assert (p.role, p.intent) == ("unknown", "numbers of its type are not drawn")
