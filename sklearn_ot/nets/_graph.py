"""Training steps as CUDA graphs."""

import torch


class RecordedStep:
    """A training step, gradients included, recorded once and replayed for each batch.

    A step with small networks is hundreds of short kernels, and a GPU spends most of it waiting for the next one; in a
    graph they follow each other at once.

    Parameters
    ----------
    step : callable
        ``step(batch) -> loss`` computes the loss and adds to the gradients of the weights; the same kernels whatever
        the values, none of which it looks at.
    weights : list of Parameter
        The weights. What changes them later has to do so in place.
    batch : tuple of Tensor
        A batch on a CUDA device; all others have its shapes.
    """

    WARM_UP_STEPS = 3

    def __init__(self, step, weights, batch):
        self.weights = weights
        self.batch = tuple(part.clone() for part in batch)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(batch[0].device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # libraries set themselves up, which cannot be recorded
                for _ in range(self.WARM_UP_STEPS):
                    step(self.batch)
            torch.cuda.current_stream().wait_stream(stream)
            # Gradients that are made within the graph are overwritten, not added to, by each replay.
            self._set_gradients([None] * len(weights))
            # Other threads may go on using the device.
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.loss = step(self.batch)
        self.gradients = [weight.grad for weight in weights]

    def __call__(self, batch):
        """Leave the gradients in the weights, and return the loss."""
        for place, part in zip(self.batch, batch, strict=True):
            place.copy_(part)
        self.graph.replay()
        self._set_gradients(self.gradients)
        return self.loss.clone()

    def _set_gradients(self, gradients):
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
