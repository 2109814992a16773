import pytest

from benchmarks.spark_lines import NONE, why_not_installed

_UNKNOWN = """\
ERROR: Could not find a version that satisfies the requirement pyspark==9.9.* (from versions: 3.5.0, 4.1.1)
ERROR: No matching distribution found for pyspark==9.9.*
"""
_AWAY = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError': /simple/pyspark/
ERROR: Could not find a version that satisfies the requirement pyspark==4.1.* (from versions: none)
ERROR: No matching distribution found for pyspark==4.1.*
"""
_FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(("said", "is_none"), [(_UNKNOWN, True), (_AWAY, False), (_FULL, False)])
def test_a_line_that_could_not_be_tried_is_not_taken_for_one_that_is_not_there(
    said: str, is_none: bool
) -> None:
    assert (why_not_installed(said) == NONE) == is_none
