"""The verbs that hold a model to its word: audit, lock."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

from initlab.auditing.audit import audit_claims
from initlab.auditing.claims import Claim, plan_claims, recipe_claims
from initlab.auditing.grids import Values
from initlab.auditing.locking import Lock, lock_claims, make_lock, read_lock
from initlab.auditing.records import Audit
from initlab.core.adapter import Adapter
from initlab.core.calls import parse_call
from initlab.core.draws.streams import check_seed
from initlab.core.errors import OptionError, UnknownNameError
from initlab.core.factories import exits_refused
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.files import check_target, read_file, write_whole
from initlab.core.plans.bound import BoundPlan, seed_of
from initlab.core.plans.plan import Consent, Plan, make_plan
from initlab.frameworks import adapter_for
from initlab.schemes.rules import make_rules

if TYPE_CHECKING:
    from collections.abc import Callable

Declared: TypeAlias = str | Mapping[str, str] | Plan | BoundPlan | Lock | Path

LOCK_FILE = "initlab.lock.json"
LARGEST_LOCK = 1 << 28
"""Bytes of the largest lock that is read."""


def audit(
    model: object,
    declared: Declared,
    *,
    example: object = None,
    seed: SupportsIndex | None = None,
    errors: float = 4.0,
    exact: bool = False,
) -> Audit:
    """Whether every parameter of a model holds what was declared of it, and what it looks like where it does not.

    Each parameter's mean, std and family are held to the law within the sampling error of its size; bounds, zeros,
    constants and orthogonality within rounding; ties, clones and depth factors exactly. A model that was drawn as
    declared is called wrong once in 2000 times, however many parameters it has.

    Args:
        model: A PyTorch, Keras or Flax model, which is left as it is.
        declared: A recipe such as ``"gpt2"``; a scheme, or schemes by glob; a plan; a lock, or the path of its file.
            A name that is both a recipe's and a scheme's is the recipe's.
        example: An input, or a tuple of inputs, to trace the model with.
        seed: The seed the model was drawn with by initlab: the numbers themselves are compared.
        errors: Standard errors that a test of a single parameter may be off; more where many are tested.
        exact: Whether the numbers of a lock must be the same, and not their laws alone.

    Returns:
        The audit: ``print`` it, ask ``ok``, or ``assert_ok()``.

    Raises:
        UnknownNameError: An unknown scheme or recipe; the nearest is offered.
        OptionError: A recipe that does not find its places in the model, a plan or lock of another model, a damaged
            lock file, or an option that does not fit.
        InitlabError: Not a model of a framework that initlab knows.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(40, 30)
        >>> _ = torch.nn.init.zeros_(net.weight), torch.nn.init.zeros_(net.bias)
        >>> [(row.native, row.declared, row.found, row.verdict) for row in audit(net, "he_normal").entries]
        [('weight', 'N(0, 0.2236^2)', 'all zero', 'wrong'), ('bias', 'constant 0', 'constant 0', 'ok')]

    The declared std is ``sqrt(2 / 40) = 0.2236``.
    """
    if not errors > 0:
        raise OptionError(f"errors must be above 0, got {errors}", where="errors", fix="e.g. 4")
    number = None if seed is None else check_seed(seed)
    adapter = adapter_for(model)
    with exits_refused():
        spec = adapter.describe(model, example=example)
    lock_given = _as_lock(declared)
    if exact and lock_given is None:
        raise OptionError("only a lock has digests", where="exact", fix="give a lock, or a seed")
    if number is not None and lock_given is not None:
        raise OptionError("a lock is no plan to draw", where="seed", fix="use exact=True to compare the numbers")
    words, claims = _claims(spec, declared, lock_given, exact=exact)
    return audit_claims(type(model).__name__, words, spec, claims, _reader(model, adapter), seed=number, errors=errors)


def lock(model: object, path: str | Path | None = LOCK_FILE, *, example: object = None) -> Lock:
    """What every parameter of a model holds now, written to a file that ``audit`` reads.

    Args:
        model: A PyTorch, Keras or Flax model, which is left as it is.
        path: The file, written whole or not at all; None writes none.
        example: An input, or a tuple of inputs, to trace the model with.

    Returns:
        The lock.

    Raises:
        InitlabError: Not a model that initlab knows, or one that holds NaN.
        OptionError: A path that cannot be written; nothing was.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(4, 3)
        >>> locked = lock(net)
        >>> print(locked)
        lock of Linear (torch): 2 parameters, no seed known
        >>> _ = torch.nn.init.zeros_(net.bias)
        >>> [row.native for row in audit(net, locked, exact=True).entries if row.verdict == "wrong"]
        ['bias']
    """
    target = None if path is None else Path(path)
    if target is not None:
        check_target(target, option="path")
    adapter = adapter_for(model)
    with exits_refused():
        spec = adapter.describe(model, example=example)
    made = make_lock(type(model).__name__, adapter.framework, spec, _reader(model, adapter), seed=seed_of(model))
    if target is not None:
        write_whole(target, made.to_json().encode())
    return made


def _reader(model: object, adapter: Adapter) -> Callable[[ParamSpec], Values]:
    def read(p: ParamSpec) -> Values:
        values = adapter.read(model, p)
        assert values.dtype.kind in "fc"
        return values  # type: ignore[return-value]  # the assertion above is not seen through the dtype

    return read


def _as_lock(declared: Declared) -> Lock | None:
    """The lock, or that of the file that is named; None for all else."""
    if isinstance(declared, Lock):
        return declared
    if isinstance(declared, Path) or (isinstance(declared, str) and declared.endswith(".json")):
        file = Path(declared)
        try:
            return read_lock(read_file(file, most=LARGEST_LOCK).decode(), where=str(file))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise OptionError(
                f"cannot read the lock file: {reason}", where=str(file), fix="initlab lock makes one"
            ) from None
    return None


def _claims(spec: ModelSpec, declared: Declared, held: Lock | None, *, exact: bool) -> tuple[str, list[Claim]]:
    """What the model is held to, in words, and for each parameter."""
    if held is not None:
        return f"the lock of {held.model}", lock_claims(held, spec, exact=exact)
    if isinstance(declared, Plan | BoundPlan):
        plan = declared.plan if isinstance(declared, BoundPlan) else declared
        return "its plan", plan_claims(plan, spec, says_ties=True)
    if isinstance(declared, str) and _is_recipe(declared):
        return declared, _recipe(spec, declared)
    if not isinstance(declared, str | Mapping):
        fix = "give a recipe, a scheme, {glob: scheme}, a plan, or a lock"
        raise OptionError(f"a value of type {type(declared).__name__} declares nothing", where="declared", fix=fix)
    consent = Consent()
    rules, notes = make_rules(spec, declared, consent=consent)
    plan = make_plan(spec, rules, consent=consent, notes=notes, named_only=isinstance(declared, Mapping))
    given = declared if isinstance(declared, Mapping) else {"*": declared}
    words = given["*"] if list(given) == ["*"] else f"{len(given)} scheme{'s' if len(given) > 1 else ''} by pattern"
    return words, plan_claims(plan, spec, says_ties=False)


def _is_recipe(declared: str) -> bool:
    """Whether a name is a recipe's.

    Raises:
        UnknownNameError: It is no scheme's either.
    """
    from initlab.recipes.book import RECIPES
    from initlab.schemes import SCHEMES

    name = parse_call(declared)[0]
    if name in RECIPES:
        return True
    try:
        SCHEMES.canonical(name)
    except UnknownNameError:
        listing = f"{', '.join(RECIPES)}; initlab list schemes"
        raise UnknownNameError("recipe or scheme", name, [*RECIPES, *SCHEMES], listing=listing) from None
    return False


def _recipe(spec: ModelSpec, declared: str) -> list[Claim]:
    from initlab.recipes.book import declaration, declared_plan

    given = declaration(spec, declared)
    # A recipe says what each parameter is to hold: a value that looks designed, or is frozen, is no claim against it.
    return recipe_claims(declared_plan(spec, given, consent=Consent(reinit=True)), spec, given)
