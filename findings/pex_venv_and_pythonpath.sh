#!/usr/bin/env bash
# A PEX 2.105.2 that is built with `--venv --inherit-path=fallback` does not see PYTHONPATH.
#
# Both options are accepted together and PEX-INFO has both, but in the mode `--venv` nothing reads
# `inherit_path`: the venv's interpreter is started with `-sE`, so that PYTHONPATH is gone without a word.
# What takes `-sE` away is `--non-hermetic-venv-scripts`, whose help speaks of console scripts alone. Spark
# brings pyspark and py4j by PYTHONPATH: such a file as PYSPARK_PYTHON ends with "No module named 'pyspark'".
#
# And beside it: the pip that PEX carries along (20.3.4) resolves with the legacy resolver unless
# `--resolver-version pip-2020-resolver` is said. `--pip-version` helps only where the index has that pip.
#
# Needs bash, Python 3.11, and an index of packages. Last seen: 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pex==2.105.2
mkdir brought
echo 'print("seen")' >brought/brought_by_pythonpath.py

look() {
  venv/bin/pex --use-pip-config --pex-root cache --output-file "$1.pex" "${@:2}" cowsay==6.1 >&2
  { PEX_ROOT="$folder/root-$1" PYTHONPATH="$folder/brought" "./$1.pex" -c 'import brought_by_pythonpath' 2>&1 || true; } | tail -1
}

zipapp=$(look zipapp --inherit-path=fallback)
venv=$(look venv --venv --inherit-path=fallback)
open=$(look open --venv --non-hermetic-venv-scripts)
echo "a zip application that inherits: $zipapp"
echo "a venv that inherits:            $venv"
echo "a venv that is not hermetic:     $open"
[[ $zipapp == seen && $open == seen && $venv == *ModuleNotFoundError* ]]
