"""Claims that cannot be had at desk size, and what each would take; none of them is imitated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutOfReach:
    """A claim that no row measures.

    Attributes:
        claim: What is said.
        source: Who says it.
        takes: What it would take to run it.
        nearest: The row that asks the nearest question; empty where none does.
    """

    claim: str
    source: str
    takes: str
    nearest: str = ""


OUT_OF_REACH = (
    OutOfReach(
        "A plain convolutional net of 10,000 layers trains on MNIST and CIFAR-10",
        "Xiao et al. 2018, figure 1",
        "GPU days: a step costs as much as hundreds of a ResNet's",
        "xiao2018-10000-layers",
    ),
    OutOfReach(
        "A 30-layer ReLU net trains on ImageNet from He's weights and not from Glorot's",
        "He et al. 2015, figure 3",
        "ImageNet (about 140 GB) and GPU days for each start",
        "he2015-30-layers",
    ),
    OutOfReach(
        "A residual net of 10,000 layers trains without normalisation",
        "Zhang et al. 2019 (Fixup), abstract",
        "GPU days",
        "fixup2019-update",
    ),
    OutOfReach(
        "A transformer of 1,000 layers trains with DeepNorm",
        "Wang et al. 2022, abstract",
        "a corpus for translation, and many GPUs for days",
        "deepnorm2022-scalars",
    ),
    OutOfReach(
        "Nets without normalisation reach 86.5 % on ImageNet",
        "Brock et al. 2021, abstract",
        "ImageNet and weeks of accelerators",
        "brock2021-gammas",
    ),
    OutOfReach(
        "Self-normalising nets beat all others on 121 UCI tasks",
        "Klambauer et al. 2017, abstract",
        "121 data sets, seven kinds of nets, a search for each: thousands of CPU hours",
        "klambauer2017-slope",
    ),
    OutOfReach(
        "Learning rates found on a narrow model serve one of GPT-3's width",
        "Yang et al. 2022 (muP), abstract",
        "a cluster",
        "mup2022-coordinates",
    ),
)
