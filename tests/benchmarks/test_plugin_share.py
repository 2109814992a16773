import pytest

from benchmarks.plugin_share import Driver, judged


def test_the_share_is_of_the_whole_driver() -> None:
    threads = {"enel-reports": 0.4, "spark-listener-group-shared": 0.3, "dag-scheduler-event-loop": 30.0}
    assert judged(Driver(100.0, threads)).is_met
    assert not judged(Driver(50.0, threads)).is_met


@pytest.mark.parametrize("driver", [Driver(), Driver(100.0, {"dag-scheduler-event-loop": 30.0})])
def test_a_plugin_that_nobody_saw_meets_no_bar(driver: Driver) -> None:
    with pytest.raises(SystemExit, match="nothing was seen"):
        judged(driver)
