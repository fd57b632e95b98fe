"""Whether a net trains: labels by training alone.

The score of a net is the share of the way from the constant guess to its family's reference that it goes within the
budget: ten times the steps in which the reference goes 0.8 of its way, at least 200 and at most 1,000. It is the median
of three seeds at the best learning rate; rates lie half a decade apart, SGD with momentum 0.9 from 1e-3 to 3, Adam from
1e-4 to 3e-2. The first rate that passes 0.8 ends the search.

*healthy*: at least 0.8 by SGD, or by Adam where the reference itself needs Adam. *hard*: at least 0.8 by Adam, or with
a warm-up. *sick*: under 0.3 by all. Everything else is *border*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import nets
import tasks
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

SEEDS = (1, 2, 3)
BATCH, EVALUATED, EVERY = 32, 256, 20
SGD = tuple(10.0 ** (k / 2) for k in range(-6, 2))
ADAM = tuple(10.0 ** (k / 2) for k in range(-8, -2))
ENOUGH, NOTHING = 0.8, 0.3
REFERENCE_STEPS = 1000

Way = Literal["sgd", "adam", "sgd warm-up", "adam warm-up"]
Label = Literal["healthy", "hard", "sick", "border"]


@dataclass(frozen=True)
class Result:
    """How far a net got by one way of training.

    Attributes:
        score: The median over seeds at the best rate, in the task's own scale.
        rate: That rate.
        steps: After how many steps it was reached.
    """

    score: float
    rate: float
    steps: int


class Crowd:
    """Copies of one net, one for each rate and seed, trained side by side on the same batches."""

    def __init__(self, net: nets.Net, way: Way) -> None:
        self.task = tasks.load(net.task)
        rates = SGD if way.startswith("sgd") else ADAM
        self.way, self.rates = way, torch.tensor(rates).repeat_interleave(len(SEEDS))
        models = [_still(nets.build(net, seed=seed)) for seed in SEEDS]
        self.model = models[0]
        parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
        self.parameters = {
            name: value.detach().repeat(len(rates), *[1] * (value.ndim - 1)) for name, value in parameters.items()
        }
        self.buffers = {name: value.repeat(len(rates), *[1] * (value.ndim - 1)) for name, value in buffers.items()}
        self.first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.together = not any(isinstance(module, nn.RNNBase) for module in self.model.modules())

    def __len__(self) -> int:
        return len(self.rates)

    def step(self, number: int, chosen: Tensor, warm_up: int) -> None:
        """One step on these samples."""
        x, y = self.task.x[chosen], self.task.y[chosen]
        gradients = self._gradients(x, y)
        rates = self.rates
        if warm_up:
            rates = rates * min(1.0, number / warm_up)
        with torch.no_grad():
            for name, value in self.parameters.items():
                rate = rates.reshape(-1, *[1] * (value.ndim - 1))
                first, gradient = self.first[name], gradients[name]
                if self.way.startswith("sgd"):
                    first.mul_(0.9).add_(gradient)
                    value -= rate * first
                    continue
                second = self.second[name]
                first.mul_(0.9).add_(gradient, alpha=0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                size = (second / (1 - 0.999**number)).sqrt() + 1e-8
                value -= rate / (1 - 0.9**number) * first / size

    def _gradients(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return self.task.loss(functional_call(self.model, (parameters, buffers), (x,)), y)

        if self.together:
            return vmap(grad(loss), randomness="different")(self.parameters, self.buffers)
        each = []
        for i in range(len(self)):
            mine = {name: value[i].requires_grad_() for name, value in self.parameters.items()}
            out = self.task.loss(functional_call(self.model, (mine, {}), (x,)), y)
            each.append(torch.autograd.grad(out, list(mine.values())))
        return {name: torch.stack([g[k] for g in each]) for k, name in enumerate(self.parameters)}

    def scores(self) -> Tensor:
        """The score of every copy; -inf where it is not a number."""
        x, y = self.task.x[:EVALUATED], self.task.y[:EVALUATED]

        def score(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            outputs = functional_call(self.model, (parameters, buffers), (x,))
            got = self.task.score(outputs, y)
            finite = self.task.loss(outputs, y)
            return torch.where(torch.isfinite(finite), got, torch.full_like(got, -torch.inf))

        with torch.no_grad():
            if self.together:
                return vmap(score, randomness="different")(self.parameters, self.buffers)
            every = [{name: value[i] for name, value in self.parameters.items()} for i in range(len(self))]
            return torch.stack([score(mine, {}) for mine in every])

    def keep(self, alive: Tensor) -> None:
        """Go on with some of the copies alone."""
        self.rates = self.rates[alive]
        for held in (self.parameters, self.buffers, self.first, self.second):
            for name, value in held.items():
                held[name] = value[alive]


def _still(model: nn.Module) -> nn.Module:
    """A batch norm by the batch alone: running values decide nothing here."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return model


def train(net: nets.Net, way: Way, *, budget: int, target: float) -> Result:
    """Train at all rates side by side until one has the target, or the budget is spent."""
    crowd = Crowd(net, way)
    warm_up = budget // 3 if way.endswith("warm-up") else 0
    generator = torch.Generator().manual_seed(5)
    best = Result(-torch.inf, 0.0, 0)
    for number in range(1, budget + 1):
        chosen = torch.randint(0, len(crowd.task.x), (BATCH,), generator=generator)
        crowd.step(number, chosen, warm_up)
        if number % EVERY and number != budget:
            continue
        scores = crowd.scores().reshape(-1, len(SEEDS))
        medians = scores.median(1).values
        top = int(medians.argmax())
        if float(medians[top]) > best.score:
            best = Result(float(medians[top]), float(crowd.rates[top * len(SEEDS)]), number)
        if best.score >= target:
            break
        alive = torch.isfinite(medians)
        if not alive.any():
            break
        if not alive.all():
            crowd.keep(alive.repeat_interleave(len(SEEDS)))
    return best


@dataclass(frozen=True)
class Reference:
    """What the members of a family are held to.

    Attributes:
        constant: The score of a constant guess.
        score: That of the reference at its end.
        steps: In how many steps the reference goes 0.8 of the way.
        needs_adam: Whether SGD does not take it there.
    """

    constant: float
    score: float
    steps: int
    needs_adam: bool

    @property
    def budget(self) -> int:
        """The steps that every member has."""
        return min(1000, max(200, 10 * self.steps))

    @property
    def enough(self) -> float:
        """The score at 0.8 of the way."""
        return self.constant + ENOUGH * (self.score - self.constant)

    def share(self, score: float) -> float:
        """How much of the way a score is."""
        return (score - self.constant) / (self.score - self.constant)


def reference(net: nets.Net) -> Reference:
    """The reference of a net's family: the better of SGD and Adam says how far one can get."""
    start, constant = nets.reference(net), tasks.load(net.task).constant
    sgd = train(start, "sgd", budget=300, target=torch.inf)
    adam = train(start, "adam", budget=300, target=torch.inf)
    score = max(sgd.score, adam.score)
    enough = constant + ENOUGH * (score - constant)
    needs_adam = sgd.score < enough
    fast = train(start, "adam" if needs_adam else "sgd", budget=300, target=enough)
    return Reference(constant, score, fast.steps, needs_adam)


@dataclass(frozen=True)
class Labelled:
    """A net's label, and how far it got.

    Attributes:
        label: What training says.
        sgd: The share of the way by SGD.
        adam: By Adam; NaN where it was not asked.
        warm_up: With a warm-up, by either; NaN where it was not asked.
    """

    label: Label
    sgd: float
    adam: float
    warm_up: float


def label(net: nets.Net, held_to: Reference) -> Labelled:
    """Train a net by one way after the other until it is clear what it is."""
    shares = {"sgd": float("nan"), "adam": float("nan"), "warm-up": float("nan")}
    ways: tuple[Way, ...] = ("sgd", "adam", "sgd warm-up", "adam warm-up")
    for way in ways:
        share = held_to.share(train(net, way, budget=held_to.budget, target=held_to.enough).score)
        key = "warm-up" if way.endswith("warm-up") else way
        shares[key] = max(share, shares[key]) if shares[key] == shares[key] else share
        if share >= ENOUGH:
            healthy = way == "sgd" or (way == "adam" and held_to.needs_adam)
            return Labelled("healthy" if healthy else "hard", *shares.values())
    most = max(shares.values())
    return Labelled("sick" if most < NOTHING else "border", *shares.values())
