//! Going away under load.

use std::time::{Duration, Instant};

use apportion::server::drain::DrainTimes;

use crate::stand::{Raw, Setup, Stand, client, plain_client, self_signed};

const DELAY: Duration = Duration::from_millis(500);

fn draining() -> Setup {
    Setup {
        times: DrainTimes {
            delay: DELAY,
            deadline: Duration::from_secs(1),
        },
        ..Setup::default()
    }
}

#[tokio::test]
async fn requests_are_answered_until_the_end_and_clients_asked_to_go() {
    let stand = Stand::start(draining());
    let (webhook, admin) = (stand.webhook, stand.admin);
    let mut idle = Raw::connect(webhook).await;
    assert!(!idle.ask("{}").await.contains("connection: close"));
    let mut busy = Raw::connect(webhook).await;
    busy.ask_half().await;
    tokio::time::sleep(Duration::from_millis(50)).await;

    let signal = Instant::now();
    let ended = stand.stop();
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
        idle.ask("{}").await,
        Raw::connect(webhook).await.ask("{}").await,
        busy.ask_rest().await,
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
async fn what_is_being_answered_when_the_listener_closes_is_answered() {
    let stand = Stand::start(Setup::default());
    let mut busy = Raw::connect(stand.webhook).await;
    busy.ask_half().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let ended = stand.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(busy.ask_rest().await.ends_with("1234"));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_and_stuck_connections_do_not_hold_the_end_up_beyond_the_deadline() {
    let (tls, ca_pem) = self_signed();
    let times = DrainTimes {
        delay: Duration::ZERO,
        deadline: Duration::from_millis(300),
    };
    let stand = Stand::start(Setup {
        webhook: Some(tls),
        times,
        ..Setup::default()
    });
    let http2 = client(&ca_pem).build().unwrap();
    http2
        .post(format!("https://{}/mutate", stand.webhook))
        .body("{}")
        .send()
        .await
        .unwrap();
    let _no_handshake = Raw::connect(stand.webhook).await;
    let mut stuck = Raw::connect(stand.extender).await;
    stuck
        .send("POST /filter HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n12")
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let signal = Instant::now();
    stand.stop().await.unwrap().unwrap();
    assert!(signal.elapsed() < Duration::from_secs(1), "{:?}", signal.elapsed());
    assert_eq!(stuck.receive().await, "");
}
