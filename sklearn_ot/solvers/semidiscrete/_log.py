"""The average phase of a fit as a part of its checkpoint."""

from dataclasses import replace

import torch

from sklearn_ot.solvers.semidiscrete._average import Place, average
from sklearn_ot.solvers.semidiscrete._problem import Problem, State
from sklearn_ot.solvers.sources import CountedDraws


class SolverLog:
    """Stores where the average phase is, which takes nearly all of the time of a long fit, and lets it go on.

    The rows that were drawn before are drawn again and thrown away, so that a fit goes on with the same rows, from any
    source.

    Parameters
    ----------
    part : Part or None
        The solution as a part of a fit, see `sklearn_ot.checkpoints`. Nothing is stored with None.
    draws : CountedDraws
        The draws from the source.
    """

    def __init__(self, part, draws: CountedDraws):
        self.part, self.draws = part, draws
        self.stored = part.content if part else None

    def average(self, problem: Problem, state: State, place: Place | None = None):
        """The average phase, which is stored after its steps."""

        def content():
            return {
                "draws": self.draws.runs,
                "is_double": problem.dtype == torch.float64,
                "rows": problem.rows.state(),
                "state": state._asdict(),
                "place": vars(place),
            }

        place = place or Place.at(state)
        return average(problem, state, place, lambda: self.part and self.part.save(content))

    def go_on(self, problem: Problem):
        """The problem, the state and the place at which the average phase goes on."""
        stored, device = self.stored, problem.points.device
        if stored["is_double"]:
            problem = replace(problem, dtype=torch.float64)
        problem.rows.load_state(stored["rows"])
        self.draws.repeat(stored["draws"])
        state, place = ({key: _on(device, value) for key, value in stored[name].items()} for name in ("state", "place"))
        return problem, State(**state), Place(**place)


def _on(device, value):
    return value.to(device) if torch.is_tensor(value) else value
