//! Managed certificates, renewed while pods are created.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::world::World;

/// Seconds. The next CA follows when a third of the lifetime is left.
const AUTHORITY: u32 = 48;
const LEAF: u32 = 12;

/// Long enough for four certificates and two CAs.
const LOAD: Duration = Duration::from_secs(55);

/// The API server calls throughout: it always trusts the certificate that is served.
pub(crate) async fn rotation(world: &World) {
    let namespace = "rotation-e2e";
    world.cluster.governed(namespace, "development").await;
    world.apportion.kill();
    world.apportion.register_managed(&world.cluster.client).await;
    world.apportion.run_managed(AUTHORITY, LEAF);
    world.apportion.ready().await;
    world.webhook_is_called().await;

    let start = Instant::now();
    let (mut calls, mut failed, mut slowest) = (0u32, Vec::new(), Duration::ZERO);
    let mut bundles = BTreeSet::new();
    let registrations: Api<MutatingWebhookConfiguration> = Api::all(world.cluster.client.clone());
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    }))
    .unwrap();
    while start.elapsed() < LOAD {
        let asked = Instant::now();
        if let Err(error) = world.cluster.pods(namespace).create(&dry_run, &pod).await {
            failed.push(format!("after {:.1?}: {error}", start.elapsed()));
        }
        slowest = slowest.max(asked.elapsed());
        calls += 1;
        if calls.is_multiple_of(20) {
            let all = registrations
                .get("apportion")
                .await
                .unwrap()
                .webhooks
                .unwrap_or_default();
            bundles.extend(
                all.into_iter()
                    .filter_map(|webhook| Some(webhook.client_config.ca_bundle?.0)),
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!(
        "      {calls} calls in {LOAD:?}, {} failed, the slowest {slowest:.0?}; {} different caBundles",
        failed.len(),
        bundles.len()
    );
    world.apportion.kill();
    world.apportion.register(&world.cluster.client, "Fail").await;
    world.apportion.run();
    world.apportion.ready().await;
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(bundles.len() >= 2, "the authority did not roll over");
}
