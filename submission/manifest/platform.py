"""What the manifest and its options have to know of the platform that carries it out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from submission.manifest.fields import Fields
from submission.manifest.template_values import RescalingMode


@dataclass(frozen=True)
class Platform:
    """A kind of place where applications run; each runner says its own."""

    name: str
    """A word, as in SUBMISSION_PLATFORM, in `ApplicationExecution.runner` and in a verdict's `checked_by`."""
    in_words: str
    """As sentences call it."""
    rescaling_modes: tuple[RescalingMode, ...]
    """That it can carry out, the default first."""
    listener_jar: str
    """Path or URI of the Spark plugin where LISTENER_JAR says nothing, as the driver sees it."""
    examples_location: str
    """Folder or URI of the bundled examples where EXAMPLES_LOCATION says nothing."""
    launcher: str = ""
    """Path or URI of what runs programs of workspaces, where PROGRAM_LAUNCHER says nothing, as the driver
    sees it; empty: this platform runs none."""
    jars_in_image: str | None = None
    """Where its images have Spark's class path: a jar below it is loaded without being named. None: there
    are no images, every jar has to be named."""
    token_by_secret: bool = False
    """Whether a driver gets its callback token from a Secret, to which the manifest refers."""
    needs_spark_version: bool = False
    """Whether it has to be told which Spark an image holds; elsewhere a wrong version does no harm."""
    refused_fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of a manifest's `spec`, such as `monitoring` and `driver.gpu`, that it cannot carry out, to what
    to write instead."""
    by_webhook: tuple[str, ...] = ()
    """Fields, written as these, that its operator sets in pods by an admission webhook alone."""
    refused_modes: Mapping[RescalingMode, str] = field(default_factory=dict)
    """Why it has none of the other rescaling modes, as the end of a sentence that begins with the mode."""

    def refusal(self, mode: RescalingMode) -> str:
        """What somebody is told who asks for a mode that it does not have."""
        why = self.refused_modes.get(mode, f"is none of those of {self.in_words}")
        others = " or ".join(repr(each) for each in self.rescaling_modes)
        return f"spark_template_values.rescaling_mode {mode!r} {why}. Leave it out, or use {others}."

    def warnings(self, spec: Fields) -> list[str]:
        """What somebody is told whose request says this: what may not come about, and why."""
        said = [name for name, _ in refused_fields(spec, dict.fromkeys(self.by_webhook, ""))]
        found = ", ".join(name for name in said if not _is_of_spark(_value(spec, name)))
        if not found:
            return []
        return [
            f"{found}: set in pods by the spark-operator's webhook alone. Where that is away, or does not"
            " watch the namespace, pods come up without (docs/manifests.md)."
        ]


_LOCAL_FOLDERS = "spark-local-dir-"
"""Beginning of the names of volumes that Spark itself mounts, by its properties."""


def _value(spec: Fields, name: str) -> Any:
    place, _, inner = name.rpartition(".")
    return (spec.get(place, {}) if place else spec).get(inner)


def _is_of_spark(value: Any) -> bool:
    """Whether it is nothing, or folders for Spark's own temporary files."""
    if not isinstance(value, list):
        return not value
    return all(str(each.get("name", "")).startswith(_LOCAL_FOLDERS) for each in value)


def refused_fields(spec: Fields, refused: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those of a `spec`, or of a part of one, that are refused, and what to write instead."""
    for name, instead in refused.items():
        place, _, inner = name.rpartition(".")
        if inner in (spec.get(place, {}) if place else spec):
            yield name, instead
