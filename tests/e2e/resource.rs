//! Policies as custom resources.

use crate::cluster::{asks, until};
use crate::world::{World, gpus, pod};

fn policy(name: &str, strategies: &str) -> String {
    format!(
        "apiVersion: apportion.dev/v1alpha1
kind: GpuSharingPolicy
metadata: {{name: {name}}}
spec: {{strategies: [{strategies}]}}
"
    )
}

/// The API server refuses invalid policies with a message that names the fix.
pub(crate) async fn bad_ones_refused(world: &World) {
    for (strategies, words) in [
        ("{strategy: mgi}", "spec.strategies[0].strategy"),
        ("{strategy: mig}", "profiles"),
        (
            "{strategy: mig, profiles: [1g.11gb]}",
            "no known product has one of these MIG profiles",
        ),
        ("", "spec.strategies"),
    ] {
        let said = world.kubectl.create(&policy("bad", strategies)).await;
        println!("      {}", said.err.trim_end().replace('\n', "\n      "));
        assert!(
            !said.ok && said.err.contains(words),
            "{strategies}: {}{}",
            said.out,
            said.err
        );
    }
}

/// Policies that `kubectl` creates, changes and deletes take effect at once.
pub(crate) async fn followed(world: &World) {
    let namespace = "resource-e2e";
    world
        .kubectl
        .create(&policy("research", "{strategy: exclusive}"))
        .await
        .fine();
    world.cluster.governed(namespace, "research").await;
    let gets = async |expected: &str| {
        until(&format!("pods to get {expected}"), async || {
            let args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
            let said = world.kubectl.feed(&args, &pod(namespace, "probe", &gpus(3))).await;
            let answer = serde_json::from_str(&said.out).ok()?;
            (asks(&answer) == [expected]).then_some(())
        })
        .await;
    };
    gets("gpu 3").await;
    let change = r#"{"spec":{"strategies":[{"strategy":"time-slicing"}]}}"#;
    let args = ["patch", "gpusharingpolicy", "research", "--type=merge", "-p", change];
    world.kubectl.run(&args).await.fine();
    gets("gpu.shared 1").await;
    // The printed columns show whether it is accepted and how many namespaces it governs.
    let table = until("the status of the policy", async || {
        let table = world.kubectl.run(&["get", "gpusharingpolicies"]).await.fine();
        let row = table.out.lines().find(|line| line.starts_with("research"))?.to_owned();
        let words: Vec<&str> = row.split_whitespace().collect();
        words.windows(2).any(|pair| pair == ["True", "1"]).then_some(table)
    })
    .await;
    println!("      {}", table.out.trim_end().replace('\n', "\n      "));
    for word in [
        "NAME",
        "MODE",
        "development",
        "inference",
        "multi-tenant",
        "research",
        "training",
    ] {
        assert!(table.out.contains(word), "{}", table.out);
    }
    world
        .kubectl
        .run(&["delete", "gpusharingpolicy", "research"])
        .await
        .fine();
    until("pods of a policy that is gone to be turned away", async || {
        let args = ["create", "--dry-run=server", "-f", "-"];
        let said = world.kubectl.feed(&args, &pod(namespace, "probe", &gpus(1))).await;
        (!said.ok && said.err.contains("research")).then(|| println!("      {}", said.err.trim_end()))
    })
    .await;
}
