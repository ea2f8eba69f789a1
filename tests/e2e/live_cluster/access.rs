//! Access with limited permissions.

use super::{FREE, TENANT, admin};
use crate::cluster::until;
use crate::verbs::Verbs;
use crate::world::{World, gpus, pod};

/// Commands work for users who may only read, and name the permission that is missing.
pub(crate) async fn access(world: &World) {
    let kubectl = &world.kubectl;
    let user = async |name: &str| {
        kubectl
            .run(&["-n", FREE, "create", "serviceaccount", name])
            .await
            .fine();
        let token = kubectl.run(&["-n", FREE, "create", "token", name]).await.fine();
        Verbs::new(world.plane.token_kubeconfig(name, token.out.trim()))
    };
    let may = async |role: &str, name: &str| {
        let (role_flag, who) = (
            format!("--clusterrole={role}"),
            format!("--serviceaccount={FREE}:{name}"),
        );
        kubectl
            .run(&[
                "create",
                "clusterrolebinding",
                &format!("{name}-{role}"),
                &role_flag,
                &who,
            ])
            .await
            .fine();
    };
    let replay = ["replay", "--policies", "policies"];
    let without_roles = user("insight-no-role").await;
    for args in [&["map"][..], &replay[..]] {
        let said = without_roles.run(args).await.complaint();
        println!("      {said}");
        assert!(
            said.starts_with("apportion: the cluster at https://127.0.0.1:"),
            "{said}"
        );
        assert!(
            said.contains("is forbidden: User \"system:serviceaccount:insight-free:insight-no-role\""),
            "{said}"
        );
    }
    // ClusterRole `view` includes neither nodes nor policies.
    let viewer = user("insight-viewer").await;
    may("view", "insight-viewer").await;
    let said = viewer.run(&["map"]).await.complaint();
    println!("      {said}");
    assert!(said.contains("gpusharingpolicies") || said.contains("nodes"), "{said}");
    let more = [
        "create",
        "clusterrole",
        "insight-more",
        "--verb=list",
        "--resource=nodes,gpusharingpolicies.apportion.dev",
    ];
    kubectl.run(&more).await.fine();
    may("insight-more", "insight-viewer").await;
    // The chart's role for Apportion is enough as well.
    let reader = user("insight-reader").await;
    may("apportion-read", "insight-reader").await;
    let admin = admin(world);
    for verbs in [&viewer, &reader] {
        until("the rights to be in force", async || {
            (verbs.run(&["map"]).await.status == Some(0)).then_some(())
        })
        .await;
        let manifest = pod(TENANT, "asked", &gpus(1));
        for args in [
            &["map", "--output", "json"][..],
            &[&replay[..], &["--output", "json"]].concat(),
            &["explain", "-f", "-", "--output", "json"],
        ] {
            let (theirs, ours) = (verbs.feed(args, &manifest).await, admin.feed(args, &manifest).await);
            assert_eq!(
                (theirs.status, &theirs.out, &*theirs.err),
                (ours.status, &ours.out, ""),
                "{args:?}"
            );
        }
    }
    // Nothing listens on this port.
    let gone = world.plane.kubeconfig_elsewhere("https://127.0.0.1:9");
    let said = Verbs::new(gone).run(&["map"]).await.complaint();
    println!("      {said}");
    assert!(
        said.contains("127.0.0.1:9") && said.contains("onnection refused"),
        "{said}"
    );
}
