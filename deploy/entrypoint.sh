#!/bin/sh
# Start a container: secrets from files, a Ray node where one is asked for, then the command.
#
#   PREFECT_…_FILE=/run/secrets/x   becomes PREFECT_… with the file's content
#   RAY_JOIN=host:6379              this container joins that Ray cluster without lending it
#                                   CPUs: Ray wants its driver on a node of the cluster
set -eu

for name in $(env | sed -n 's/^\(PREFECT_[A-Z_]*\)_FILE=.*/\1/p'); do
    file=$(printenv "${name}_FILE")
    [ -r "$file" ] || { echo "${name}_FILE: expected a file at $file, found none" >&2; exit 1; }
    export "$name=$(cat "$file")"
    unset "${name}_FILE"
done

if [ -n "${RAY_JOIN:-}" ]; then
    tries=30
    until ray start --address="$RAY_JOIN" --num-cpus=0 --num-gpus=0 >/tmp/ray-join.log 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { cat /tmp/ray-join.log >&2; exit 1; }
        sleep 2
    done
    export RAY_ADDRESS="$RAY_JOIN"
fi

exec "$@"
