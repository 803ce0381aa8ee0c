#!/bin/sh
# Install Debian's PostgreSQL where it is missing and can be installed. Its own cluster is not
# started; tests start one in a folder of their own.
set -eu
if ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || command -v pg_ctl >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends postgresql-common >/dev/null
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
    apt-get install -qq -y --no-install-recommends postgresql >/dev/null
else
    echo "PostgreSQL is not here; the test of the server on it is skipped. To have it:" >&2
    echo "    sudo apt-get install postgresql" >&2
fi
