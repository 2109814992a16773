"""What the manifest and its options have to know of the platform that carries it out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
    refused_modes: Mapping[RescalingMode, str] = field(default_factory=dict)
    """Why it has none of the other rescaling modes, as the end of a sentence that begins with the mode."""

    def refusal(self, mode: RescalingMode) -> str:
        """What somebody is told who asks for a mode that it does not have."""
        why = self.refused_modes.get(mode, f"is none of those of {self.in_words}")
        others = " or ".join(repr(each) for each in self.rescaling_modes)
        return f"spark_template_values.rescaling_mode {mode!r} {why}. Leave it out, or use {others}."


def refused_fields(spec: Fields, refused: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those of a `spec`, or of a part of one, that are refused, and what to write instead."""
    for name, instead in refused.items():
        place, _, inner = name.rpartition(".")
        if inner in (spec.get(place, {}) if place else spec):
            yield name, instead
