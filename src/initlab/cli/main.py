"""The entry point: commands, exit codes, and errors of one line."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, TextIO

import typer
from typer.core import TyperGroup

from initlab.cli.audit import audit
from initlab.cli.blame import blame
from initlab.cli.compare import compare
from initlab.cli.explain import explain
from initlab.cli.init import init
from initlab.cli.listing import list_items
from initlab.cli.lock import lock
from initlab.cli.museum import museum
from initlab.cli.paper import paper
from initlab.cli.plan import plan
from initlab.cli.probe import probe
from initlab.cli.report import report
from initlab.cli.show import show
from initlab.cli.store import store
from initlab.cli.theory import theory
from initlab.cli.web import web
from initlab.core.errors import (
    ChangedWarning,
    IncompleteWarning,
    InitlabError,
    PictureWarning,
    PluginWarning,
    as_text,
)
from initlab.core.extras import missing
from initlab.core.factories import GUARD, said

CTRL_C = 130  # what Typer makes of a KeyboardInterrupt
NO_READER = 141  # what a shell says of a process that SIGPIPE ended

# Typer carries a Click of its own and does not export this base of its usage errors.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

COMMANDS: dict[str, dict[str, tuple[Any, str]]] = {
    "Learn": {
        "explain": (explain, "Explain a topic, with numbers of a live run."),
        "theory": (theory, "Print what theory says of an activation."),
        "paper": (paper, "Run a landmark paper's claim at desk size."),
        "web": (web, "Show the page that trains two networks side by side."),
        "museum": (museum, "Look at small broken networks, and mend them."),
    },
    "Look at a model": {
        "probe": (probe, "Probe a model with one batch."),
        "blame": (blame, "Tell who wrote each parameter of a model."),
        "plan": (plan, "Print what would be done with every parameter of a model."),
    },
    "Mend it": {
        "init": (init, "Write the initial weights of a model to a file."),
    },
    "Compare": {
        "compare": (compare, "Train one network under many schemes and seeds."),
        "report": (report, "Write a report again, or tell what differs between two."),
        "store": (store, "Check, clean, pack and merge finished runs."),
    },
    "Keep it so, in CI": {
        "lock": (lock, "Write what a model's parameters are to a lock file."),
        "audit": (audit, "Hold a model to a recipe, a scheme or a lock file."),
    },
    "Look up": {
        "list": (list_items, "List schemes, data sets, layers, checks and more."),
        "show": (show, "Show a scheme, a check or another name, whole."),
    },
}
"""By group, in the order in which they are listed; a line each."""


BEGIN = {
    "learn": "initlab explain",
    "see": "initlab compare iris",
    "my model": "initlab probe train.py:build",
}


class Grouped(TyperGroup):
    """The commands, listed in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what to begin with, before options and commands."""
        with formatter.section("To begin"):
            formatter.write_dl(list(BEGIN.items()))
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the groups, with all names in one column."""
        width = max(map(len, self.commands))
        for group, commands in COMMANDS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), line) for name, (_, line) in commands.items()])


app = typer.Typer(
    name="initlab", cls=Grouped, pretty_exceptions_enable=False, rich_markup_mode=None
)  # fmt: skip
for _commands in COMMANDS.values():
    for _name, (_command, _line) in _commands.items():
        # The short help is the line in the list of commands, which else is the first of the long one, cut.
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, short_help=_line)
        else:
            app.command(_name, short_help=_line)(_command)


class Terminated(BaseException):
    """SIGTERM arrived: everything unwinds. Not a KeyboardInterrupt, which Typer takes for itself."""


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    """The laboratory for the initial weights of neural networks."""
    if version:
        from initlab._version import __version__

        typer.echo(f"initlab {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code.

    0 done; 1 a bug of ours; 2 bad input, nothing written; 3 some runs failed, an audit did, or a probe found an
    alarm; 4 store damaged or newer; 5 a resource gave out, resumable; 130 for Ctrl-C and 143 for SIGTERM.
    """
    previous = signal.signal(signal.SIGTERM, _terminate)
    shown, warnings.showwarning = warnings.showwarning, _notice
    try:
        code = int(app(args=None if argv is None else list(argv), prog_name="initlab", standalone_mode=False) or 0)
        code = code if code != CTRL_C else _fail("stopped by Ctrl-C: run the same command again to go on", code)
        return _flushed(code)
    except InitlabError as error:
        return _fail(str(error), error.exit_code, shown=error.shown)
    except UsageError as error:
        return _fail(f"{_one_line(error)}: see {_command_of(error)} --help", 2)
    except SystemExit as error:
        return _ended(error, argv)
    except ModuleNotFoundError as error:
        lacking = missing(error, "this command")
        if lacking is None:
            raise
        return _fail(str(lacking), lacking.exit_code)
    except OSError as error:
        return _fail(f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}", 5)
    except MemoryError:
        return _fail("there is not enough memory", 5)
    except Terminated:
        return _fail("stopped by SIGTERM: run the same command again to go on", 143)
    finally:
        warnings.showwarning = shown
        signal.signal(signal.SIGTERM, previous)


def _ended(error: SystemExit, argv: Sequence[str] | None) -> int:
    """The exit code of a command that was ended from within: by a pipe that nobody reads, or by the user's code.

    Raises:
        SystemExit: A shell was told its completions, which Typer ends so.
    """
    words = sys.argv[1:] if argv is None else argv
    if "_INITLAB_COMPLETE" in os.environ or any(word.endswith("-completion") for word in words):
        raise error
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, BrokenPipeError):
        cause = cause.__context__  # rich and Typer turn a closed pipe into an exit of their own
    return NO_READER if cause is not None else _fail(f"code of yours raised {said(error)}: {GUARD}", 2)


def _flushed(code: int) -> int:
    """The exit code, once standard output has taken all that was printed."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left would be tried again, and told, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return NO_READER
        return _fail(f"standard output cannot be written: {error.strerror}", 5)
    return code


def _notice(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning; one of ours is a line."""
    if issubclass(category, ChangedWarning | IncompleteWarning | PluginWarning | PictureWarning):
        print(f"initlab: notice: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


def _one_line(error: Exception) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(str(text).split()).rstrip(".")


def _command_of(error: Exception) -> str:
    """The words of the command that was misused, ``initlab museum`` say."""
    context = getattr(error, "ctx", None)
    return "initlab" if context is None else str(context.command_path)


def _fail(message: str, code: int, *, shown: Sequence[str] = ()) -> int:
    print(f"initlab: error: {as_text(' '.join(message.split()))}", file=sys.stderr)
    if shown:
        print("\n".join(["", *(f"    {as_text(line)}".rstrip() for line in shown)]), file=sys.stderr)
    return code
