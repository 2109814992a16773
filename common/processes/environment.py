"""What of the service's environment its children get: names that are known to be harmless, and no others."""

import os

_PASSED = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "JAVA_HOME",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "HADOOP_CONF_DIR",
        "KRB5_CONFIG",
        "SSL_CERT_FILE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)

_LOCALE = ("LC_",)

_COMPUTING = ("OMP_", "MKL_", "OPENBLAS_", "TORCH_", "RAY_", "TUNE_", "PYTHONDONTWRITEBYTECODE")
"""How many threads libraries use, and the like."""

_SECRETS = ("RAY_ADDRESS", "RAY_AUTH_")
"""How a cluster is entered: told to those alone that are to enter it (`common.processes.ray_access`)."""


def passed_environment() -> dict[str, str]:
    """For programs that have settings of their own, as Spark and MongoDB do."""
    return _beginning(_LOCALE)


def computing_environment() -> dict[str, str]:
    """For children that compute: trainings, comparisons of models."""
    found = _beginning(_LOCALE + _COMPUTING)
    return {name: value for name, value in found.items() if not name.startswith(_SECRETS)}


def _beginning(prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(prefixes)}
