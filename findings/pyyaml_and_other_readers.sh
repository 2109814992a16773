#!/usr/bin/env bash
# PyYAML 6.0.3 writes texts that Helm 4.2.3 reads as numbers or truths, without a quote and without a word.
#
# PyYAML quotes what it would itself take for something else: '1.10', 'yes', '0123'. It reads by YAML 1.1, where
# `1e-3`, `08`, `0o17` and, in it, `y` are texts, and leaves them as they are. To Go's readers, as in Helm and kubectl,
# they are numbers and true. So a program that puts its values into a file for Helm, or prints a manifest for
# `kubectl apply`, is right about nearly all texts. Seen here, each the tag of an image in a chart:
# - of short commit ids, "25921e05" becomes repo:2.5921e+09, and "4711e21" repo:4.711e+24; one in a hundred ids of
#   seven digits is such a one, so it comes up when everything has long been tried;
# - "08", a month, becomes repo:8, "1e-3", a learning rate as an argument, 0.001, and "y" true;
# - the type is lost before templates see it: `quote` in the template does not bring it back.
# Reading the file with PyYAML, as a test would, gives back what was written. What helps is to quote what looks like a
# number to anybody: a representer of `str` for a SafeDumper of one's own, or `default_style="'"`.
#
# Needs bash, Python 3.11, and Linux on x86_64. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyyaml==6.0.3 helm-python-sdk==0.2.2

cat >see.py <<'PYTHON'
import re
import sys
from pathlib import Path

import helm_python
import yaml

CHANGED = {
    "25921e05": "2.5921e+09",
    "4711e21": "4.711e+24",
    "08": "8",
    "0o17": "15",
    "1e-3": "0.001",
    "y": "true",
}
KEPT = ("yes", "1.10", "0123", "1_000", "1:30", "2026-11-30", "deadbeef")
chart = Path("chart")
(chart / "templates").mkdir(parents=True)
(chart / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 0.1.0\n")
(chart / "templates" / "pod.yaml").write_text("image: repo:{{ .Values.tag }}\nargument: {{ .Values.tag | quote }}\n")


def rendered(written):
    (chart / "values.yaml").write_text(written)
    with helm_python.Chart.load(chart) as loaded:
        [text] = loaded.render({}).values()
    return re.fullmatch(r'image: repo:(.+)\nargument: "(.+)"\n', text).groups()


print("PyYAML", yaml.__version__, "Helm", helm_python.helm_sdk_version())
as_described = []
for tag in (*CHANGED, *KEPT):
    written = yaml.safe_dump({"tag": tag})
    assert yaml.safe_load(written) == {"tag": tag}
    image, argument = rendered(written)
    print(f"{tag!r} is written {written.strip()!r}, and rendered repo:{image}, argument {argument!r}")
    as_described.append(argument == image == CHANGED.get(tag, tag))
    image, argument = rendered(yaml.safe_dump({"tag": tag}, default_style="'"))
    assert argument == image == tag, (image, argument)
print("as described:", as_described)
sys.exit(not all(as_described))
PYTHON
venv/bin/python see.py
