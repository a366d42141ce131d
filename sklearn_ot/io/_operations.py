"""Operations of torch as those that programs for ONNX have, with all digits of their numbers.

ONNX Runtime has no kernels of float64 for convolutions and some activations. The exporter of torch rounds numbers of
Python to float32.
"""

from itertools import product

import torch
from torch.nn import functional as F

aten = torch.ops.aten
# Derivatives that are operations of torch, but not of ONNX.
DERIVATIVES = [
    getattr(aten, f"{name}_backward")
    for name in ("elu", "leaky_relu", "sigmoid", "silu", "softplus", "tanh", "threshold")
]
# Operations that torch can write as simpler ones: of float64, or with attributes, which are float32 in ONNX.
COMPOSED = [
    aten.celu,
    aten.elu,
    aten.gelu,
    aten.hardsigmoid,
    aten.hardswish,
    aten.hardtanh,
    aten.leaky_relu,
    aten.mish,
    aten.softplus,
    aten.native_group_norm,
    aten.native_layer_norm,
    aten.native_batch_norm,
    aten._native_batch_norm_legit,
    aten._native_batch_norm_legit_no_training,
    aten.upsample_nearest2d,
]
# Operations that fill a tensor with a number, and the place of the number among the arguments.
FILLED = {aten.full.default: 1, aten.full_like.default: 1, aten.new_full.default: 2, aten.scalar_tensor.default: 0}


def decompositions():
    """Functions for the operations that are replaced while a module is traced."""
    # It takes seconds to import.
    from torch._decomp import get_decompositions

    own = {
        aten.avg_pool2d.default: _average,
        aten.clamp.default: _clamped,
        aten.clamp_min.default: _clamped,
        aten.clamp_max.default: lambda x, high: _clamped(x, None, high),
        aten.constant_pad_nd.default: _padded,
        aten.convolution.default: _convolution,
    }
    in_float64 = {**get_decompositions(COMPOSED), **own}
    return {
        **get_decompositions(DERIVATIVES),
        **{operation: _in_float64(function) for operation, function in in_float64.items()},
        **{operation: _filled(operation, place) for operation, place in FILLED.items()},
    }


def _in_float64(function):
    """A replacement for tensors of float64; those of float32 have faster kernels."""

    def run(x, *args, **kwargs):
        return function(x, *args, **kwargs) if x.dtype == torch.float64 else NotImplemented

    return run


def _filled(operation, place):
    """Ones, times the number: products keep digits, see `keep_digits`."""

    def run(*args, **kwargs):
        if not _is_rounded(args[place]):
            return NotImplemented
        return operation(*args[:place], 1.0, *args[place + 1 :], **kwargs) * args[place]

    return run


def _padded(x, pad, value=0):
    """Pad with zeros, and then shift all numbers."""
    return F.pad(x - value, pad) + value if _is_rounded(value) else NotImplemented


def _clamped(x, low=None, high=None):
    """Limit numbers; the exporter gives two limits of tensors the same names."""
    if not (_is_rounded(low) or _is_rounded(high)):
        return NotImplemented
    x = x if low is None else torch.where(x < low, low, x)
    return x if high is None else torch.where(x > high, high, x)


def _average(x, size, stride=(), padding=(0,), ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The means of windows, without anything beyond the picture."""
    if any(padding) or ceil_mode or divisor_override is not None:
        return NotImplemented
    windows = [*_windows(x, size, [1, 1], stride or size)]
    return sum(windows[1:], windows[0]) / len(windows)


def _convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """A convolution of pictures as a product with a matrix, of the pixels below each place of the kernel."""
    if groups > 1 or x.ndim != 4:
        return NotImplemented
    size = weight.shape[2:]
    before = after = padding
    if transposed:
        # The adjoint is a convolution of the picture with zeros between its pixels.
        before = [d * (k - 1) - p for d, k, p in zip(dilation, size, padding, strict=True)]
        after = [p + more for p, more in zip(before, output_padding, strict=True)]
        x, weight, stride = _spread(x, *stride), weight.flip(2, 3).transpose(0, 1), [1, 1]
    x = F.pad(x, (before[1], after[1], before[0], after[0]))
    columns = torch.cat([part[:, None] for part in _windows(x, size, dilation, stride)], 1)
    images = weight.flatten(2).transpose(1, 2).flatten(1) @ columns.flatten(3).flatten(1, 2)
    images = images.unflatten(2, columns.shape[3:])
    return images if bias is None else images + bias[:, None, None]


def _windows(x, size, dilation, stride):
    """For each place of a kernel the pixels below it, in all positions of the kernel."""
    (height, width), (down, right) = size, stride
    lengths = [n - d * (k - 1) for n, d, k in zip(x.shape[2:], dilation, size, strict=True)]
    for i, j in product(range(height), range(width)):
        top, left = i * dilation[0], j * dilation[1]
        yield x[:, :, top : top + lengths[0] : down, left : left + lengths[1] : right]


def _spread(x, down, right):
    """Pictures with zeros between neighbouring pixels."""
    n, m = x.shape[2:]
    spread = F.pad(x[:, :, :, None, :, None], (0, right - 1, 0, 0, 0, down - 1)).flatten(4).flatten(2, 3)
    return spread[:, :, : (n - 1) * down + 1, : (m - 1) * right + 1]


def keep_digits(graph):
    """Make constants of the numbers that float32 cannot hold, and name those for which there is no such operation."""
    lost = []
    for node in list(graph.graph.nodes):
        if isinstance(node.target, torch._ops.OpOverload):
            with graph.graph.inserting_before(node):
                _keep_factor(graph, node)
                rounded = [name for name, value in _arguments(node) if _is_rounded(value)]
                target = rounded and _of_tensors(node.target, rounded)
                if target:
                    _replace_numbers(graph, node, target)
                elif rounded:
                    lost.append(f"{rounded[0]} of {node.target}")
    graph.recompile()
    return lost


def _is_rounded(value):
    return isinstance(value, float) and value != torch.tensor(value, dtype=torch.float32).item()


def _arguments(node):
    names = [argument.name for argument in node.target._schema.arguments]
    return [*zip(names, node.args, strict=False), *node.kwargs.items()]


def _keep_factor(graph, node):
    """Write the factor of the second argument of a sum or difference as a product."""
    factor = node.kwargs.get("alpha")
    if _is_rounded(factor) and node.target in (aten.add.Tensor, aten.sub.Tensor):
        second = node.args[1]
        product = graph.graph.call_function(aten.mul.Tensor, (second, _constant(graph, factor, second)))
        product.meta = second.meta
        node.args, node.kwargs = (node.args[0], product), {}


def _of_tensors(target, names):
    """The variant of an operation that takes tensors as these arguments, or None."""
    packet, all_names = target.overloadpacket, [argument.name for argument in target._schema.arguments]
    for variant in [target, *(getattr(packet, name) for name in packet.overloads())]:
        tensors = [argument.name for argument in variant._schema.arguments if "Tensor" in str(argument.type)]
        if [argument.name for argument in variant._schema.arguments] == all_names and {*names} <= {*tensors}:
            return variant
    return None


def _replace_numbers(graph, node, target):
    example = node.all_input_nodes[0]

    def converted(argument, value):
        is_number = "Tensor" in str(argument.type) and isinstance(value, float | int)
        return _constant(graph, value, example) if is_number else value

    arguments = {argument.name: argument for argument in target._schema.arguments}
    node.args = tuple(map(converted, arguments.values(), node.args))
    node.kwargs = {name: converted(arguments[name], value) for name, value in node.kwargs.items()}
    node.target = target


def _constant(graph, value, example):
    """A node for a number, of the dtype of another node."""
    name = f"_number{len(list(graph.buffers()))}"
    # The node of a weight has no example in older versions of torch.
    weight = example.meta["val"] if "val" in example.meta else getattr(graph, example.target)
    graph.register_buffer(name, torch.tensor(value, dtype=weight.dtype))
    return graph.graph.get_attr(name)
