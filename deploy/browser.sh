#!/bin/sh
# Chromium and its driver, with which a test uses the UI of a running server.
set -u
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o Acquire::Retries=3 update -qq &&
        apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends \
            chromium chromium-driver >/dev/null && exit 0
fi
echo "No Chromium: the test of the UI is skipped. To run it:" >&2
echo "    sudo apt-get install chromium chromium-driver" >&2
