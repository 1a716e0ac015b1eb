#!/usr/bin/env bash
# Builds the environment of lce.py: Larq Compute Engine's converter and interpreter beside larq.
# Not the environment of make_environment.sh, which stays as the other scripts knew it.
#
#   usage: tests/reference/make_lce_environment.sh
#   PYTHON                the interpreter to build on, 3.9 to 3.11 (default: python3.11)
#   BNNJAX_LCE_ENV        where to build (default: ~/.cache/bnnjax/lce-env)
set -euo pipefail

environment="${BNNJAX_LCE_ENV:-$HOME/.cache/bnnjax/lce-env}"
requirements=(
  "larq-compute-engine==0.16.0"
  "tensorflow-cpu==2.15.*"  # the last with Keras 2, which larq needs
  "larq==0.14.*"
  "larq-zoo==2.4.*"
  "numpy<2"
)

if [[ ! -x "$environment/bin/python" ]]; then
  "${PYTHON:-python3.11}" -m venv "$environment"
fi
# pip leaves alone what is already satisfied, so a second run changes nothing.
"$environment/bin/python" -m pip install --quiet "${requirements[@]}"
"$environment/bin/python" -c 'import larq_compute_engine, larq_zoo'
echo "$environment/bin/python"
