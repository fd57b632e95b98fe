"""What trains, by names that a worker process can look up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from initlab.core.errors import OptionError
from initlab.core.factories import named
from initlab.core.training.protocol import OwnTrainer, Trainer
from initlab.frameworks import FRAMEWORKS


@dataclass(frozen=True)
class TrainerName:
    """The trainer of a framework, or one of the user's own, as data.

    Attributes:
        framework: The framework's registered name.
        own: Whether it trains the user's own models.
        function: A trainer in the framework's place, as ``package.module:function``; None for the framework's.

    Example:
        >>> str(TrainerName("torch")), str(TrainerName("torch", function="package.module:train"))
        ('torch', 'package.module:train')
    """

    framework: str
    own: bool = False
    function: str | None = None

    def __str__(self) -> str:
        return self.function or self.framework

    def settle(self, compiled: Path) -> None:
        """Set, for this process, what the framework reads from the environment, where the user has not.

        Args:
            compiled: The folder in which workers keep compiled code.
        """
        FRAMEWORKS[self.framework].settle(compiled, own=self.own)

    def load(self) -> Trainer | OwnTrainer:
        """The trainer; what it needs is imported.

        Raises:
            MissingDependencyError: A package that the framework imports is not installed.
            OptionError: There is no function of the user's name, or the framework trains no such models.
        """
        if self.function is not None:
            return cast("Trainer | OwnTrainer", named(self.function))
        return FRAMEWORKS[self.framework].trainer(own=self.own)

    def message(self) -> str:
        """The name as a worker is told it, with the module that registers the framework.

        Raises:
            OptionError: The framework was registered where no other process finds it.
        """
        home = FRAMEWORKS[self.framework].load.__module__
        if home == "__main__":
            raise OptionError(
                f"workers cannot find the framework '{self.framework}', which a script registered",
                fix="register it in a module that can be imported",
            )
        return json.dumps({"home": home, **asdict(self)})


def trainer_named(message: str) -> TrainerName:
    """The name that ``TrainerName.message`` told; its framework is registered.

    Example:
        >>> trainer_named(TrainerName("jax").message())
        TrainerName(framework='jax', own=False, function=None)
    """
    told = json.loads(message)
    home = told.pop("home")
    if told["framework"] not in FRAMEWORKS:
        import_module(home)
    return TrainerName(**told)
