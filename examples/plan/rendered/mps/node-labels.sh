#!/bin/sh
# Rendered by `apportion render` from the plan `serving`; change it there.
# Run it again when nodes join. A change of MIG layout ends the GPU pods of its node.
set -eu
kubectl label nodes -l example.com/gpu-pool=t4 nvidia.com/device-plugin.config=t4-shares --overwrite
