"""The names of torch's functions, spelled one way, and what kind of function each one is."""

from __future__ import annotations

from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALIASES = {
    "iadd": "add",
    "radd": "add",
    "isub": "sub",
    "subtract": "sub",
    "imul": "mul",
    "rmul": "mul",
    "multiply": "mul",
    "truediv": "div",
    "itruediv": "div",
    "divide": "div",
    "true_divide": "div",
    "rtruediv": "rdiv",
    "ipow": "pow",
    "imatmul": "matmul",
    "sparse_mm": "mm",
    "sparse_addmm": "addmm",
    "smm": "mm",
    "spmm": "mm",
    "dsmm": "mm",
    "hspmm": "mm",
    "concat": "cat",
    "concatenate": "cat",
    "batch_norm_impl_index": "batch_norm",
    "native_layer_norm": "layer_norm",
    "native_batch_norm": "batch_norm",
    "native_group_norm": "group_norm",
}

# In evaluation mode all of these give back what they got.
IDENTITY = _words(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout contiguous clone to"
    " float half bfloat16 double type type_as detach data requires_grad identity cuda cpu alias positive rename"
    " refine_names align_as resolve_conj resolve_neg lift_fresh"
)
ELEMENTWISE = _words(
    "add sub rsub mul div rdiv pow rpow neg negative abs absolute sign sqrt rsqrt square reciprocal exp exp2 expm1 log"
    " log1p log2 log10 sin cos tan tanh asin acos atan arctan sinh cosh asinh arcsinh acosh atanh erf erfc erfinv"
    " sigmoid expit logit relu relu6 leaky_relu rrelu elu selu celu gelu silu swish mish softplus softsign tanhshrink"
    " hardtanh hardsigmoid hardswish hardshrink softshrink logsigmoid log_sigmoid threshold clamp clip clamp_min"
    " clamp_max maximum minimum where gt ge lt le eq ne logical_not logical_and logical_or heaviside floor ceil round"
    " trunc frac nan_to_num sinc lerp addcmul addcdiv xlogy masked_fill special_expit float_power"
)
MOVES = _words(
    "view reshape view_as reshape_as flatten unflatten permute transpose swapaxes swapdims movedim moveaxis t T mT H mH"
    " adjoint squeeze unsqueeze expand expand_as broadcast_to repeat repeat_interleave tile split split_with_sizes"
    " chunk tensor_split unsafe_split unsafe_chunk unbind getitem narrow select index_select gather take_along_dim take"
    " masked_select diagonal flip fliplr roll rot90 pad unfold fold im2col pixel_shuffle pixel_unshuffle"
    " channel_shuffle as_strided ravel real interpolate upsample grid_sample upsample_nearest"
    " upsample_bilinear tril triu pack_padded_sequence pad_packed_sequence masked_scatter"
    " index_add scatter index_put scatter_add mean nanmean sum nansum amax amin max min median"
    " avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d"
    " adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d lp_pool1d lp_pool2d"
    " fractional_max_pool2d max_unpool2d max_pool2d_with_indices native_dropout var std norm linalg_norm logsumexp"
    " linalg_vector_norm vector_norm matrix_norm var_mean std_mean"
)
JOINS = _words("cat stack hstack vstack dstack column_stack block_diag setitem")
NORMS = _words("layer_norm batch_norm group_norm instance_norm rms_norm normalize local_response_norm standardize")
# They say something of a tensor and make none.
QUESTIONS = _words("shape size dim ndim numel nelement dtype device layout requires_grad is_floating_point len")
CONVOLUTIONS = _words("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
RECURRENT = _words("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
PRODUCTS = _words("matmul rmatmul mm bmm addmm baddbmm addbmm einsum mv dot tensordot inner grouped_mm")


@lru_cache(maxsize=1024)
def name_of(function: object) -> str:
    """One name for a function, its method, its operator and its in-place form.

    Example:
        >>> import operator, torch
        >>> [name_of(f) for f in (torch.relu_, torch.Tensor.__iadd__, operator.truediv, torch.Tensor.T.__get__)]
        ['relu', 'add', 'div', 'T']
    """
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":
        name = str(getattr(getattr(function, "__self__", None), "__name__", name))
    bare = name.strip("_")
    return _ALIASES.get(bare, bare)
