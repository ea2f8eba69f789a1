#!/bin/sh
# Rendered by `apportion render` from the plan `serving`; edit the plan instead.
# Run it again when nodes join. Changing a node's MIG layout stops its GPU pods.
set -eu
kubectl label nodes -l example.com/gpu-pool=t4 nvidia.com/device-plugin.config=t4-shares --overwrite
