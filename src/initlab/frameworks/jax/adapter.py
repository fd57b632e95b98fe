"""What initlab does with models of ``flax.nnx``."""

from __future__ import annotations

from initlab.core.adapter import refusal
from initlab.core.generators import global_generators
from initlab.core.training.protocol import Trainer
from initlab.frameworks.jax.describe import describe
from initlab.frameworks.jax.probing.capture import capture
from initlab.frameworks.jax.probing.watch import watch
from initlab.frameworks.jax.reading.marks import mark
from initlab.frameworks.jax.training.train import train
from initlab.frameworks.jax.writing.construction import construction
from initlab.frameworks.jax.writing.parameters import read, write
from initlab.frameworks.jax.writing.resizing import native_axes, resize
from initlab.frameworks.jax.writing.state import holding, load, state
from initlab.frameworks.jax.writing.tape import evaluated, tape
from initlab.frameworks.jax.zoo import build

_not_trained = refusal("JAX trains no model of the user's own", where="build", fix="give one of torch or Keras")


class JaxAdapter:
    """The adapter of JAX and ``flax.nnx``; it holds no state."""

    framework = "jax"
    describe = staticmethod(describe)
    read = staticmethod(read)
    write = staticmethod(write)
    holding = staticmethod(holding)
    allocated = refusal(
        "Flax models are not given memory here", where="materialize", fix="build one, and initialize it"
    )
    mark = staticmethod(mark)
    generator_state = refusal("JAX has no global generator", fix="compare the keys that the model holds")
    random_bits = refusal("JAX has no global generator to take a seed from", where="seed", fix="give one, e.g. seed=0")
    state = staticmethod(state)
    load = staticmethod(load)
    native_axes = staticmethod(native_axes)
    resize = staticmethod(resize)
    tape = staticmethod(tape)
    evaluated = staticmethod(evaluated)
    capture = staticmethod(capture)
    watch = staticmethod(watch)
    jacobian = refusal("JAX models give no Jacobian here", fix="take jax.jacrev of a function of the model")
    construction = staticmethod(construction)
    build = staticmethod(build)
    seeded = staticmethod(global_generators)
    build_own = outputs = digest = own_trainer = together = _not_trained
    exhibit = refusal("the museum has no JAX models", fix="look at it in torch")

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in JAX."""
        return train


ADAPTER = JaxAdapter()
