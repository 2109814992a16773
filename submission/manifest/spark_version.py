"""Which Spark an image holds, for a platform that has to be told."""

import re

from common.errors import InvalidRequest

_TAG = re.compile(r":v?(\d+\.\d+\.\d+(?:-preview\d+)?)(?:[-_][\w.-]*)?(?:@[\w:]+)?$")


def known_version(said: str | None, image: str | None, default: str) -> str:
    """What was said, otherwise what the image's tag begins with.

    Args:
        said: By the request or the service's template.
        image: None: that of the default version.
        default: Version of a request that names neither.
    Raises:
        InvalidRequest: Nobody can know it.
    """
    if said:
        return said
    if image is None:
        return default
    if found := _TAG.search(image):
        return found[1]
    raise InvalidRequest(
        f"optional_specs.spark_version is missing, and the tag of the image {image} does not begin with one:"
        " write it, such as 4.1.0, or sparkVersion in SPARK_APPLICATION_TEMPLATE."
    )
