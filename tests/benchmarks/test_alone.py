"""A benchmark's or a demo's service has nothing to do with what the caller's shell names."""

from benchmarks.support.alone import ALONE, ELSEWHERE
from common.settings.settings import Settings


def test_whatever_leads_elsewhere_is_unset() -> None:
    groups = Settings()
    known = {
        name.upper() for group in Settings.model_fields for name in type(getattr(groups, group)).model_fields
    }
    leading = {name for name in known if name.endswith(("_ENDPOINT", "_ADDRESS")) or name == "KUBECONFIG"}
    assert len(leading) > 4
    assert leading <= set(ELSEWHERE)
    assert set(ELSEWHERE) <= set(ALONE)
    assert {name.removesuffix("_FILE") for name in ALONE} <= known
    assert not any(ALONE[name] for name in ELSEWHERE)
