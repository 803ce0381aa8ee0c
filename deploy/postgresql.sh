#!/bin/sh
# Install Debian's PostgreSQL where it is missing and can be installed. Its own cluster is not
# started; tests start one in a folder of their own.
set -u
if ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || command -v pg_ctl >/dev/null; then exit 0; fi
install() {
    apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends "$1" >/dev/null
}
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o Acquire::Retries=3 update -qq && install postgresql-common &&
        echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf &&
        install postgresql && exit 0
fi
echo "PostgreSQL is not here; the test of the server on it is skipped. To have it:" >&2
echo "    sudo apt-get install postgresql" >&2
