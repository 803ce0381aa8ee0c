#!/bin/sh
# Write the locks anew from pyproject.toml and gpu.in: what is locked and still fits stays.
#   sh requirements/lock.sh              after pyproject.toml changed
#   sh requirements/lock.sh --upgrade    to take the newest of everything
#
#   base.txt   vexpress with its extras: what an image has
#   dev.txt    the same and what the tests need: what `make setup` installs
#   gpu.txt    what the GPU image has besides
set -eu
cd "$(dirname "$0")/.."

# torch 2.13.0+cpu for CPython 3.11 on Linux, x86-64: not in the public index, but pip takes it
# where a further index or folder has it.
CPU_TORCH=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
TOOL=build/lock
[ -x $TOOL/bin/uv ] || { python3.11 -m venv $TOOL && $TOOL/bin/pip install --quiet uv; }

# lock FILE, then what it is made of: one version of each package for all platforms.
lock() {
    file=requirements/$1.txt
    shift
    $TOOL/bin/uv pip compile --quiet --no-header --generate-hashes -o "$file" "$@"
    sed -i "/$CPU_TORCH/d" "$file"
    sed -i "/^torch==/a\\    --hash=$CPU_TORCH \\\\" "$file"
    sed -i '1i # Made by `make lock`; do not edit.' "$file"
}

everywhere="--universal --fork-strategy fewest --python-version 3.11"
lock dev pyproject.toml --all-extras $everywhere "$@"
cp requirements/dev.txt requirements/base.txt  # so that both have the same versions
lock base pyproject.toml --extra docker --extra kubernetes $everywhere
cp requirements/base.txt requirements/gpu.txt
lock gpu requirements/gpu.in --no-config --python-version 3.11 --python-platform x86_64-manylinux_2_28
