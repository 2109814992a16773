"""Runs the same three small jobs in one context after another, each with settings of its own, in one JVM.

one_after_another.py FILE: of settings by names, which are printed before what a context and its jobs say.
"""

import json
import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext

SparkContext._ensure_initialized()
for name, settings in json.loads(Path(sys.argv[1]).read_text()).items():
    print(name, flush=True)
    # Of the JVM, which alone writes its own lines there.
    SparkContext._jvm.System.err.println(name)
    with SparkContext(conf=SparkConf().setAll(settings.items())) as context:
        for size in (10, 20, 30):
            print("sum", context.parallelize(range(size), 2).sum(), flush=True)
