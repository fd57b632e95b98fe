"""Names with options in one string: ``normal(std=0.01)``, ``leaky_relu(negative_slope=0.2)``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TypeAlias

from initlab.core.errors import OptionError

OptionValue: TypeAlias = bool | int | float | str | None

LONGEST = 2000
"""Characters of the longest name with options that is read."""


def parse_call(text: str) -> tuple[str, dict[str, OptionValue]]:
    """Split ``name(key=value, ...)`` into its name and options; a bare name has none.

    Values are Python literals; a bare word is a string, so ``mode=fan_out`` needs no quotes.

    Args:
        text: The call, e.g. ``"he_normal(mode=fan_out)"``.

    Returns:
        The name and a dict of its options.

    Raises:
        OptionError: The text is not of this form.

    Example:
        >>> parse_call("he_normal(mode=fan_out, negative_slope=0.2)")
        ('he_normal', {'mode': 'fan_out', 'negative_slope': 0.2})
        >>> parse_call("zeros")
        ('zeros', {})
    """
    stripped = text.strip()
    if len(stripped) > LONGEST:
        raise OptionError(f"a name with options of {len(stripped):,} characters", fix=f"give at most {LONGEST:,}")
    malformed = OptionError(f"'{text}' is not a name with options", fix="write it like normal(std=0.01)")
    try:
        node = ast.parse(stripped, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:  # the last two of deep nesting
        raise malformed from error
    if isinstance(node, ast.Name):
        return node.id, {}
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)) or node.args:
        raise malformed
    options: dict[str, OptionValue] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in options:
            raise malformed
        options[keyword.arg] = _literal(keyword.value, malformed)
    return node.func.id, options


def _literal(node: ast.expr, malformed: OptionError) -> OptionValue:
    if isinstance(node, ast.Name):
        return node.id
    try:
        value = ast.literal_eval(node)
    except (ValueError, MemoryError, RecursionError) as error:
        raise malformed from error
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise malformed


def format_call(name: str, options: Mapping[str, OptionValue]) -> str:
    """Write a name with its options, in the order given; whoever compares texts gives a fixed order.

    Example:
        >>> format_call("normal", {"std": 0.01})
        'normal(std=0.01)'
        >>> format_call("zeros", {})
        'zeros'
    """
    if not options:
        return name
    inside = ", ".join(f"{key}={_spell(value)}" for key, value in options.items())
    return f"{name}({inside})"


def _spell(value: OptionValue) -> str:
    return value if isinstance(value, str) and value.isidentifier() else repr(value)


def split_calls(text: str) -> list[str]:
    """Split a comma-separated list of calls, leaving commas inside parentheses and quotes alone.

    Example:
        >>> split_calls("zeros, uniform(low=-0.1, high=0.1),he_normal")
        ['zeros', 'uniform(low=-0.1, high=0.1)', 'he_normal']
    """
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
