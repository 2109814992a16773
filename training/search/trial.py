"""One trial, in an actor of Ray's; its module leaves alone how the actor's own process is connected."""

from typing import Any

import ray
from ray import tune

from training.runtime_model.artifact import Hyperparameters
from training.runtime_model.loop import PretrainingSession
from training.runtime_model.prepared import Prepared
from training.search.config import SearchConfig
from training.statistics.threads import compute_in_one_thread


class PretrainingTrial(tune.Trainable):  # type: ignore[misc]
    """A pretraining session as Ray Tune steps it; one actor serves many trials."""

    def setup(self, config: dict[str, Any], prepared: Prepared, search: SearchConfig) -> None:
        compute_in_one_thread()
        self._prepared, self._search = prepared, search
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._session = PretrainingSession(
            self._prepared,
            Hyperparameters(**config),
            max_epochs=self._search.max_epochs,
            seed=self._search.seed,
        )

    def step(self) -> dict[str, Any]:
        self._session.steps(self._search.epochs_per_report)
        return {
            # Of trained networks only, also where the law alone would be better: trials must differ.
            "loss": self._session.best_loss,
            "epochs": self._session.epochs,
            "complete": self._session.finished,
            "node": ray.get_runtime_context().get_node_id(),
            tune.result.DONE: self._session.finished,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the winner is trained again."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing."""
