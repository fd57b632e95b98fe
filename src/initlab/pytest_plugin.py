"""A pytest plugin: tests that fail where a model starts sick.

Loaded by pytest through its entry point, so importing it loads neither NumPy nor a framework. It gives:

- ``assert_init_healthy(model, batch)``, to import, or as a fixture of that name;
- the marker ``init_healthy`` for a test that returns what is probed::

    @pytest.mark.init_healthy(limits={"ratio": 100})
    def test_a_new_net_is_healthy():
        return Net(), torch.randn(64, 784), torch.arange(64) % 10
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from initlab.probing.checks.limits import Limits
    from initlab.probing.profile import Profile

MARKER = "init_healthy"
_ABOUT = (
    "init_healthy(limits=None, strict=False, unseen=None): probe the model and the batch, and targets if wanted, that "
    "the test returns."
)
_TAKEN = frozenset({"limits", "strict", "unseen"})


def assert_init_healthy(
    model: object,
    batch: object,
    targets: object = None,
    loss: Callable[..., object] | None = None,
    limits: Limits | Mapping[str, float] | None = None,
    *,
    strict: bool = False,
    unseen: float | None = None,
) -> Profile:
    """The model is healthy, or hard to train: signal, gradient and the likeness of samples pass. It is left as it was.

    Args:
        model: A PyTorch, Keras or Flax model.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
        targets: Whole numbers for cross entropy, real ones for the mean square error.
        loss: A function of the model's outputs, and of the targets where there are some.
        limits: Of a healthy model, by name or as ``Limits``; left out, the defaults.
        strict: Whether a model that is hard to train fails too.
        unseen: The share of the model's numbers that may be unseen, in place of the limits' own.

    Returns:
        The profile.

    Raises:
        AssertionError: The model is sick, or not judged; the text is the diagnosis.
        InitlabError: The model, the batch or the limits cannot be used.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> for p in net.parameters():
        ...     _ = torch.nn.init.zeros_(p)
        >>> assert_init_healthy(net, torch.ones(16, 4))
        Traceback (most recent call last):
        ...
        AssertionError: Sequential is sick: ...
    """
    __tracebackhide__ = True
    from initlab.api.probing import probe
    from initlab.probing.checks.limits import Limits

    chosen = Limits(**limits) if isinstance(limits, Mapping) else limits or Limits()
    profile = probe(model, batch, targets, loss)
    diagnosis = profile.diagnose(chosen if unseen is None else replace(chosen, unseen=unseen))
    if diagnosis.verdict in ("sick", "not judged", *(["hard"] if strict else [])):
        raise AssertionError(str(diagnosis))
    return profile


@pytest.fixture(name="assert_init_healthy")
def assert_init_healthy_fixture() -> Callable[..., Profile]:
    """The function that fails a test whose model starts sick."""
    return assert_init_healthy


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _ABOUT)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test and probe what it returns; other tests are left to pytest."""
    marker = pyfuncitem.get_closest_marker(MARKER)
    if marker is None:
        return None
    __tracebackhide__ = True
    if marker.args or set(marker.kwargs) - _TAKEN:
        pytest.fail(f"the marker {MARKER} takes {', '.join(sorted(_TAKEN))} only, by name", pytrace=False)
    wanted = inspect.signature(pyfuncitem.obj).parameters
    returned = pyfuncitem.obj(**{name: value for name, value in pyfuncitem.funcargs.items() if name in wanted})
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        found = type(returned).__name__ if not isinstance(returned, tuple) else f"a tuple of {len(returned)}"
        pytest.fail(f"a test marked {MARKER} returned {found}: return (model, batch[, targets])", pytrace=False)
    try:
        model, batch, targets = (*returned, None)[:3]
        assert_init_healthy(model, batch, targets, **marker.kwargs)
    except AssertionError as sick:
        # The diagnosis is the message; no line of the plugin tells more.
        pytest.fail(str(sick), pytrace=False)
    return True
