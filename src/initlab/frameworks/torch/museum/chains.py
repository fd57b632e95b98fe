"""Exhibits that are chains of layers, each a function ``broken_NAME`` beside its healthy twin ``mended_NAME``."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import init

# 1


def broken_zeros() -> nn.Module:
    """Every hidden layer starts at zero."""
    model = mlp(nn.ReLU, depth=3, width=64)
    for parameter in model.parameters():
        init.zeros_(parameter)
    return model


def mended_zeros() -> nn.Module:
    """Draw the weights at random and keep zero for the biases."""
    return he(mlp(nn.ReLU, depth=3, width=64))


def mlp(activation: Callable[[], nn.Module], *, depth: int, width: int) -> nn.Sequential:
    """Linear layers with an activation behind each but the last, as torch draws them."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(width if i else 64, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def he(model: nn.Module) -> nn.Module:
    """He's weights in every layer, and a head of std 1/sqrt(fan_in); biases zero."""
    with_weights(model, lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"))
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    init.normal_(head.weight, std=head.in_features**-0.5)
    return model


def with_weights(model: nn.Module, draw: Callable[[Tensor], object], *, bias_std: float = 0.0) -> nn.Module:
    """The model with the weight of each linear layer drawn so, and its bias zero or normal."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            draw(module.weight)
            if bias_std:
                init.normal_(module.bias, std=bias_std)
            else:
                init.zeros_(module.bias)
    return model


# 2


def broken_constant() -> nn.Module:
    """All weights have one value."""
    model = mlp(nn.Tanh, depth=3, width=64)
    for parameter in model.parameters():
        init.constant_(parameter, 0.05)
    return model


def mended_constant() -> nn.Module:
    """Draw at random from a fixed seed: that can be repeated too."""
    return with_weights(mlp(nn.Tanh, depth=3, width=64), init.xavier_normal_)


# 3


def broken_loud_relu() -> nn.Module:
    """Standard normal weights in a deep ReLU net."""
    return with_weights(mlp(nn.ReLU, depth=10, width=128), init.normal_)


def mended_loud_relu() -> nn.Module:
    """Divide by the root of the fan: std sqrt(2 / fan_in) for ReLU."""
    return he(mlp(nn.ReLU, depth=10, width=128))


# 4


def broken_default_linear() -> nn.Module:
    """The default Linear in ten layers of ReLU."""
    return mlp(nn.ReLU, depth=10, width=256)


def mended_default_linear() -> nn.Module:
    """Draw the weights with he_normal and set the biases to zero."""
    return he(mlp(nn.ReLU, depth=10, width=256))


# 5


def broken_depthwise() -> nn.Module:
    """Depthwise kernels with the fan of a full convolution."""
    model = separable_net()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.in_channels * math.prod(module.kernel_size)
            init.normal_(module.weight, std=math.sqrt(2.0 / fan))
    return model


def separable_net(channels: int = 32) -> nn.Sequential:
    """Blocks of a depthwise and a pointwise convolution, without norms."""
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.ReLU()]
    for _ in range(3):
        depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        layers += [depthwise, nn.Conv2d(channels, channels, 1, bias=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def mended_depthwise() -> nn.Module:
    """Take the fan from in_channels / groups, as the weight's shape has it."""
    model = separable_net()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.in_channels // module.groups * math.prod(module.kernel_size)
            gain = 1.0 if module.groups > 1 else math.sqrt(2.0)
            init.normal_(module.weight, std=gain / math.sqrt(fan))
    return model


# 9


def broken_dead_relu() -> nn.Module:
    """ReLUs that a bias has killed."""
    model = he(mlp(nn.ReLU, depth=3, width=64))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            init.constant_(parameter, -3.0)
    return model


def mended_dead_relu() -> nn.Module:
    """Set the biases of ReLU layers to zero."""
    return he(mlp(nn.ReLU, depth=3, width=64))


# 10


def broken_tanh_gain() -> nn.Module:
    """Fifty layers of tanh at a gain of 5/3."""
    gain = init.calculate_gain("tanh")
    return with_weights(mlp(nn.Tanh, depth=50, width=128), lambda w: init.normal_(w, std=gain / math.sqrt(w.shape[1])))


def mended_tanh_gain() -> nn.Module:
    """Go to the edge of chaos: std 1.327/sqrt(fan_in) with biases of std 0.224."""
    model = mlp(nn.Tanh, depth=50, width=128)
    return with_weights(model, lambda w: init.normal_(w, std=math.sqrt(1.76095 / w.shape[1])), bias_std=math.sqrt(0.05))


# 12


def broken_sigmoid_stack() -> nn.Module:
    """A stack of sigmoids."""
    return with_weights(mlp(nn.Sigmoid, depth=8, width=64), init.xavier_normal_)


def mended_sigmoid_stack() -> nn.Module:
    """Take tanh or ReLU with its own gain; a norm in between helps a sigmoid."""
    return with_weights(mlp(nn.Tanh, depth=8, width=64), init.xavier_normal_)
