import pytest

from benchmarks.plugin_share import SHARED_THREAD, Driver, judged


def test_the_share_is_of_the_whole_driver() -> None:
    threads = {"enel-reports": 0.4, SHARED_THREAD: 3.0, "dag-scheduler-event-loop": 30.0, "JFR Recorder": 2.0}
    driver = Driver(102.0, threads, samples=200, own_samples=20)
    assert driver.own_seconds == pytest.approx(0.7)
    assert driver.spark_seconds == pytest.approx(100.0)
    assert judged(driver).is_met
    assert not judged(Driver(52.0, threads, samples=200, own_samples=20)).is_met


@pytest.mark.parametrize("driver", [Driver(), Driver(100.0, {"dag-scheduler-event-loop": 30.0})])
def test_a_plugin_that_nobody_saw_meets_no_bar(driver: Driver) -> None:
    with pytest.raises(SystemExit, match="nothing was seen"):
        judged(driver)
