#!/bin/sh
# Write the locks anew from pyproject.toml and gpu.in: what is locked and still fits stays.
#   sh requirements/lock.sh              after pyproject.toml changed
#   sh requirements/lock.sh --upgrade    to take the newest of everything
#
#   base.txt   vexpress with its extras, but for torch (torch.txt): what an image has
#   dev.txt    the same and what the tests need: what `make setup` installs
#   gpu.txt    what the GPU image has besides
set -eu
cd "$(dirname "$0")/.."

TOOL=build/lock
[ -x $TOOL/bin/uv ] || { python3.11 -m venv $TOOL && $TOOL/bin/pip install --quiet uv; }

# lock NAME, then what it is made of
lock() {
    file=requirements/$1.txt
    shift
    $TOOL/bin/uv pip compile --quiet --no-header --generate-hashes -o "$file" "$@"
    sed -i '1i # Made by `make lock`; do not edit.' "$file"
}

# One version of each package for all platforms and Pythons.
everywhere="--universal --fork-strategy fewest --python-version 3.11"
project="pyproject.toml -c requirements/torch.txt --no-emit-package torch $everywhere"
lock dev $project --all-extras "$@"
cp requirements/dev.txt requirements/base.txt  # so that both have the same versions
lock base $project --extra docker --extra kubernetes
cp requirements/base.txt requirements/gpu.txt
lock gpu requirements/gpu.in --no-config --python-version 3.11 --python-platform x86_64-manylinux_2_28
