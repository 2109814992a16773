"""Lint and render the chart with Helm; values come as JSON on standard input, what it says goes out as JSON.

A process of its own: the library brings Go's runtime along, which does not belong into the tests' process.
"""

import json
import sys
from pathlib import Path

import helm_python

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "enel-service"


def main() -> None:
    request = json.load(sys.stdin)
    values = request["values"]
    try:
        lint = helm_python.lint(CHART, values, strict=True)
        with helm_python.Chart.load(CHART) as chart:
            chart.validate_schema(values)
            rendered = chart.render(values, name="enel", namespace=request["namespace"])
    except helm_python.HelmError as error:
        print(json.dumps({"error": str(error)}))
        return
    print(json.dumps({"lint": lint, "rendered": rendered}))


if __name__ == "__main__":
    main()
