"""The frameworks: each with its adapter, imported when it is asked for, and what is known of it without that."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from initlab.core.adapter import Adapter
from initlab.core.errors import DataError, InitlabError, MissingDependencyError, OptionError, UnsupportedError
from initlab.core.factories import made_by
from initlab.core.facts.arch import Mlp
from initlab.core.facts.provenance import Construction, Provenance
from initlab.core.generators import global_generators
from initlab.core.registry import Registry
from initlab.core.training.protocol import OwnTrainer, Trainer, TrainingSetup, UserTrainingSetup
from initlab.frameworks.reading.made_up import Asked
from initlab.frameworks.reading.provenance import asked


@dataclass(frozen=True, eq=False)
class Framework:
    """What initlab knows of a framework without importing it.

    Attributes:
        name: The name in a design and on the command line.
        title: As it is written in a text.
        load: Imports and returns the adapter.
        roots: The classes that its models inherit from, as ``module:Class``.
        model: The class that a user is asked for.
        look_alikes: Classes that are no models of it, as ``module:Class``: what each is, and how to make a model of it.
        install: The command that installs what trains.
        packages: What computes, for a record's environment.
        environment: Variables that a worker sets, where the user has not, before the framework is imported.
        own_environment: The same for the user's own models, which compute as in the process that holds them.
        prepare: What else a worker settles before that, given the folder in which workers keep compiled code.
        trains: Those of initlab's own networks that it trains.
        default_scheme: What its layers draw where nothing is asked of them; empty where that has no name.
        channels_last: Whether an image's channels are its last axis.
        built_by_calls: Whether a model may be without weights until it is called for the first time.
        gru_update_first: Whether the first block of a GRU's weights is the update gate's, not the reset gate's.
        chunk_size: How many of initlab's own networks train at a time, a function of the setup alone; None for one.
        settings: What decides a run's numbers beside the versions of packages, for its record's ``env``: of the
            framework as this process has imported it (True), or as a worker will; None for nothing.
        load_trainer: Imports and returns what trains initlab's own networks, where that needs less than the adapter.
        saved: By the ending of a file in which whole models are kept, what opens one; none that may run what it holds.
        asked: The inputs that a model names itself; none where it names none.
    """

    name: str
    title: str
    load: Callable[[], Adapter]
    roots: tuple[str, ...]
    model: str
    look_alikes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    install: str = ""
    packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    own_environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    trains: tuple[type, ...] = (Mlp,)
    default_scheme: str = ""
    channels_last: bool = True
    built_by_calls: bool = False
    gru_update_first: bool = False
    chunk_size: Callable[[TrainingSetup], int] | None = None
    settings: Callable[[bool], Mapping[str, str]] | None = None
    load_trainer: Callable[[], Trainer] | None = None
    saved: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    asked: Callable[[object], tuple[Asked, ...]] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether this process has imported the classes of its models."""
        return any(root.partition(":")[0] in sys.modules for root in self.roots)

    def trainer(self, *, own: bool = False) -> Trainer | OwnTrainer:
        """What trains initlab's own networks, or the user's; the framework is imported by this.

        Raises:
            MissingDependencyError: A package that it imports is not installed.
            UnsupportedError: The framework trains none.
        """
        try:
            if self.load_trainer is not None and not own:
                return self.load_trainer()
            return self.load().own_trainer() if own else self.load().trainer()
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"training needs the package '{error.name}'", where=self.name, fix=self.install
            ) from error

    def together(self, setup: TrainingSetup | UserTrainingSetup) -> tuple[int, str]:
        """How many models of a setup train at a time, a function of the setup alone; why, if one, or nothing."""
        if not isinstance(setup, TrainingSetup):
            return self.load().together(setup)
        return (1 if self.chunk_size is None else self.chunk_size(setup)), ""

    def settle(self, compiled: Path, *, own: bool = False) -> None:
        """Set, for this process, those of a worker's variables that are not set.

        Args:
            compiled: The folder in which workers keep compiled code.
            own: Whether it trains the user's own models.
        """
        if self.prepare is not None:
            self.prepare(compiled)
        for name, value in (self.own_environment if own else self.environment).items():
            os.environ.setdefault(name, value)


FRAMEWORKS = Registry[Framework]("framework", group="initlab.frameworks")
_ROOTS: dict[str, Framework] = {}
_LOOK_ALIKES: dict[str, tuple[str, str]] = {}


def register_framework(framework: Framework) -> Framework:
    """The framework, which from now on stands beside torch, Keras and JAX wherever one is asked for.

    Workers find it by its name: through an entry point of the group ``initlab.frameworks``, or in the module of its
    ``load``.

    Args:
        framework: With a name and roots of its own.

    Raises:
        OptionError: The name or one of the roots is taken.
    """
    taken = [root for root in framework.roots if root in _ROOTS]
    if taken:
        raise OptionError(f"models of {taken[0]} belong to {_ROOTS[taken[0]].title}", where=framework.name)
    FRAMEWORKS.add(framework.name, framework)
    _ROOTS.update(dict.fromkeys(framework.roots, framework))
    _LOOK_ALIKES.update(framework.look_alikes)
    return framework


def framework_of(model: object) -> Framework | None:
    """The framework that a model belongs to: that of the nearest class in its ancestry; None for no model.

    Example:
        >>> framework_of(3) is None
        True
    """
    ancestry = _ancestry(model)
    found = next((_ROOTS[kind] for kind in ancestry if kind in _ROOTS), None)
    if found is None and len(ancestry) > 1:
        FRAMEWORKS.load_plugins()
        found = next((_ROOTS[kind] for kind in ancestry if kind in _ROOTS), None)
    return found


def adapter_for(model: object) -> Adapter:
    """The adapter of a model's framework.

    Raises:
        InitlabError: The object is not a model of a framework that initlab knows.
    """
    if isinstance(model, type):
        raise InitlabError(f"{model.__name__} is a class, not a model", fix="give the model that it makes")
    framework = framework_of(model)
    if framework is not None:
        return framework.load()
    name = type(model).__name__
    what, fix = next((_LOOK_ALIKES[kind] for kind in _ancestry(model) if kind in _LOOK_ALIKES), ("", ""))
    if what:
        raise InitlabError(f"{name} is {what}", fix=fix)
    raise InitlabError(f"{name} is not a model that initlab knows", fix=f"give {models()}")


def is_saved_model(path: str) -> bool:
    """Whether a file's ending says that it holds a whole model, which some framework opens.

    Example:
        >>> is_saved_model("nets/model.keras"), is_saved_model("train.py:build")
        (True, False)
    """
    return any(Path(path).suffix in FRAMEWORKS[name].saved for name in FRAMEWORKS)


def opened(path: str) -> object:
    """The model that a file holds.

    Args:
        path: One that ``is_saved_model``.

    Raises:
        MissingDependencyError: The framework is not installed.
        DataError: No such file, or one that cannot be read.
        InitlabError: It holds code, or needs some of the user's own.
    """
    kind = Path(path).suffix
    framework = next(FRAMEWORKS[name] for name in FRAMEWORKS if kind in FRAMEWORKS[name].saved)
    if not Path(path).is_file():
        raise DataError("there is no such file", where=path, fix=f"give the path of a {kind} file")
    try:
        return framework.saved[kind](Path(path))
    except ImportError as error:
        what = f"a {kind} file needs {framework.title}"
        raise MissingDependencyError(what, where=path, fix=framework.install) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it the generators of every loaded framework, NumPy and Python start from a seed; then they are as before.

    Args:
        seed: 0 or more.
    """
    with ExitStack() as kept:
        kept.enter_context(global_generators(seed))
        for framework in dict.fromkeys(_ROOTS.values()):
            if framework.is_loaded:
                kept.enter_context(framework.load().seeded(seed))
        yield


@contextmanager
def watching() -> Iterator[Callable[[object], tuple[Provenance, ...]]]:
    """Within it the construction of models is watched in every loaded framework.

    Yields:
        A function that tells, within it or afterwards, who wrote each parameter of a model, and remembers it beside the
        model, so that ``plan`` and ``audit`` know. Where a framework was first imported within it, nothing was seen.
    """
    with ExitStack() as kept:
        seen: dict[str, Construction] = {}
        for framework in dict.fromkeys(_ROOTS.values()):
            if framework.is_loaded:
                with suppress(UnsupportedError):
                    seen[framework.name] = kept.enter_context(framework.load().construction())
        yield lambda model: _writers(model, seen)


@contextmanager
def recording() -> Iterator[None]:
    """Within it the construction of models is watched in every loaded framework, and known whenever one is described.

    Raises:
        OptionError: No framework is imported.
    """
    with ExitStack() as kept:
        seen = []
        for framework in dict.fromkeys(_ROOTS.values()):
            if framework.is_loaded:
                with suppress(UnsupportedError):
                    seen.append((framework.name, kept.enter_context(framework.load().construction())))
        if not seen:
            raise OptionError(
                "no framework is imported whose models could be watched", fix="import it before, e.g. torch"
            )
        kept.enter_context(asked(seen))
        yield


def _writers(model: object, seen: Mapping[str, Construction]) -> tuple[Provenance, ...]:
    adapter = adapter_for(model)
    if adapter.framework in seen:
        return seen[adapter.framework].of(model)
    return tuple(Provenance(p.native, p.shape, "unknown") for p in adapter.describe(model).params)


def constructed(
    build: Callable[..., object], name: str, *, where: str = ""
) -> tuple[tuple[object, object, object], tuple[Provenance, ...]]:
    """The model that a factory makes, with what it gives beside it, and who wrote the model's parameters.

    A factory in which the framework is imported for the first time is called once more.

    Args:
        build: See ``core.factories.made_by``.
        name: See there.
        where: See there.

    Raises:
        InitlabError: It raised, or ended the process.
        OptionError: It returned nothing, or is asynchronous.
    """
    loaded = _loaded()
    with watching() as writers:
        parts = _complete(made_by(build, name, where=where))
    framework = framework_of(parts[0])
    if framework is None:
        return parts, ()
    if framework.name not in loaded:  # it was imported in there, so nothing could be watched
        with watching() as writers:
            parts = _complete(made_by(build, name, where=where))
    return parts, writers(parts[0])


def _complete(parts: tuple[object, object, object]) -> tuple[object, object, object]:
    """What a factory made; a model that has no weights before its first call has those of the example's."""
    model, example, _ = parts
    framework = framework_of(model)
    if framework is not None and framework.built_by_calls and example is not None:
        framework.load().describe(model, example=example)
    return parts


def _loaded() -> set[str]:
    return {framework.name for framework in _ROOTS.values() if framework.is_loaded}


def models() -> str:
    """What a model can be, in words.

    Example:
        >>> models()                                                              # and those of registered frameworks
        'a torch.nn.Module, a keras.Model...a flax.nnx.Module...'
    """
    *most, last = (f"a {FRAMEWORKS[name].model}" for name in FRAMEWORKS)
    return f"{', '.join(most)} or {last}"


def _ancestry(model: object) -> list[str]:
    return [f"{kind.__module__}:{kind.__qualname__}" for kind in type(model).__mro__]
