"""What initlab does with PyTorch models."""

from __future__ import annotations

from initlab.core.training.protocol import OwnTrainer, Trainer, UserTrainingSetup
from initlab.frameworks.torch.describe import describe
from initlab.frameworks.torch.museum.exhibits import exhibit
from initlab.frameworks.torch.probing.capture import capture
from initlab.frameworks.torch.probing.jacobian import jacobian
from initlab.frameworks.torch.probing.watch import watch
from initlab.frameworks.torch.reading.marks import mark
from initlab.frameworks.torch.user_training.build import build_own, digest, outputs
from initlab.frameworks.torch.writing.allocation import allocated
from initlab.frameworks.torch.writing.construction import construction
from initlab.frameworks.torch.writing.parameters import read, write
from initlab.frameworks.torch.writing.resizing import native_axes, resize
from initlab.frameworks.torch.writing.state import generator_state, holding, load, random_bits, seeded, state
from initlab.frameworks.torch.writing.tape import evaluated, tape
from initlab.frameworks.torch.zoo import build


class TorchAdapter:
    """The adapter of PyTorch; it holds no state."""

    framework = "torch"
    describe = staticmethod(describe)
    read = staticmethod(read)
    write = staticmethod(write)
    holding = staticmethod(holding)
    allocated = staticmethod(allocated)
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
    jacobian = staticmethod(jacobian)
    construction = staticmethod(construction)
    build = staticmethod(build)
    seeded = staticmethod(seeded)
    build_own = staticmethod(build_own)
    outputs = staticmethod(outputs)
    digest = staticmethod(digest)
    exhibit = staticmethod(exhibit)

    def trainer(self) -> Trainer:
        """What trains initlab's own networks in PyTorch."""
        from initlab.frameworks.torch.training.train import train

        return train

    def own_trainer(self) -> OwnTrainer:
        """What trains the user's own models in PyTorch."""
        from initlab.frameworks.torch.user_training.train import train

        return train

    def together(self, setup: UserTrainingSetup) -> tuple[int, str]:
        """Small modules train 32 at a time where ``torch.func`` takes them."""
        from initlab.frameworks.torch.user_training.train import together

        return together(setup)


ADAPTER = TorchAdapter()
