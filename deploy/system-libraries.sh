#!/bin/sh
# OpenCV's wheel needs libGL and GLib, which a bare Debian or Ubuntu does not have.
# Usage: system-libraries.sh PYTHON
set -eu
if "$1" -c "import cv2" 2>/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o Acquire::Retries=3 update -qq
    apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends libgl1 libglib2.0-0 >/dev/null
fi
"$1" -c "import cv2" 2>/dev/null || {
    echo "OpenCV cannot be loaded. Install libGL and GLib:" >&2
    echo "    sudo apt-get install libgl1 libglib2.0-0" >&2
    exit 1
}
