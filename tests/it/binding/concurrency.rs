//! Many bindings at once, over HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apportion::server::endpoints::Endpoints;
use apportion::server::limits::Limits;
use apportion::server::listener::{Listener, Transport};
use apportion::server::route::Role;
use apportion::server::run::DrainTimes;
use apportion::server::run::run;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Replica;
use crate::test_server::plain_client;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_32_concurrent_bindings_exactly_8_succeed() {
    for round in 0..8 {
        let replica = Arc::new(Replica::new());
        replica.api.slow.store(true, Ordering::Relaxed);
        let limits = Limits::for_role(Role::Extender);
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(Role::Extender, address, Transport::Plain, limits).unwrap();
        let url = format!("http://{}", listener.local_addr());
        let (stop, stopped) = oneshot::channel();
        let times = DrainTimes {
            delay: Duration::ZERO,
            deadline: Duration::from_secs(1),
        };
        let server = tokio::spawn(run(
            vec![listener],
            Arc::clone(&replica.handlers) as Arc<dyn Endpoints>,
            Arc::clone(replica.app.metrics()) as _,
            times,
            async move { drop(stopped.await) },
        ));
        // Two schedulers with a client each.
        let clients = [plain_client(), plain_client()];
        let names: Vec<String> = (0..32).map(|at| format!("p{round}-{at}")).collect();
        for (at, name) in names.iter().enumerate() {
            // The watch has not delivered some of them.
            if at.is_multiple_of(5) {
                replica.create_undelivered(name);
            } else {
                replica.create(name);
            }
        }
        let one = async |at: usize, name: &String| {
            let client = &clients[at % 2];
            let post = async |path: &str, body: Value| -> Value {
                let request = client.post(format!("{url}/{path}")).body(body.to_string());
                let text = request.send().await.unwrap().text().await.unwrap();
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
            };
            let pod = replica.api.get(&format!("ns/{name}")).unwrap();
            let fit = post("filter", json!({"Pod": pod, "NodeNames": ["a"], "Nodes": null})).await;
            if fit["NodeNames"] != json!(["a"]) {
                return false;
            }
            let args = json!({"PodName": name, "PodNamespace": "ns", "PodUID": format!("uid-{name}"), "Node": "a"});
            let bound = post("bind", args).await["Error"] == "";
            if bound && at.is_multiple_of(3) {
                replica.deliver(name);
            }
            bound
        };
        let said = join_all(names.iter().enumerate().map(|(at, name)| one(at, name))).await;
        let bound = names.iter().filter(|name| replica.node_of(name) == "a").count();
        assert_eq!(
            (bound, said.iter().filter(|said| **said).count()),
            (8, 8),
            "round {round}"
        );
        assert!(replica.api.calls.load(Ordering::Relaxed) <= 2 * 32);
        for name in &names {
            replica.deliver(name);
        }
        assert_eq!(replica.reserved(), 0, "round {round}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
