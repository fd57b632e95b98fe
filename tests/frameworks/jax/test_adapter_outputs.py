"""The weights that make a Flax model's outputs, and the tables that feed a layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

import initlab
from initlab.frameworks.jax.adapter import ADAPTER


class ActorCritic(nnx.Module):
    """Words with their places, a hidden layer, and two heads."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.words, self.places = nnx.Embed(50, 16, rngs=rngs), nnx.Embed(12, 16, rngs=rngs)
        self.body = nnx.Linear(16, 32, rngs=rngs)
        self.actor, self.critic = nnx.Linear(32, 5, rngs=rngs), nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = jax.nn.relu(self.body(self.words(x) + self.places(jnp.arange(12))))
        return jax.nn.log_softmax(self.actor(h)), self.critic(h)


def test_both_heads_of_a_flax_model_are_outputs() -> None:
    described = ADAPTER.describe(ActorCritic(), example=jnp.ones((3, 12), int))
    assert [p.native for p in described.params if p.is_output] == ["actor.kernel", "critic.kernel"]


def test_the_layer_behind_a_sum_of_two_tables_makes_up_for_their_number() -> None:
    planned = initlab.plan(ActorCritic(), "auto", example=jnp.ones((3, 12), int)).plan
    assert planned["words.embedding"].std == planned["places.embedding"].std == 1.0
    assert planned["body.kernel"].param.in_moment == 2.0
