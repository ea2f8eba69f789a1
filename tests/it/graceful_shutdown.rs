//! Shutdown while requests are in flight.

use std::time::{Duration, Instant};

use apportion::server::run::DrainTimes;

use crate::test_server::{RawClient, ServerConfig, TestServer, client, plain_client, self_signed};

const DELAY: Duration = Duration::from_millis(500);

fn draining() -> ServerConfig {
    ServerConfig {
        times: DrainTimes {
            delay: DELAY,
            deadline: Duration::from_secs(1),
        },
        ..ServerConfig::default()
    }
}

#[tokio::test]
async fn requests_are_answered_during_the_delay_and_connections_closed() {
    let server = TestServer::start(draining());
    let (webhook, admin) = (server.webhook, server.admin);
    let mut idle = RawClient::connect(webhook).await;
    assert!(!idle.request("{}").await.contains("connection: close"));
    let mut busy = RawClient::connect(webhook).await;
    busy.send_half_request().await;
    tokio::time::sleep(Duration::from_millis(50)).await;

    let signal = Instant::now();
    let ended = server.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let readyz = plain_client()
        .get(format!("http://{admin}/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(readyz.status(), 503);
    assert_eq!(
        readyz.text().await.unwrap(),
        "shutting down: send requests to another replica"
    );
    for answer in [
        idle.request("{}").await,
        RawClient::connect(webhook).await.request("{}").await,
        busy.finish_request().await,
    ] {
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    assert_eq!(idle.receive().await, "");
    ended.await.unwrap().unwrap();
    assert!(
        signal.elapsed() >= DELAY && signal.elapsed() < DELAY + Duration::from_secs(1),
        "{:?}",
        signal.elapsed()
    );
}

#[tokio::test]
async fn requests_in_flight_are_answered_when_the_listener_closes() {
    let server = TestServer::start(ServerConfig::default());
    let mut busy = RawClient::connect(server.webhook).await;
    busy.send_half_request().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ended = server.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(busy.finish_request().await.ends_with("1234"));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_and_stuck_connections_end_at_the_deadline() {
    let (tls, ca_pem) = self_signed();
    let times = DrainTimes {
        delay: Duration::ZERO,
        deadline: Duration::from_millis(300),
    };
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls),
        times,
        ..ServerConfig::default()
    });
    let http2 = client(&ca_pem).build().unwrap();
    http2
        .post(format!("https://{}/mutate", server.webhook))
        .body("{}")
        .send()
        .await
        .unwrap();
    let _no_handshake = RawClient::connect(server.webhook).await;
    let mut stuck = RawClient::connect(server.extender).await;
    stuck
        .send("POST /filter HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n12")
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let signal = Instant::now();
    server.stop().await.unwrap().unwrap();
    assert!(signal.elapsed() < Duration::from_secs(1), "{:?}", signal.elapsed());
    assert_eq!(stuck.receive().await, "");
}
