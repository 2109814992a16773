"""A request of the protocol as questions: its rows are read together, and it fails as a whole."""

from common.errors import ServiceError
from prediction.inference.declaration.declaration import Declaration
from prediction.inference.images.limits import ImageLimits
from prediction.inference.model_process.frames import Row
from prediction.inference.open_inference.requests import InferenceRequest
from prediction.inference.open_inference.rows import rows_of
from prediction.inference.questions import Kept


class TensorQuestions:
    """Args:
    most_rows: Of one request.
    """

    def __init__(self, request: InferenceRequest, size_bytes: int, most_rows: int) -> None:
        self._request = request
        self._most_rows = most_rows
        self._made: list[Row] = []
        self.size_bytes = size_bytes
        self.is_slow = True

    @property
    def count(self) -> int:
        return self._request.inputs[0].shape[0]

    def rows(self, declaration: Declaration, limits: ImageLimits) -> list[Row | ServiceError]:
        """Raises InvalidInputs."""
        self._made = rows_of(self._request, declaration, most_rows=self._most_rows, limits=limits)
        return list(self._made)

    def kept(self, number: int, declaration: Declaration) -> Kept:
        """Values alone: tensors are not kept."""
        return self._made[number].values, ()
