#!/bin/sh
# Rendered by `apportion render` from the plan `tenants`; edit the plan instead.
# Run it again when nodes join. Changing a node's MIG layout stops its GPU pods.
set -eu
kubectl label nodes a100-0 a100-1 nvidia.com/device-plugin.config=a100-sevenths nvidia.com/mig.config=a100-sevenths --overwrite
