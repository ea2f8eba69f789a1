//! Timeouts of slow and idle clients, and the connection limit.

use std::time::{Duration, Instant};

use apportion::server::limits::Limits;
use apportion::server::route::Role;

use crate::test_server::{RawClient, ServerConfig, TestServer, self_signed};

/// Timeouts of different lengths, so that a test can tell which one fired.
fn short_timeouts(role: Role) -> Limits {
    Limits {
        handshake: Duration::from_millis(200),
        first_request: Duration::from_millis(300),
        body_read: Duration::from_millis(400),
        idle: Duration::from_millis(900),
        ..Limits::for_role(role)
    }
}

fn assert_timed_out(since: Instant, wait: Duration) {
    let waited = since.elapsed();
    assert!(
        waited >= wait && waited < wait + Duration::from_millis(500),
        "{waited:?} and not {wait:?}"
    );
}

#[tokio::test]
async fn a_missing_handshake_times_out() {
    let (tls, _) = self_signed();
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls),
        limits: short_timeouts,
        ..ServerConfig::default()
    });
    let mut silent = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    assert_eq!(silent.receive().await, "");
    assert_timed_out(connected, short_timeouts(Role::Webhook).handshake);
    assert_eq!(server.events.handshakes.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_slow_first_request_times_out() {
    let server = TestServer::start(ServerConfig {
        limits: short_timeouts,
        ..ServerConfig::default()
    });
    let mut slow = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    slow.send("POST /mutate HTTP/1.1\r\nhost:").await;
    assert_eq!(slow.receive().await, "");
    assert_timed_out(connected, short_timeouts(Role::Webhook).first_request);
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let server = TestServer::start(ServerConfig {
        limits: short_timeouts,
        ..ServerConfig::default()
    });
    let mut slow = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    slow.send_half_request().await;
    let answer = slow.receive().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with("the body did not arrive within 400ms"), "{answer}");
    assert_timed_out(connected, short_timeouts(Role::Webhook).body_read);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_first_request_timeout() {
    let server = TestServer::start(ServerConfig {
        limits: short_timeouts,
        ..ServerConfig::default()
    });
    let mut client = RawClient::connect(server.webhook).await;
    assert!(client.request("{}").await.starts_with("HTTP/1.1 200 "));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(client.request("{}").await.starts_with("HTTP/1.1 200 "));
    let idle = Instant::now();
    assert_eq!(client.receive().await, "");
    assert_timed_out(idle, short_timeouts(Role::Webhook).idle);
}

#[tokio::test]
async fn a_connection_above_the_limit_waits_until_another_one_ends() {
    let limits = |role| Limits {
        connections: 1,
        ..Limits::for_role(role)
    };
    let server = TestServer::start(ServerConfig {
        limits,
        ..ServerConfig::default()
    });
    let mut first = RawClient::connect(server.webhook).await;
    assert!(first.request("{}").await.starts_with("HTTP/1.1 200 "));
    let mut second = RawClient::connect(server.webhook).await;
    let waiting = tokio::spawn(async move { second.request("{}").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200 "));
}
