"""Which initialization does a small Keras network on iris want? Three are compared over the same seeds.

What to see: with all weights zero the network learns no more than how common the classes are, whatever the seed. The
others differ from seed to seed; the sentence under the table says which difference is more than luck.
"""

# %% [markdown]
# # Iris in Keras
# A network of your own, three initializations, the same seeds and batches for each.

# %%
import keras

import initlab


def build() -> keras.Model:
    """Two hidden layers on the four measurements of a flower."""
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3),
        ]
    )


# %% [markdown]
# What would initlab itself choose, and why? A plan says it before a number is drawn.

# %%
plan = initlab.plan(build(), "auto")
print(plan)

# %% [markdown]
# Each scheme trains on the same six seeds. Everything is kept in `runs/iris-keras`: the same call again trains nothing.

# %%
result = initlab.compare(
    build=build,
    data="iris",
    schemes=["zeros", "normal(std=0.05)", "he_normal"],
    seeds=6,
    epochs=8,
    learning_rate=0.02,
    out="runs/iris-keras",
)
print(result)
