"""Every recipe; importing this module fills the registry."""

from __future__ import annotations

from initlab.probing import recipes_defaults, recipes_language, recipes_vision
from initlab.probing.recipes import RECIPES, Declaration, Recipe, declaration, declared_plan, recipe_plan

CHAPTERS = (recipes_defaults, recipes_language, recipes_vision)

__all__ = ["RECIPES", "Declaration", "Recipe", "declaration", "declared_plan", "recipe_plan"]
