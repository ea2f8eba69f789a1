//! Routes, limits and errors, over real sockets.

use std::sync::atomic::Ordering;

use apportion::server::limits::{ByteCount, Limits};
use apportion::server::route::Role;
use apportion::server::route::Route;
use reqwest::{StatusCode, Version};

use crate::test_server::{RawClient, ServerConfig, TestServer, client, plain_client, self_signed};

#[tokio::test]
async fn each_route_answers_over_both_http_versions_by_alpn() {
    let (tls, ca_pem) = self_signed();
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls.clone()),
        extender: Some(tls),
        ..ServerConfig::default()
    });
    let h1 = client(&ca_pem).http1_only().build().unwrap();
    let h2 = client(&ca_pem).build().unwrap();
    for (client, version) in [(h1, Version::HTTP_11), (h2, Version::HTTP_2)] {
        for (url, answer) in [
            (
                format!("https://localhost:{}/mutate?timeout=10s", server.webhook.port()),
                "{}",
            ),
            (format!("https://{}/filter", server.extender), "filter {}"),
            (format!("https://{}/prioritize", server.extender), "prioritize {}"),
            (format!("https://{}/preempt", server.extender), "preempt {}"),
        ] {
            let response = client.post(&url).body("{}").send().await.unwrap();
            assert_eq!(
                (response.status(), response.version()),
                (StatusCode::OK, version),
                "{url}"
            );
            assert_eq!(response.headers()["content-type"], "application/json");
            assert!(!response.headers().contains_key("connection"));
            assert_eq!(response.text().await.unwrap(), answer);
        }
    }
    let answered = server.events.answered.lock().unwrap();
    assert_eq!(answered[0], (Role::Webhook, Some(Route::Mutate), 200));
    assert_eq!(answered.len(), 8);
}

#[tokio::test]
async fn the_admin_listener_serves_probes_and_metrics() {
    let server = TestServer::start(ServerConfig::default());
    let client = plain_client();
    let get = async |path: &str| {
        let response = client
            .get(format!("http://{}{path}", server.admin))
            .send()
            .await
            .unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), content_type, response.text().await.unwrap())
    };
    let text = |status, body: &str| (status, "text/plain; charset=utf-8".to_owned(), body.to_owned());
    assert_eq!(get("/livez").await, text(200, "ok"));
    assert_eq!(get("/readyz").await, text(200, "ok"));
    server.echo.not_ready.store(true, Ordering::Relaxed);
    assert_eq!(get("/readyz").await, text(503, "waiting for the first list of nodes"));
    assert_eq!(get("/livez").await, text(200, "ok"));
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(
        get("/metrics").await,
        (200, open_metrics.to_owned(), "# EOF\n".to_owned())
    );
}

#[tokio::test]
async fn an_unknown_route_is_refused_with_the_routes_that_exist() {
    let server = TestServer::start(ServerConfig::default());
    let client = plain_client();
    let webhook = "this is the webhook listener, for POST /mutate\n";
    let extender = "this is the extender listener, for POST /filter, POST /prioritize, POST /preempt, POST /bind\n";
    let admin = "this is the admin listener, for GET /livez, GET /readyz, GET /metrics, GET /breaches\n";
    for (request, status, said) in [
        (
            client.get(format!("http://{}/mutate", server.webhook)),
            405,
            format!("GET /mutate is not served: {webhook}"),
        ),
        (
            client.post(format!("http://{}/", server.webhook)),
            404,
            format!("POST / is not served: {webhook}"),
        ),
        (
            client.post(format!("http://{}/mutate/", server.webhook)),
            404,
            format!("POST /mutate/ is not served: {webhook}"),
        ),
        (
            client.put(format!("http://{}/filter", server.extender)),
            405,
            format!("PUT /filter is not served: {extender}"),
        ),
        (
            client.get(format!("http://{}/readyz", server.extender)),
            404,
            format!("GET /readyz is not served: {extender}"),
        ),
        (
            client.delete(format!("http://{}/livez", server.admin)),
            405,
            format!("DELETE /livez is not served: {admin}"),
        ),
    ] {
        let response = request.body("{}").send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.text().await.unwrap(), said);
    }
    assert_eq!(server.events.answered.lock().unwrap()[0], (Role::Webhook, None, 405));
}

#[tokio::test]
async fn a_refusal_has_a_status_and_a_message() {
    let server = TestServer::start(ServerConfig::default());
    let request = plain_client()
        .post(format!("http://{}/mutate", server.webhook))
        .body("refuse");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.text().await.unwrap(), "not a review");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_with_a_message() {
    let (tls, ca_pem) = self_signed();
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls),
        ..ServerConfig::default()
    });
    let url = format!("https://{}/mutate", server.webhook);
    let most = Limits::for_role(Role::Webhook).body.get();
    for client in [
        client(&ca_pem).http1_only().build().unwrap(),
        client(&ca_pem).build().unwrap(),
    ] {
        let whole = client.post(&url).body(vec![b' '; most]).send().await.unwrap();
        assert_eq!(whole.status(), StatusCode::OK);
        let over = client.post(&url).body(vec![b' '; most + 1]).send().await.unwrap();
        assert_eq!(over.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(over.text().await.unwrap(), "the body is larger than the limit of 7 MiB");
        assert_eq!(
            client.post(&url).body("{}").send().await.unwrap().status(),
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn a_content_length_above_the_limit_is_refused_before_the_body() {
    let limits = |role| Limits::for_role(role).with_body(ByteCount::bytes(10));
    let server = TestServer::start(ServerConfig {
        limits,
        ..ServerConfig::default()
    });
    let mut declared = RawClient::connect(server.webhook).await;
    declared
        .send("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n")
        .await;
    assert!(declared.receive().await.starts_with("HTTP/1.1 413 "));
    let mut chunked = RawClient::connect(server.webhook).await;
    chunked
        .send("POST /mutate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n")
        .await;
    chunked.send("6\r\n123456\r\n").await;
    assert!(chunked.receive().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_client_that_reads_only_after_it_sent_everything_gets_the_refusal() {
    let limits = |role| Limits::for_role(role).with_body(ByteCount::kib(1));
    let server = TestServer::start(ServerConfig {
        limits,
        ..ServerConfig::default()
    });
    let mut writer = RawClient::connect(server.webhook).await;
    let answer = writer.request(&" ".repeat(16 * 1024 * 1024)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(writer.request("{}").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_panic_fails_one_request_only() {
    let server = TestServer::start(ServerConfig::default());
    let mut client = RawClient::connect(server.webhook).await;
    let answer = client.request("panic").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with("internal error; see the log"), "{answer}");
    assert!(client.request("{}").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.events.panics.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_above_the_concurrency_limit_are_refused_with_retry_after() {
    let limits = |role| Limits {
        in_flight: 1,
        ..Limits::for_role(role)
    };
    let server = TestServer::start(ServerConfig {
        limits,
        ..ServerConfig::default()
    });
    let mut first = RawClient::connect(server.webhook).await;
    first.send_half_request().await;
    let url = format!("http://{}/mutate", server.webhook);
    let second = async || plain_client().post(&url).body("{}").send().await.unwrap();
    let mut refused = second().await;
    while refused.status() == StatusCode::OK {
        refused = second().await;
    }
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.text().await.unwrap(), "too many requests at once; try again");
    assert!(first.finish_request().await.ends_with("1234"));
    assert_eq!(second().await.status(), StatusCode::OK);
}
