#!/usr/bin/env bash
# Builds the environment of the reference scripts: the original larq and larq-zoo on TensorFlow.
# They need an older Python stack than bnnjax does, so they never share an environment with it;
# the scripts beside this file run in it and leave small .npz files for the tests to read.
#
#   usage: tests/reference/make_environment.sh
#   PYTHON                   the interpreter to build on, 3.9 to 3.11 (default: python3.11)
#   BNNJAX_REFERENCE_ENV     where to build (default: ~/.cache/bnnjax/reference-env)
set -euo pipefail

environment="${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}"
requirements=(
  "tensorflow-cpu==2.15.*"
  "larq==0.14.*"
  "larq-zoo==2.4.*"
  "numpy<2"
  "h5py"
)

if [[ ! -x "$environment/bin/python" ]]; then
  "${PYTHON:-python3.11}" -m venv "$environment"
fi
# pip leaves alone what is already satisfied, so a second run changes nothing.
"$environment/bin/python" -m pip install --quiet "${requirements[@]}"
"$environment/bin/python" -c 'import h5py, larq, larq_zoo'
echo "$environment/bin/python"
