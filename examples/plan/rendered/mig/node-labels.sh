#!/bin/sh
# Rendered by `apportion render` from the plan `tenants`; change it there.
# Run it again when nodes join. A change of MIG layout ends the GPU pods of its node.
set -eu
kubectl label nodes a100-0 a100-1 nvidia.com/device-plugin.config=a100-sevenths nvidia.com/mig.config=a100-sevenths --overwrite
