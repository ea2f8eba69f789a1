#!/bin/sh
# Rendered by `apportion render` from the plan `fleet`; edit the plan instead.
# Run it again when nodes join. Changing a node's MIG layout stops its GPU pods.
set -eu
kubectl label nodes -l example.com/gpu-pool=training nvidia.com/device-plugin.config=training nvidia.com/mig.config=all-disabled --overwrite
kubectl label nodes a100-0 a100-1 nvidia.com/device-plugin.config=tenants nvidia.com/mig.config=tenants --overwrite
kubectl label nodes a100-2 nvidia.com/device-plugin.config=tenants-large nvidia.com/mig.config=tenants-large --overwrite
kubectl label nodes -l 'example.com/gpu-pool in (t4,t4-spot)' nvidia.com/device-plugin.config=inference --overwrite
kubectl label nodes a30-0 nvidia.com/device-plugin.config=development nvidia.com/mig.config=development --overwrite
