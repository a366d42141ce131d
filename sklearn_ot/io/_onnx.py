"""Maps and generators as ONNX files."""

import contextlib
import logging
import os
import warnings

import torch
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.io._operations import decompositions, keep_digits
from sklearn_ot.nn import FittedGenerator
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.inversion import InverseSearch

# How many more rows than columns the example has from which the graph is made. Equal numbers would be one number of the
# graph, and 0 and 1 are special cases.
MORE_ROWS = 3
# The name of this number; messages of torch have it.
N_ROWS = "n_rows"


@in_own_settings
def export_onnx(estimator, path, *, inverse=False, dtype=torch.float32):
    """Write the map of a fitted estimator as an ONNX file, which other programs and languages can run.

    The graph is that of the module of `to_torch`. It has one input for rows, ``"x"``, and one output, ``"images"``; or,
    for a generator, the inputs ``"noise"``, and with classes ``"labels"``, their numbers as int64, and the output
    ``"rows"``. Any number of rows is possible. It needs the extra ``onnx``: ``pip install "sklearn-ot[onnx]"``.

    Parameters
    ----------
    estimator : estimator
        A fitted transport, generator or other estimator with the method ``to_torch``.
    path : str or path-like
        The file, which is replaced if it exists.
    inverse : bool, default=False
        Whether to write the inverse map. It must have a closed form, or be a network; a search is refused.
    dtype : {torch.float32, torch.float64}, default=torch.float32
        Dtype of the rows, the noise, and the computation.

    Raises
    ------
    ImportError
        If onnx or onnxscript is not installed.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator has no torch module, or its map is no ONNX graph; there is no file then.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> from sklearn_ot import GaussianTransport
    >>> from sklearn_ot.io import export_onnx
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(100, 2)
    >>> transport = GaussianTransport().fit(X, 3 * rng.randn(100, 2) + 1)
    >>> path = getfixture("tmp_path") / "map.onnx"
    >>> export_onnx(transport, path)
    >>> session = onnxruntime.InferenceSession(path)
    >>> (images,) = session.run(None, {"x": X.astype(np.float32)})
    >>> bool(np.allclose(images, transport.transform(X), atol=1e-5))
    True
    """
    _check_installed()
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}.")
    check_is_fitted(estimator)
    if not hasattr(estimator, "to_torch"):
        raise ValueError(f"{type(estimator).__name__} has no method to_torch, and so no ONNX graph.")
    module = estimator.to_torch(inverse).to(dtype)
    if any(isinstance(part, InverseSearch) for part in module.modules()):
        raise ValueError(
            f"The map of {type(estimator).__name__}, with inverse={inverse}, is a search, which is no ONNX graph. Use "
            "the module of to_torch, or a solver whose inverse map is a network, such as W2Transport('w2gn')."
        )
    program = _program(module, *_example(module, dtype), type(estimator).__name__)
    # Whole or not at all.
    part = f"{os.fspath(path)}.part"
    try:
        program.save(part)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)


def _check_installed():
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f'export_onnx needs {error.name}: pip install "sklearn-ot[onnx]".') from error


def _example(module, dtype):
    """Names of the inputs and the output, and inputs."""
    is_generator = isinstance(module, FittedGenerator)
    n_columns = module.latent_dim if is_generator else module.n_features
    rows = torch.zeros(n_columns + MORE_ROWS, n_columns, dtype=dtype)
    if not is_generator:
        return {"x": rows}, "images"
    labels = {"labels": torch.zeros(len(rows), dtype=torch.int64)} if module.n_classes else {}
    return {"noise": rows, **labels}, "rows"


def _program(module, inputs, output, name):
    """The ONNX program of a module."""
    try:
        with torch.no_grad(), _silence():
            exported, lost = _exported(module, tuple(inputs.values()))
            if lost and next(iter(inputs.values())).dtype == torch.float64:
                raise ValueError(f"The map of {name} is no ONNX graph in float64: ONNX has float32 for {lost[0]}.")
            # Programs that read the file optimise its graph; the exporter takes minutes for thousands of nodes.
            return torch.onnx.export(
                exported, dynamo=True, optimize=False, input_names=list(inputs), output_names=[output], verbose=False
            )
    except RuntimeError as error:
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = f"The exporter of torch says: {str(cause).strip().partition(chr(10))[0]}"
        if N_ROWS in reason:
            reason = "It depends on the number of rows."
        raise ValueError(f"The map of {name} is no ONNX graph. {reason}") from error


def _exported(module, arguments):
    """A module as a program of torch for any number of rows, and the numbers that lose digits in ONNX."""
    # It takes seconds to import.
    from torch.fx.experimental.proxy_tensor import make_fx

    # As operations on numbers alone, also for gradients of networks, which the exporter does not take.
    graph = make_fx(module, decompositions(), tracing_mode="symbolic", _allow_non_fake_inputs=True)(*arguments)
    lost = keep_digits(graph)
    # Here, because the exporter to ONNX would fix the number of rows rather than fail.
    rows = tuple({0: torch.export.Dim(N_ROWS)} for _ in arguments)
    return torch.export.export(graph, arguments, dynamic_shapes=rows, strict=False), lost


@contextlib.contextmanager
def _silence():
    """A block without the advice of the exporter to its own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
