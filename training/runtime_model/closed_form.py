"""The loss of fine-tuning and its derivatives in closed form, for the layers that it moves.

The same mathematics as `training.runtime_model.network` and `training.runtime_model.loss`, whose own
derivatives tests compare with these. A run in progress has four samples of some tens of nodes: recording
hundreds of operations on tensors that small, and taking them back one by one, costs ten times what the
sums do.

Numpy only, but for what is read from a network. Axes: V vertices, N of them nodes, J jobs, E edges, S
samples, H length of a state.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evidence.table import MIN_SECONDS
from training.runtime_model.loss import HUBER_DELTA, Targets
from training.runtime_model.network import METRICS, OVERHEAD_LIMIT, Batch, Inputs, RuntimeModel
from training.statistics.arrays import Ints

Values = NDArray[np.float32]
Layers = Mapping[str, Values]
"""Weights by their names in the network."""


class Rows:
    """Sums of rows that belong together."""

    def __init__(self, index: Ints, size: int) -> None:
        """Row i goes to `index[i]`, of `size`."""
        order = np.argsort(index, kind="stable")
        counts = np.bincount(index, minlength=size)
        place = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.index, self.size = index, size
        # The first row of each, then the second: within a part no target occurs twice.
        self._parts = [(index[rows], rows) for k in range(counts.max()) for rows in (order[place == k],)]
        self._each = bool(counts.min(initial=1))

    def sums(self, values: Values) -> Values:
        """Sums, (rows, ...) to (size, ...)."""
        found = self._first(values, 0.0)
        for targets, rows in self._parts[self._each :]:
            found[targets] += values.take(rows, axis=0)
        return found

    def largest(self, values: Values) -> Values:
        """Largest values, of the same shape; every target has one."""
        found = self._first(values, -np.inf)
        for targets, rows in self._parts[self._each :]:
            found[targets] = np.maximum(found[targets], values.take(rows, axis=0))
        return found

    def _first(self, values: Values, nothing: float) -> Values:
        """The first row of each, where each has one."""
        if self._each:
            first: Values = values.take(self._parts[0][1], axis=0)
            return first
        return np.full((self.size, *values.shape[1:]), nothing, dtype=values.dtype)


def _times(values: Values, matrix: Values) -> Values:
    """One product of matrices, (..., A) by (A, B); numpy would do one for each of the leading axes."""
    return (values.reshape(-1, len(matrix)) @ matrix).reshape(*values.shape[:-1], matrix.shape[1])


class _Activated(NamedTuple):
    """SiLU of what went in, and its derivative."""

    value: Values
    slope: Values


def _silu(values: Values) -> _Activated:
    share: Values = np.reciprocal(1.0 + np.exp(-values), dtype=np.float32)
    value = values * share
    return _Activated(value, share + value * (1.0 - share))


class _Head:
    """Two layers, as `network._head` makes them."""

    def __init__(self, name: str, layers: Layers, inputs: Values) -> None:
        self._first, self._last = f"{name}.0", f"{name}.3"
        self._layers, self._inputs = layers, inputs
        self._hidden = _silu(_times(inputs, layers[f"{name}.0.weight"].T) + layers[f"{name}.0.bias"])
        self.output = _times(self._hidden.value, layers[f"{name}.3.weight"].T) + layers[f"{name}.3.bias"]

    def backward(self, of_output: Values, gradients: dict[str, Values]) -> Values:
        """Add derivatives of the layers; returns those of the inputs."""
        of_hidden = _times(of_output, self._layers[f"{self._last}.weight"]) * self._hidden.slope
        _add_linear(self._last, of_output, self._hidden.value, gradients)
        _add_linear(self._first, of_hidden, self._inputs, gradients)
        return _times(of_hidden, self._layers[f"{self._first}.weight"])


def _add_linear(name: str, of_output: Values, inputs: Values, gradients: dict[str, Values]) -> None:
    gradients[f"{name}.weight"] += _product(of_output, inputs)
    gradients[f"{name}.bias"] += of_output.reshape(-1, of_output.shape[-1]).sum(axis=0)


def _product(left: Values, right: Values) -> Values:
    """Sum over all rows of their outer products, (..., A) and (..., B) to (A, B)."""
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


class _Round(NamedTuple):
    """What one round of listening to parents came to."""

    hidden: _Activated
    """(N + J, S, H)"""
    heard: Values
    """(E, S, H)"""
    message: Values
    """(E, S, H)"""
    weight: Values
    """Attention, (E, S, heads)."""
    told: Values
    """(N, S, H)"""
    state: Values
    """(N, S, 2H)"""


class FineTuningLoss:
    """The loss of a run's samples as a function of the output layers and the node layer."""

    def __init__(self, network: RuntimeModel, batch: Batch, inputs: Inputs, targets: Targets) -> None:
        """Take what stays.

        Args:
            batch: Samples, none of which carries a delay on into the next job.
            inputs: What `network` makes of it.
            targets: Of the batch.
        """
        self._inputs: Any = Inputs._make(value.numpy() for value in inputs)
        self._targets: Any = Targets._make(
            value.numpy().swapaxes(0, min(value.dim(), 2) - 1) for value in targets
        )
        self._limit = float(network.correction_limit * network.gate)
        self._overhead_limit = float(OVERHEAD_LIMIT * network.gate)
        self._drivers = network.drivers.numpy()
        jobs, nodes = len(self._drivers), len(network.node_job)
        self._front = nodes + jobs
        self._job_share: Values = network.job_share.numpy()
        self._by_job = Rows(network.node_job.numpy(), jobs)
        source, target = network.edges.numpy()
        self._by_source, self._by_target = Rows(source, self._front + jobs), Rows(target, nodes)
        self._levels = [(level, Rows(level.child.numpy(), len(level.nodes))) for level in network.levels]
        self._kind = network.kind.numpy()[network.vertex_kind.numpy()][:, None]
        attention = network.attention
        self._said, self._said_bias = attention.lin_l.weight.numpy(), attention.lin_l.bias.numpy()
        self._asked, self._asked_bias = attention.lin_r.weight.numpy(), attention.lin_r.bias.numpy()
        self._told_bias, self._slope = attention.bias.numpy(), np.float32(attention.negative_slope)
        _, heads, width = attention.att.shape
        self._of_head = np.repeat(np.eye(heads, dtype=np.float32), width, axis=1)  # (heads, H)
        self._att = (self._of_head * attention.att.numpy().reshape(-1)).T.copy()  # (H, heads)
        future, delay, old_ratio = batch.future.T.numpy(), batch.delay.T.numpy(), batch.old_ratio.T.numpy()
        self._delay, self._hints = delay, np.stack([old_ratio, np.log1p(delay)], axis=-1)
        self._slower = np.exp(np.clip(old_ratio, -4.0, 4.0))
        self._gained = future * (1.0 - 1.0 / self._slower)

    def value(self, layers: Layers) -> float:
        """The loss with these weights."""
        return self._evaluate(layers, None)

    def with_gradients(self, layers: Layers, gradients: dict[str, Values]) -> float:
        """The loss with these weights; its derivatives by them are added to `gradients`."""
        return self._evaluate(layers, gradients)

    def _evaluate(self, layers: Layers, gradients: dict[str, Values] | None) -> float:
        inputs, by_job = self._inputs, self._by_job
        nodes, front = by_job.index.shape[0], self._front
        first = _times(inputs.vertices, layers["node.weight"].T) + (layers["node.bias"] + self._kind)
        similar = _silu(first[front:])
        said_similar = _times(similar.value, self._said.T) + self._said_bias
        of_metrics = layers["node.weight"][:, METRICS]
        metrics, moved = inputs.metrics, np.zeros_like(first[:front])
        rounds, heads, added = [], [], []
        for _ in range(2):
            rounds.append(self._round(first[:front] + moved, said_similar))
            heads.append(_Head("metrics", layers, rounds[-1].state))
            added.append(np.tanh(heads[-1].output))
            moved[:nodes] = _times(inputs.unknown * added[-1], of_metrics.T)
            moved[nodes + 1 :] = self._mean_by_job(moved[:nodes])[:-1]
        metrics = inputs.metrics + inputs.unknown * added[-1]
        rounds.append(self._round(first[:front] + moved, said_similar))
        heads.append(_Head("runtime", layers, rounds[-1].state))
        turned = np.tanh(heads[-1].output[..., 0])
        correction = self._limit * turned
        log_runtime = inputs.log_runtime + correction
        runtime = np.exp(log_runtime)
        finish = self._finish(runtime)
        reached = finish[self._drivers]
        steady = np.maximum(reached, MIN_SECONDS)
        of_job = self._mean_by_job(rounds[-1].hidden.value[:nodes])
        overhead = _Head("overhead", layers, np.concatenate([of_job, self._hints], axis=-1))
        learned = np.tanh(overhead.output[..., 0])
        delay, old = self._delay * np.exp(self._overhead_limit * learned), steady * self._slower
        moved_job = steady + self._gained * np.minimum(delay, old)
        job = np.maximum(moved_job, MIN_SECONDS)
        loss, of_job_runtime, of_log_runtime, of_metrics_, of_correction = self._compare(
            job, log_runtime, metrics, correction
        )
        if gradients is None:
            return loss

        of_job_runtime = of_job_runtime * (moved_job >= MIN_SECONDS)
        of_lasting = of_job_runtime * self._gained
        of_steady = of_job_runtime + np.where(old < delay, of_lasting * self._slower, 0.0)
        of_learned = np.where(old < delay, 0.0, of_lasting) * delay * self._overhead_limit
        of_overhead = overhead.backward((of_learned * (1.0 - learned**2))[..., None], gradients)
        of_finish = np.zeros_like(finish)
        of_finish[self._drivers] = of_steady * (reached >= MIN_SECONDS)
        of_log_runtime = of_log_runtime + self._finish_backward(finish, of_finish) * runtime
        of_turned = (of_log_runtime + of_correction) * self._limit * (1.0 - turned**2)
        of_state = heads[-1].backward(of_turned[..., None], gradients)
        of_state[..., : of_job.shape[-1]] += self._of_mean(of_overhead[..., : of_job.shape[-1]])
        of_said_similar = np.zeros_like(said_similar)
        of_first = np.zeros_like(first)
        of_added = of_metrics_
        for number in (2, 1, 0):
            of_front = self._round_backward(rounds[number], of_state, of_said_similar)
            of_first[:front] += of_front
            if number == 0:
                break
            of_previous = np.zeros_like(said_similar)
            of_previous[:-1] = of_front[nodes + 1 :]
            of_moved = of_front[:nodes] + self._of_mean(of_previous)
            change = inputs.unknown * added[number - 1]
            gradients["node.weight"][:, METRICS] += _product(of_moved, change)
            of_added = _times(of_moved, of_metrics) + (of_metrics_ if number == 2 else 0.0)
            of_output = of_added * inputs.unknown * (1.0 - added[number - 1] ** 2)
            of_state = heads[number - 1].backward(of_output, gradients)
        of_first[front:] = _times(of_said_similar, self._said) * similar.slope
        _add_linear("node", of_first, inputs.vertices, gradients)
        return loss

    def _compare(
        self, job: Values, log_runtime: Values, metrics: Values, correction: Values
    ) -> tuple[float, Values, Values, Values, Values]:
        """`loss.prediction_loss`, and its derivatives by each of what was predicted."""
        targets = self._targets
        loss, of_log_job = _huber(np.log(job), targets.log_job, targets.job_weight)
        seconds = (job * targets.job_measured).sum(axis=0)
        remaining, of_log_remaining = _huber(
            np.log(np.maximum(seconds, 1e-3)), targets.log_remaining, targets.remaining_weight
        )
        node, of_node = _huber(log_runtime, targets.log_node, targets.node_weight)
        gap = metrics - targets.metrics
        of_metrics = gap * targets.metrics_weight
        loss += 2.0 * remaining + 0.3 * node + 0.5 * float((gap * of_metrics).sum())
        loss += 0.5 * float((correction**2).mean())
        of_seconds = 2.0 * of_log_remaining * (seconds >= 1e-3) / np.maximum(seconds, 1e-3)
        of_job = of_log_job / job + of_seconds * targets.job_measured
        of_correction: Values = correction / np.float32(correction.size)
        return loss, of_job, np.float32(0.3) * of_node, of_metrics, of_correction

    def _mean_by_job(self, values: Values) -> Values:
        return self._by_job.sums(values) * self._job_share

    def _of_mean(self, of_mean: Values) -> Values:
        """Derivatives by nodes of means over those of each job."""
        return (of_mean * self._job_share).take(self._by_job.index, axis=0)

    def _round(self, first: Values, said_similar: Values) -> _Round:
        hidden = _silu(first)
        own = hidden.value[: len(self._by_job.index)]
        said = np.concatenate([_times(hidden.value, self._said.T) + self._said_bias, said_similar])
        message = said.take(self._by_source.index, axis=0)
        heard = message + (_times(own, self._asked.T) + self._asked_bias).take(self._by_target.index, axis=0)
        score = _times(np.maximum(heard, self._slope * heard), self._att)
        weight = np.exp(score - self._by_target.largest(score).take(self._by_target.index, axis=0))
        weight /= self._by_target.sums(weight).take(self._by_target.index, axis=0)
        told = self._by_target.sums(message * _times(weight, self._of_head))
        state = np.concatenate([own, told + self._told_bias], axis=-1)
        return _Round(hidden, heard, message, weight, told, state)

    def _round_backward(self, done: _Round, of_state: Values, of_said_similar: Values) -> Values:
        """Derivatives by what goes into a round, (N + J, S, H); those of what similar runs say are added."""
        length, target = self._said.shape[0], self._by_target.index
        of_own, of_told = of_state[..., :length], of_state[..., length:]
        of_mean = of_told.take(target, axis=0)
        usual = _times(of_told * done.told, self._of_head.T)
        of_score = done.weight * (
            _times(of_mean * done.message, self._of_head.T) - usual.take(target, axis=0)
        )
        of_heard = _times(of_score, self._att.T) * np.where(done.heard > 0, np.float32(1.0), self._slope)
        of_said = self._by_source.sums(of_heard + of_mean * _times(done.weight, self._of_head))
        of_said_similar += of_said[self._front :]
        of_hidden = _times(of_said[: self._front], self._said)
        of_hidden[: len(of_own)] += of_own + _times(self._by_target.sums(of_heard), self._asked)
        return of_hidden * done.hidden.slope

    def _finish(self, runtime: Values) -> Values:
        """Seconds from the start of the job to each node's end, (N, S)."""
        finish = runtime.copy()
        for level, rows in self._levels:
            finish[level.nodes.numpy()] += rows.largest(finish[level.parents.numpy()])
        return finish

    def _finish_backward(self, finish: Values, of_finish: Values) -> Values:
        """Derivatives by runtimes from those by ends, which it changes; parents that end at once share."""
        for level, rows in reversed(self._levels):
            before = finish[level.parents.numpy()]
            last = (before == rows.largest(before)[rows.index]).astype(finish.dtype)
            passed = of_finish[level.nodes.numpy()] / rows.sums(last)
            np.add.at(of_finish, level.parents.numpy(), passed[rows.index] * last)
        return of_finish


def _huber(predicted: Values, target: Values, weight: Values) -> tuple[float, Values]:
    """Weighted Huber loss, and its derivatives by what was predicted."""
    gap = predicted - target
    clipped = np.clip(gap, -HUBER_DELTA, HUBER_DELTA)
    return float((clipped * (gap - 0.5 * clipped) * weight).sum()), clipped * weight
