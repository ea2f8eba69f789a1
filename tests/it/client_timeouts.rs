//! How long a listener waits for a client.

use std::time::{Duration, Instant};

use apportion::server::limits::Limits;
use apportion::server::role::Role;

use crate::test_server::{RawClient, ServerConfig, TestServer, self_signed};

/// Each wait is of another length, so that a test tells which one ended it.
fn impatient(role: Role) -> Limits {
    Limits {
        handshake: Duration::from_millis(200),
        first_request: Duration::from_millis(300),
        body_read: Duration::from_millis(400),
        idle: Duration::from_millis(900),
        ..Limits::for_role(role)
    }
}

fn assert_waited(since: Instant, wait: Duration) {
    let waited = since.elapsed();
    assert!(
        waited >= wait && waited < wait + Duration::from_millis(500),
        "{waited:?} and not {wait:?}"
    );
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let (tls, _) = self_signed();
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls),
        limits: impatient,
        ..ServerConfig::default()
    });
    let mut silent = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    assert_eq!(silent.receive().await, "");
    assert_waited(connected, impatient(Role::Webhook).handshake);
    assert_eq!(server.events.handshakes.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_first_request_that_trickles_is_cut() {
    let server = TestServer::start(ServerConfig {
        limits: impatient,
        ..ServerConfig::default()
    });
    let mut trickling = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    trickling.send("POST /mutate HTTP/1.1\r\nhost:").await;
    assert_eq!(trickling.receive().await, "");
    assert_waited(connected, impatient(Role::Webhook).first_request);
}

#[tokio::test]
async fn a_body_that_trickles_is_refused() {
    let server = TestServer::start(ServerConfig {
        limits: impatient,
        ..ServerConfig::default()
    });
    let mut trickling = RawClient::connect(server.webhook).await;
    let connected = Instant::now();
    trickling.send_half_request().await;
    let answer = trickling.receive().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.ends_with("the body did not arrive within 400ms"), "{answer}");
    assert_waited(connected, impatient(Role::Webhook).body_read);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_wait_for_a_first_request() {
    let server = TestServer::start(ServerConfig {
        limits: impatient,
        ..ServerConfig::default()
    });
    let mut client = RawClient::connect(server.webhook).await;
    assert!(client.request("{}").await.starts_with("HTTP/1.1 200 "));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(client.request("{}").await.starts_with("HTTP/1.1 200 "));
    let idle = Instant::now();
    assert_eq!(client.receive().await, "");
    assert_waited(idle, impatient(Role::Webhook).idle);
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
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
