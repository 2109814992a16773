"""What may wait: of one model, of all together, and of one caller."""

from contextlib import ExitStack
from typing import Any

import pytest

from common.errors import InvalidRequest, PayloadTooLarge
from prediction.inference.queue.admission import Admission, QueueFull, Wanted


def wanted(model: str, rows: int = 1, size_bytes: int = 1, **said: Any) -> Wanted:
    return Wanted(model, rows, size_bytes, **{"most_rows": 100, "seconds_each": 0.1, **said})


def refused(admission: Admission, asked: Wanted) -> QueueFull:
    with pytest.raises(QueueFull) as full, admission.admitted(asked):
        pass
    return full.value


def test_a_flood_of_one_model_takes_no_place_of_others() -> None:
    admission = Admission(most_bytes=100)
    with ExitStack() as stack:
        stack.enter_context(admission.admitted(wanted("quiet", 1, 10)))
        for _ in range(8):
            stack.enter_context(admission.admitted(wanted("loud", 1, 10)))
        stack.enter_context(admission.admitted(wanted("quiet", 1, 10)))
        assert "too much memory" in str(refused(admission, wanted("loud", 1, 10)))
        with admission.admitted(wanted("quiet", 1, 30)):
            assert admission.waiting("quiet") == 3, "it is within its share"
    assert admission.waiting("loud") == 0


def test_a_model_has_a_bound_of_its_own_and_says_when_to_come_again() -> None:
    admission = Admission(most_bytes=1000)
    with admission.admitted(wanted("m", 8, most_rows=10, seconds_each=2.0)):
        full = refused(admission, wanted("m", 3, most_rows=10, seconds_each=2.0))
        assert "max_queue_rows is 10" in str(full)
        assert full.headers["Retry-After"] == "16"
    with pytest.raises(InvalidRequest, match="11 rows are more"):
        refused(admission, wanted("m", 11, most_rows=10))
    assert admission.refused["m"] == 3


def test_what_rows_take_decoded_is_held_until_they_are_answered() -> None:
    admission = Admission(most_bytes=100)
    with admission.admitted(wanted("m", size_bytes=10)) as place:
        place.hold(90)
        place.hold(20)
        assert "too much memory" in str(refused(admission, wanted("m", size_bytes=20)))
        with admission.admitted(wanted("m", size_bytes=10)) as another:
            with pytest.raises(QueueFull, match="too much memory"):
                another.hold(20)
            with pytest.raises(PayloadTooLarge, match="more than the 100 bytes"):
                another.hold(101)
    with admission.admitted(wanted("m", size_bytes=100)):
        assert admission.waiting("m") == 1


def test_one_caller_has_half_of_a_queue_while_others_ask_too() -> None:
    now = 0.0
    admission = Admission(most_bytes=1000, clock=lambda: now)

    def of(caller: str, rows: int = 1) -> Wanted:
        return wanted("m", rows, most_rows=10, caller=caller)

    with ExitStack() as flood:
        for _ in range(10):
            flood.enter_context(admission.admitted(of("loud")))  # nobody else asks
        assert "max_queue_rows" in str(refused(admission, of("quiet")))
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(admission.admitted(of("loud")))
        assert "of yours" in str(refused(admission, of("loud"))), "somebody else has asked meanwhile"
        for _ in range(5):
            stack.enter_context(admission.admitted(of("quiet")))
    with admission.admitted(of("quiet", 8)):
        assert admission.waiting("m") == 8, "one question of any size has a place where there is one"
    now = 31.0
    with ExitStack() as again:
        for _ in range(10):
            again.enter_context(admission.admitted(of("loud")))  # nobody else asks any more
