# The pod as a node of the Ray cluster: a driver finds no cluster unless a node of it runs beside it. It offers no
# cores, so that models are placed elsewhere. The cluster may be away, at the start or later: the service is
# ready without it, and the node joins when it is back.
trap 'exit 0' TERM
while true; do
  ray start --block --address="$CLUSTER" --node-ip-address="$POD_IP" --num-cpus=0 --num-gpus=0 \
    --object-store-memory=268435456 --disable-usage-stats \
    --node-manager-port=20000 --object-manager-port=20001 --runtime-env-agent-port=20002 \
    --dashboard-agent-grpc-port=20003 --metrics-export-port=20004 --dashboard-agent-listen-port=20005 \
    --min-worker-port=20010 --max-worker-port=20999
  sleep 5
done
