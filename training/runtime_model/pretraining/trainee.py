"""One network in training: its weights in one vector, the average of them, and its own random numbers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.runtime_model.artifact import Hyperparameters, make_network
from training.runtime_model.loss import Evaluation, judge, weighted
from training.runtime_model.network import FEATURES, Prediction
from training.runtime_model.prepared import Prepared
from training.runtime_model.pretraining.derivatives import Derivatives
from training.runtime_model.pretraining.samples import Samples, lay_out
from training.statistics.arrays import Ints

SAMPLES_PER_STEP = 12
"""Bounds the time of a training step. With 24 a step takes a third more time, and validates no better."""

SAMPLES_PER_PASS = 40
"""Evaluated at once: what more of them come to lies in no cache."""

AVERAGED = 0.97
"""What serves is a running average of the weights over about the last 33 steps, fewer at the beginning:
single steps on few samples move validation scores up and down by a tenth."""

GREATEST_NORM = 1.0
"""Of the gradients of a step; longer ones are shortened to it."""

_BITS = 2**16
"""Values of what is drawn for dropout."""


class Course:
    """What networks of one size learn from: samples laid out, and how derivatives are taken."""

    def __init__(self, prepared: Prepared, hyperparameters: Hyperparameters) -> None:
        self.prepared, self.hyperparameters = prepared, hyperparameters
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            layout = make_network(prepared.evidence, hyperparameters)
            self.samples, contexts = lay_out(layout, prepared.batch)
        self.derivatives = Derivatives(layout, contexts)
        self._sizes = {name: value.shape for name, value in layout.named_parameters()}
        self._network = layout.requires_grad_(False)

    def by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """Parts of a vector of all weights, by the names that the network has for them; memory is shared."""
        parts = torch.split(flat, [shape.numel() for shape in self._sizes.values()])
        return {
            name: part.view(shape) for (name, shape), part in zip(self._sizes.items(), parts, strict=True)
        }

    def evaluate(self, flat: Tensor, samples: Ints, gate: float) -> Evaluation:
        """Judge weights on samples of runs that they were not trained on.

        Args:
            samples: Indices of the samples, (S,).
            gate: How far the network's correction counts.
        """
        weights, parts = self.by_name(flat), []
        with torch.no_grad():
            for chosen in torch.split(torch.from_numpy(samples), SAMPLES_PER_PASS):
                parts.append(self.derivatives.predict(weights, self.samples.select(chosen), gate))
        prediction = Prediction(*(torch.cat(values) for values in zip(*parts, strict=True)))
        return judge(self._network, self.prepared, samples, prediction)


class Trainee:
    """One network in training, and the average of its weights."""

    def __init__(self, course: Course, samples: Ints, seed: int) -> None:
        self._course, self._hyperparameters = course, course.hyperparameters
        self.samples = torch.from_numpy(samples)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make_network(course.prepared.evidence, course.hyperparameters)
        self._flat = torch.nn.Parameter(torch.cat([value.detach().ravel() for value in network.parameters()]))
        self._flat.grad = self._gradient = torch.zeros_like(self._flat)
        self.weights = course.by_name(self._flat.detach())
        self._gradients = course.by_name(self._gradient)
        self.average = self._flat.detach().clone()
        self._steps = 0
        self._optimizer = torch.optim.AdamW(
            [self._flat],
            lr=self._hyperparameters.learning_rate,
            weight_decay=self._hyperparameters.weight_decay,
            foreach=False,
        )
        self._normal = torch.Generator().manual_seed(seed)
        self._bits = np.random.Generator(np.random.PCG64(seed))

    def step(self) -> None:
        """One epoch: one step on all samples, or on a random part of many."""
        with torch.no_grad():
            batch, kept = self._batch()
            self._gradient.zero_()
            done = self._course.derivatives.forward(self.weights, batch, kept)
            self._course.derivatives.backward(self.weights, batch, done, self._gradients)
            norm = torch.linalg.vector_norm(self._gradient)
            self._gradient.mul_((GREATEST_NORM / (norm + 1e-6)).clamp_max(1.0))
            self._optimizer.step()
            self._steps += 1
            kept_of_average = min(AVERAGED, self._steps / (self._steps + 9))
            self.average.lerp_(self._flat, 1.0 - kept_of_average)

    def state(self, gate: float) -> dict[str, Tensor]:
        """The averaged network, as `RuntimeModel.load_state_dict` takes it."""
        return {"gate": torch.tensor(gate)} | {
            name: value.clone() for name, value in self._course.by_name(self.average).items()
        }

    def _batch(self) -> tuple[Samples, Sequence[Tensor | None]]:
        """Samples of a step with noise on their features, and what dropout multiplies by."""
        chosen = self.samples
        if len(chosen) > SAMPLES_PER_STEP:
            chosen = chosen[torch.randperm(len(chosen), generator=self._normal)[:SAMPLES_PER_STEP]]
        batch = self._course.samples.select(chosen)
        if self._hyperparameters.noise:
            features = batch.fixed[..., :FEATURES]
            noise = torch.randn(features.shape, generator=self._normal)
            features.add_(noise, alpha=self._hyperparameters.noise)
        batch = batch._replace(targets=weighted(batch.targets))
        nodes, jobs = len(batch.fixed) * len(chosen), len(batch.delay) * len(chosen)
        return batch, [self._kept(rows) for rows in (nodes, nodes, nodes, jobs)]

    def _kept(self, rows: int) -> Tensor | None:
        """0 where a state is dropped out, (rows, H); bits are ten times as fast as numbers."""
        dropped = round(self._hyperparameters.dropout * _BITS)
        if not dropped:
            return None
        shape = (rows, self._hyperparameters.hidden_dim)
        drawn = np.frombuffer(self._bits.bytes(2 * rows * shape[1]), dtype="<u2").reshape(shape)
        kept = (drawn >= dropped).astype(np.float32)
        kept *= np.float32(_BITS / (_BITS - dropped))
        return torch.from_numpy(kept)
