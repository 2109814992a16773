#!/bin/bash
# Entry point of the MongoDB in compose.yaml: members of a replica set with passwords know each other
# by a key, which this makes at the first start; then the image's own entry point goes on.
set -euo pipefail
key=/data/configdb/replica-set.key
if [ ! -s "$key" ]; then
    head -c 512 /dev/urandom | base64 --wrap=0 > "$key"
    chmod 0400 "$key"
    chown mongodb:mongodb "$key"
fi
exec docker-entrypoint.sh mongod --replSet rs0 --bind_ip_all --keyFile "$key"
