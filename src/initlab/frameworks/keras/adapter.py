"""What initlab does with Keras 3 models, on any back end."""

from __future__ import annotations

from initlab.core.adapter import refusal
from initlab.core.training.protocol import OwnTrainer, Trainer, UserTrainingSetup
from initlab.frameworks.keras.describe import describe
from initlab.frameworks.keras.museum.exhibits import exhibit
from initlab.frameworks.keras.probing.capture import capture
from initlab.frameworks.keras.probing.watch import watch
from initlab.frameworks.keras.reading.marks import mark
from initlab.frameworks.keras.user_training.build import build_own, digest, outputs
from initlab.frameworks.keras.writing.construction import construction
from initlab.frameworks.keras.writing.parameters import read, write
from initlab.frameworks.keras.writing.resizing import native_axes, resize
from initlab.frameworks.keras.writing.state import generator_state, holding, load, random_bits, seeded, state
from initlab.frameworks.keras.writing.tape import evaluated, tape
from initlab.frameworks.keras.zoo import build


class KerasAdapter:
    """The adapter of Keras; it holds no state."""

    framework = "keras"
    describe = staticmethod(describe)
    read = staticmethod(read)
    write = staticmethod(write)
    holding = staticmethod(holding)
    allocated = refusal(
        "Keras models are not given memory here", where="materialize", fix="build one, and initialize it"
    )
    mark = staticmethod(mark)
    generator_state = staticmethod(generator_state)
    random_bits = staticmethod(random_bits)
    state = staticmethod(state)
    load = staticmethod(load)
    native_axes = staticmethod(native_axes)
    resize = staticmethod(resize)
    tape = staticmethod(tape)
    evaluated = staticmethod(evaluated)
    capture = staticmethod(capture)
    watch = staticmethod(watch)
    jacobian = refusal("Keras models give no Jacobian here", fix="take it in the back end that Keras runs on")
    construction = staticmethod(construction)
    build = staticmethod(build)
    seeded = staticmethod(seeded)
    build_own = staticmethod(build_own)
    outputs = staticmethod(outputs)
    digest = staticmethod(digest)
    exhibit = staticmethod(exhibit)

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in Keras."""
        from initlab.frameworks.keras.training.train import train

        return train

    def own_trainer(self) -> OwnTrainer:
        """What trains the user's own models in Keras."""
        from initlab.frameworks.keras.user_training.train import train

        return train

    def together(self, setup: UserTrainingSetup) -> tuple[int, str]:
        """One: a compiled step holds the variables of one model."""
        return 1, ""


ADAPTER = KerasAdapter()
