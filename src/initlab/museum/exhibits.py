"""The museum of broken networks: what hangs in it, told without a framework."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError
from initlab.core.laws import Normal, Uniform

Batch = tuple[NDArray[np.generic], NDArray[np.int64]]

SAMPLES = 64
"""Samples of an exhibit's batch."""


@dataclass(frozen=True)
class Exhibit:
    """A small model with a bug, and its healthy twin.

    Attributes:
        number: On its plate; those of the depot are counted on.
        name: Of the functions that build it: ``broken_NAME`` and ``mended_NAME`` of a framework's museum.
        title: The bug in one line.
        story: How it comes about and what it does, in three sentences.
        finds: The findings that must be there.
        mend: What to do about it.
        shape: Of one sample.
        classes: Of the targets.
        words: Words of the vocabulary, where samples are numbers of words; 0 where they are real numbers.
        each_token: Whether every token has a target of its own.
        keras: Whether the bug exists in Keras.
    """

    number: int
    name: str
    title: str
    story: str
    finds: tuple[str, ...]
    mend: str
    shape: tuple[int, ...] = (64,)
    classes: int = 10
    words: int = 0
    each_token: bool = False
    keras: bool = True

    def batch(self, samples: int = SAMPLES) -> Batch:
        """Inputs and targets that know nothing of each other, the same at every call.

        Example:
            >>> x, y = exhibit(1).batch(samples=8)
            >>> x.shape, y.shape
            ((8, 64), (8,))
        """
        shape = (samples, *self.shape)
        targets = _whole(shape if self.each_token else (samples,), self.classes, "targets")
        if self.words:
            return _whole(shape, self.words, "inputs"), targets
        return np.asarray(Normal(1.0).draw(shape, stream(0, "inputs", purpose="museum")), np.float32), targets


def exhibit(number: int) -> Exhibit:
    """The exhibit of a number, from the museum or its depot.

    Raises:
        OptionError: There is none.

    Example:
        >>> exhibit(10).finds
        ('exploding gradient', 'chaotic phase')
    """
    for one in (*EXHIBITS, *DEPOT):
        if one.number == number:
            return one
    raise OptionError(f"there is no exhibit {number}", fix=f"give 1 to {len(EXHIBITS)}: initlab museum list")


def _whole(shape: tuple[int, ...], below: int, name: str) -> NDArray[np.int64]:
    drawn = np.asarray(Uniform(0.0, float(below)).draw(shape, stream(0, name, purpose="museum")))
    return np.minimum(drawn.astype(np.int64), below - 1)


EXHIBITS = (
    Exhibit(
        1,
        "zeros",
        "Every hidden layer starts at zero",
        "Zero is right for a bias, and a loop over all parameters sets the weights to zero with them. Every hidden "
        "unit is zero, so no weight gets a gradient, and none ever will. The loss still falls a little, for the last "
        "bias learns how frequent the classes are, and that hides the bug.",
        ("zero weights that block learning",),
        "draw the weights at random and keep zero for the biases",
    ),
    Exhibit(
        2,
        "constant",
        "All weights have one value",
        "Somebody wants a run that can be repeated and sets every weight to 0.05. All units of a layer then compute "
        "the same number and get the same gradient, so they stay one unit for ever. A layer of 64 units has paid for "
        "64 and learns what one can.",
        ("equal units",),
        "draw at random from a fixed seed: that can be repeated too",
    ),
    Exhibit(
        3,
        "loud_relu",
        "Standard normal weights in a deep ReLU net",
        "A hand-written layer fills its matrix with standard normal numbers and leaves out the fan. Every layer of "
        "width n then multiplies E[z²] by n/2, which is 64 here. After ten layers the logits have seventeen digits, "
        "and the first step of any learning rate throws the weights away.",
        ("exploding forward signal", "output scale"),
        "divide by the root of the fan: std sqrt(2 / fan_in) for ReLU",
    ),
    Exhibit(
        4,
        "default_linear",
        "The default Linear in ten layers of ReLU",
        "torch's Linear draws uniform numbers within 1/sqrt(fan_in), whose variance is a sixth of He's for ReLU. Two "
        "layers do not mind; over ten the part of the signal that tells samples apart shrinks by 6^10, until the "
        "biases are all that is left. The net answers every input alike, and its first layer sees no gradient.",
        ("vanishing forward signal", "inputs mapped to one point", "vanishing gradient"),
        "draw the weights with he_normal and set the biases to zero",
        keras=False,
    ),
    Exhibit(
        5,
        "depthwise",
        "Depthwise kernels with the fan of a full convolution",
        "An initializer written for plain convolutions divides by channels times kernel size. A depthwise kernel sees "
        "one channel only, so its weights come out too small by the root of the number of channels. With norms nobody "
        "notices; the day the norms are folded or left out, the signal is gone after a few blocks.",
        ("vanishing forward signal",),
        "take the fan from in_channels / groups, as the weight's shape has it",
        shape=(3, 12, 12),
    ),
    Exhibit(
        6,
        "tied_embedding",
        "A tied head on an embedding of variance 1",
        "An embedding of std 1 is torch's default and harmless as an input. Tied to the head, the same table turns a "
        "normalised vector of width 512 into logits of variance 512. The first loss is 75 where a guess costs 6.9, and "
        "the first thousand steps do nothing but make the logits smaller.",
        ("output scale",),
        "draw a tied embedding with std 0.02, or 1/sqrt(width)",
        shape=(16,),
        classes=1000,
        words=1000,
        each_token=True,
    ),
    Exhibit(
        7,
        "cloned_layers",
        "Encoder layers that are copies of one",
        "torch's TransformerEncoder copies the layer that it is given, numbers and all; in Keras one initializer with "
        "a seed, shared by several layers, does the same. All layers start as one and the same matrix, which no paper "
        "on initialization assumes. Nothing fails: the model trains, and is for a while a shallow one that is applied "
        "several times.",
        ("cloned layers",),
        "draw every layer anew after the encoder is built; in Keras, give each layer an initializer of its own",
        shape=(10, 32),
    ),
    Exhibit(
        8,
        "unscaled_projection",
        "A GPT-2 whose residual projections were never scaled",
        "GPT-2 divides the std of both projections into the residual stream by sqrt(2L). A rewrite renames a layer, "
        "the pattern that finds it by name matches nothing, and no error is raised. The stream grows with every "
        "block, and runs that were stable at 12 layers are not at 48.",
        ("residual scaling absent",),
        "multiply the c_proj weights by 1/sqrt(2L), and count how many the pattern matched",
        shape=(16,),
        classes=100,
        words=100,
        each_token=True,
        keras=False,
    ),
    Exhibit(
        9,
        "dead_relu",
        "ReLUs that a bias has killed",
        "A bias of -3 came from another model, in which the inputs were three times as large. Nearly every unit is "
        "below zero for nearly every sample, so most give nothing and learn nothing. What is left trains, slowly and "
        "to a worse end, and the curve shows no sign of why.",
        ("dead units",),
        "set the biases of ReLU layers to zero",
    ),
    Exhibit(
        10,
        "tanh_gain",
        "Fifty layers of tanh at a gain of 5/3",
        "5/3 is the gain that torch's table gives for tanh, and it keeps the size of the signal well. A squared "
        "gradient grows all the same, by chi_1 = 1.2 a layer, which is the price of a gain above the edge of chaos. "
        "In five layers nobody sees it; over fifty the first layer's gradient is ten thousand times the last one's.",
        ("exploding gradient", "chaotic phase"),
        "go to the edge of chaos: std 1.327/sqrt(fan_in) with biases of std 0.224",
    ),
    Exhibit(
        11,
        "zero_queries",
        "Learnable queries that start at zero",
        "A pooling head lets a few learnable queries look at the tokens, and a placeholder of zeros was never "
        "filled. All queries look everywhere alike, keys get no gradient, and as all queries get the same gradient "
        "they stay one query. Four were paid for, and the model works, a little worse than it should.",
        ("attention at its ceiling", "equal tokens"),
        "draw the queries at random, std 0.02",
        shape=(12, 32),
    ),
    Exhibit(
        12,
        "sigmoid_stack",
        "A stack of sigmoids",
        "The slope of a sigmoid is 1/4 at most, so Glorot's weights take a factor of 16 off a squared gradient in "
        "every layer. Its outputs are all near one half, so different inputs become the same as well. Two or three "
        "layers still train, as textbooks show; eight do not.",
        ("vanishing gradient", "inputs mapped to one point"),
        "take tanh or ReLU with its own gain; a norm in between helps a sigmoid",
    ),
)
"""On show."""

DEPOT = (
    Exhibit(
        13,
        "uninitialised",
        "Memory that nobody wrote",
        "A parameter is made of empty memory, and the fill that should follow is in a branch that is not taken. What "
        "is in it depends on what the process did before. It is zeros on the author's machine and 1e30 on yours.",
        ("uninitialised values",),
        "fill the parameter where it is made",
        keras=False,
    ),
    Exhibit(
        14,
        "saturated",
        "tanh units that stand at their ends",
        "Weights of std 1 make sums of std 8 in a layer of 64 inputs. tanh is flat there, so most units are -1 or 1 "
        "whatever the input. What passes of a gradient comes from the few that are not.",
        ("saturated units",),
        "divide by the root of the fan",
    ),
    Exhibit(
        15,
        "growing_stream",
        "A residual stream that doubles in every block",
        "Residual blocks without norms add a branch of the stream's own size. The stream doubles with every block. "
        "Sixteen of them make it 65,536 times as large.",
        ("growing residual stream",),
        "start the last layer of every branch at zero, or scale it by 1/sqrt(L)",
    ),
    Exhibit(
        16,
        "sharp_attention",
        "Attention that looks at one token only",
        "The division by the root of the head's size was left out, and queries and keys are large. The softmax has "
        "one winner. No gradient passes to queries and keys.",
        ("attention at its floor",),
        "divide the logits by sqrt(head size)",
        shape=(12, 32),
        keras=False,
    ),
    Exhibit(
        17,
        "half_precision",
        "Weights that are too small for float16",
        "A head is drawn with std 1e-6 to start near zero. In float16 numbers below 6e-5 lose digits, and below 6e-8 "
        "all. Most of the weights are one of a few values.",
        ("low-precision underflow",),
        "keep such weights in float32, or start at zero",
        keras=False,
    ),
    Exhibit(
        18,
        "bare_attention",
        "Attention without residual connections",
        "Each attention without a skip averages the tokens. After a few layers all tokens of a sample are the same. "
        "No later layer can tell them apart.",
        ("equal tokens",),
        "keep a residual connection around every attention",
        shape=(12, 32),
        keras=False,
    ),
)
"""Further planted faults, for the findings that no exhibit has; the tests look at them too."""
