"""The layers of each framework whose type says what their parameters are, by name: read without the framework."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "torch.nn": (
        "BatchNorm1d BatchNorm2d BatchNorm3d Bilinear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d "
        "ConvTranspose3d Embedding EmbeddingBag GRU GRUCell GroupNorm LSTM LSTMCell LayerNorm Linear "
        "MultiheadAttention PReLU RMSNorm RNN RNNCell SyncBatchNorm"
    ),
    "keras.layers": (
        "BatchNormalization Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Dense "
        "DepthwiseConv1D DepthwiseConv2D EinsumDense Embedding GRUCell GroupNormalization LSTMCell "
        "LayerNormalization PReLU RMSNormalization SeparableConv1D SeparableConv2D SimpleRNNCell"
    ),
    "flax.nnx": (
        "BatchNorm Conv ConvTranspose Einsum Embed GRUCell GroupNorm InstanceNorm LSTMCell LayerNorm Linear "
        "LinearGeneral LoRA LoRALinear OptimizedLSTMCell PReLU RMSNorm SimpleCell"
    ),
}


def known_layers() -> Mapping[str, tuple[str, ...]]:
    """The names of the layers, by the module that brings them.

    Example:
        >>> "Linear" in known_layers()["torch.nn"], "EinsumDense" in known_layers()["keras.layers"]
        (True, True)
    """
    return {module: tuple(names.split()) for module, names in _NAMES.items()}
