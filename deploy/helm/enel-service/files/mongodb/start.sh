#!/bin/bash
# Entry point of the chart's MongoDB: a replica set of one member that lets nobody in without a password.
# Started again, it comes back as the same member under the same name. It is ready once READY is there.
set -euo pipefail
SCRATCH=${SCRATCH:-/tmp}
CREDENTIALS=${CREDENTIALS:-/run/secrets/mongodb}
READY=$SCRATCH/ready
key=$SCRATCH/replica-set.key

rm -f "$READY" "$key"
# mongod takes no key that a group may read, and the group of a volume may.
install -m 0400 "$CREDENTIALS/keyfile" "$key"

# The kubelet writes the pod's whole name into its /etc/hosts, so that it is itself whatever the DNS says yet.
MONGODB_HOST=$(hostname --fqdn):${MONGODB_PORT:=27017}
export MONGODB_HOST CREDENTIALS

mongod --replSet rs0 --keyFile "$key" --port "$MONGODB_PORT" --bind_ip_all \
    --dbpath "${DATA:-/data/db}" --unixSocketPrefix "$SCRATCH" &
mongod=$!
trap 'kill -TERM "$mongod"' TERM INT

mongosh --quiet --norc --nodb --file "${SETUP:-/setup}/setup.js" &
setup=$!
# The setup waits ten minutes for a mongod, also for one that has ended.
while kill -0 "$setup" && kill -0 "$mongod"; do sleep 0.2; done 2> /dev/null
if kill -0 "$mongod" 2> /dev/null && wait "$setup"; then
    touch "$READY"
else
    kill -TERM "$setup" "$mongod" 2> /dev/null || true
    wait "$mongod" || true
    exit 1
fi
# A signal ends the first wait before mongod has ended.
wait "$mongod" || wait "$mongod"
