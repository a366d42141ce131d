"""Training steps as CUDA graphs."""

import torch


class RecordedStep:
    """A training step with its gradients, recorded once and replayed for each batch.

    A step with small networks consists of hundreds of short kernels, and a GPU spends most of its time waiting for the
    next one. In a graph the kernels follow each other without waiting.

    Parameters
    ----------
    step : callable
        ``step(batch) -> loss`` computes the loss and adds to the gradients of the weights. It must run the same kernels
        for all values, and must not read a value.
    weights : list of Parameter
        The weights. They may only be changed in place.
    batch : tuple of Tensor
        A batch on a CUDA device. All other batches must have the same shapes.
    """

    WARM_UP_STEPS = 3

    def __init__(self, step, weights, batch):
        self.weights = weights
        self.batch = tuple(part.clone() for part in batch)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(batch[0].device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # the first use of a library cannot be recorded
                for _ in range(self.WARM_UP_STEPS):
                    step(self.batch)
            torch.cuda.current_stream().wait_stream(stream)
            # A replay overwrites gradients that were created within the graph, and does not add to them.
            self._set_gradients([None] * len(weights))
            # Other threads may use the device during the recording.
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.loss = step(self.batch)
        self.gradients = [weight.grad for weight in weights]

    def __call__(self, batch):
        """Compute the gradients of the weights, and return the loss."""
        for place, part in zip(self.batch, batch, strict=True):
            place.copy_(part)
        self.graph.replay()
        self._set_gradients(self.gradients)
        return self.loss.clone()

    def _set_gradients(self, gradients):
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
