"""Code of the user's own: found by name, ``package.module:function``, entered, and named for another process."""

from __future__ import annotations

import ast
import difflib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import NoReturn

from initlab.core.errors import InitlabError, OptionError

FORM = "write it like package.module:build"
GUARD = 'put what ends the process under if __name__ == "__main__":'


@contextmanager
def users_code(what: str, *, where: str = "", fix: str = "") -> Iterator[None]:
    """Within it, whatever the user's code raises is an error of one line, and so is an end of the process.

    Args:
        what: What is tried, before the name of what was raised: ``"importing 'net' failed:"``.
        where: The place, as in ``InitlabError``.
        fix: What to do about it, as in ``InitlabError``.

    Raises:
        InitlabError: What was raised, or one that says so.

    Example:
        >>> with users_code("build raised"):
        ...     sys.exit("no data")
        Traceback (most recent call last):
        initlab.core.errors.InitlabError: build raised SystemExit: no data: put what ends the process ...
    """
    try:
        with exits_raise():
            yield
    except InitlabError:
        raise
    except (Exception, SystemExit) as error:
        mend = GUARD if isinstance(error, SystemExit) else fix
        raise InitlabError(f"{what} {said(error)}", where=where, fix=mend) from error


@contextmanager
def exits_refused(what: str = "the model's code") -> Iterator[None]:
    """Within it, an end of the process is an error of one line; every other exception passes.

    Args:
        what: Whose code runs.

    Raises:
        InitlabError: It ended the process.
    """
    try:
        with exits_raise():
            yield
    except SystemExit as error:
        raise InitlabError(f"{what} raised {said(error)}", fix=GUARD) from error


@contextmanager
def exits_raise() -> Iterator[None]:
    """Within it, ``os._exit`` raises ``SystemExit`` as ``sys.exit`` does; in this thread of this process alone.

    A child that a fork makes, and every other thread, ends as it always would.
    """
    before, here = os._exit, (os.getpid(), threading.get_ident())
    inside = True

    def leave(status: int) -> NoReturn:
        if inside and (os.getpid(), threading.get_ident()) == here:
            raise SystemExit(status)
        before(status)

    os._exit = leave
    try:
        yield
    finally:
        inside, os._exit = False, before  # who keeps ``leave`` has what was there before


def said(error: BaseException) -> str:
    r"""The name of what was raised, and its words, where it has any that can be told.

    Example:
        >>> said(ValueError("no such row")), said(SystemExit())
        ('ValueError: no such row', 'SystemExit')
    """
    try:
        words = str(error)
    except (Exception, SystemExit) as within:
        words = f"its text raises {type(within).__name__}"
    return f"{type(error).__name__}: {words}".rstrip(": ")


def named(dotted: str, *, asked: str = "") -> object:
    """What stands under a dotted name.

    Args:
        dotted: ``package.module:name``; the name may have dots, and arguments that are literals.
        asked: What was typed, ``train.py:build`` say, for errors; left out, the dotted name.

    Raises:
        OptionError: Not of this form, or a module or name that is not there.
        InitlabError: The module raised.

    Example:
        >>> named("math:sqrt")(4.0), named("math:hypot(3, 4)")()
        (2.0, 5.0)
    """
    module_name, _, name = dotted.partition(":")
    if not module_name or not name:
        raise OptionError(f"'{dotted}' names no function", fix=FORM)
    name, bind = _bound(name, dotted)
    module = found = imported(module_name, dotted)
    for part in name.split("."):
        if not hasattr(found, part):
            place, _, _ = (asked or dotted).partition(f":{name}")
            raise OptionError(f"there is no '{name}' in {place}", fix=_offered(module, name, place))
        found = getattr(found, part)
    return found if bind is None else bind(found)


def _offered(module: object, name: str, place: str) -> str:
    """The names of a module that one may have meant: those like it, else the functions and classes that are its own."""
    there = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    able = [key for key, value in there.items() if not isinstance(value, ModuleType)]
    near = difflib.get_close_matches(name, able, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(f'{place}:{one}' for one in near)}?"
    own = [key for key in able if getattr(there[key], "__module__", "") == getattr(module, "__name__", None)]
    return (
        f"it has {', '.join(f'{place}:{one}' for one in own[:4])}" if own else f"write {place}:build, and define build"
    )


def _bound(name: str, dotted: str) -> tuple[str, Callable[[object], object] | None]:
    """The name without its arguments, and what binds them to what stands under it; None where it has none."""
    if "(" not in name:
        return name, None
    try:
        call = ast.parse(name.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("no call")
        args = [ast.literal_eval(argument) for argument in call.args]
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise OptionError(
            f"'{dotted}' has arguments that are no literals", fix="write numbers and texts, as in train:Net(64, 10)"
        ) from error

    def bind(found: object) -> object:
        if not callable(found):
            raise OptionError(f"'{dotted}' calls what is no function", fix=FORM)
        return partial(found, *args, **options)

    return ast.unparse(call.func), bind


def made_by(build: Callable[..., object], name: str, *, where: str = "") -> tuple[object, object, object]:
    """The model that a factory makes, with the example and the targets that it gives with it; None for none.

    Args:
        build: Called without arguments.
        name: The factory's, for errors.
        where: The place, for errors.

    Raises:
        InitlabError: It raised, or ended the process.
        OptionError: It returned nothing, or is asynchronous.
    """
    with users_code(
        f"{name} raised",
        where=where,
        fix="it is called without arguments; write those it needs, as in train:Net(64, 10)",
    ):
        made = build()
    if inspect.iscoroutine(made):
        made.close()  # one that is dropped warns that nobody awaited it
        raise OptionError(f"{name} is asynchronous", where=where, fix="return the model from a plain function")
    parts = parts_of(made)
    if parts[0] is None:
        raise OptionError(f"{name} returned None", where=where, fix="return the model")
    return parts


def parts_of(made: object) -> tuple[object, object, object]:
    """The model that a factory made, with the example and the targets that it gave with it; None for none.

    Args:
        made: A model, or a tuple of a model, an example input and, if wanted, targets.

    Example:
        >>> parts_of("model"), parts_of(("model", "example"))
        (('model', None, None), ('model', 'example', None))
    """
    parts = made if isinstance(made, tuple) and len(made) in (2, 3) else (made,)
    model, example, targets = (*parts, None, None)[:3]
    return model, example, targets


def dotted_name(build: Callable[..., object]) -> str | None:
    """The name under which another process with this one's import path finds the function; None if it cannot.

    Functions of a script, of a notebook or inside another function, and lambdas, have no such name.

    Example:
        >>> dotted_name(dotted_name), dotted_name(lambda: 0) is None
        ('initlab.core.factories:dotted_name', True)
    """
    module_name, name = getattr(build, "__module__", None), getattr(build, "__qualname__", None)
    if not isinstance(module_name, str) or not isinstance(name, str) or "<" in name:
        return None
    module = sys.modules.get(module_name)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not build or module is None or module_name == "__main__":
        return None
    top = sys.modules.get(module_name.partition(".")[0])
    spec = PathFinder.find_spec(module_name.partition(".")[0])
    if spec is None or top is None or spec.origin != getattr(top, "__file__", None):
        return None
    return f"{module_name}:{name}"


def imported(name: str, dotted: str) -> object:
    """The module of that name.

    Args:
        name: Dotted.
        dotted: What was asked for, for errors.

    Raises:
        OptionError: There is none.
        InitlabError: It raised, or ended the process.
    """
    if name.endswith(".py"):  # its import would run the file before it fails
        fix = f"write {dotted.replace('.py:', ':', 1).replace('/', '.')}"
        raise OptionError(f"'{name}' is a file and no module's name", where=dotted, fix=fix)
    try:
        with users_code(f"importing '{name}' failed:", where=dotted):
            return import_module(name)
    except InitlabError as error:
        cause = error.__cause__
        if not isinstance(cause, ModuleNotFoundError):
            raise
        if cause.name is not None and (name == cause.name or name.startswith(f"{cause.name}.")):
            raise OptionError(f"there is no module '{cause.name}'", where=dotted, fix=FORM) from cause
        raise InitlabError(f"importing '{name}' failed: {cause}", where=dotted) from cause
