"""Every recipe; importing this module fills the registry."""

from __future__ import annotations

from initlab.recipes import defaults, language, low_rank, trainers, vision
from initlab.recipes.recipe import RECIPES, Declaration, Recipe, declaration, declared_plan, recipe_plan

CHAPTERS = (defaults, language, low_rank, trainers, vision)

__all__ = ["RECIPES", "Declaration", "Recipe", "declaration", "declared_plan", "recipe_plan"]
