"""What is put back after a trial, whatever is pressed meanwhile."""

from __future__ import annotations

from collections.abc import Callable


def put_back(restore: Callable[[], None]) -> None:
    """Everything is restored, and an interruption that came meanwhile is raised afterwards.

    Args:
        restore: Puts everything back; may be done again from its start.

    Raises:
        BaseException: The interruption, as Ctrl-C; or what goes wrong in ``restore`` itself.

    Example:
        >>> presses, held = [KeyboardInterrupt()], []
        >>> def restore():
        ...     if presses:
        ...         raise presses.pop()
        ...     held.append("as before")
        >>> try:
        ...     put_back(restore)
        ... except KeyboardInterrupt:
        ...     print(held)
        ['as before']
    """
    pressed: BaseException | None = None
    while True:
        try:
            restore()
            break
        except Exception:
            raise
        except BaseException as interruption:  # restored first, then raised
            pressed = interruption
    if pressed is not None:
        raise pressed
