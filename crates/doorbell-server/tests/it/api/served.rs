//! The API behind the admin listener of a real node, over a socket.

use crate::raw::{exchange, header};
use doorbell_core::name::Label;
use doorbell_server::api::{Api, ApiState, Cookie, Parts, TokenText, token_hash};
use doorbell_server::clock::Clock;
use doorbell_server::desk::Desk;
use doorbell_server::listen::Hosts;
use doorbell_server::moving::Moving;
use doorbell_server::node::{Node, NodeConfig};
use doorbell_server::replay::Replays;
use doorbell_server::standings::Standings;
use doorbell_store::AnyStore;
use doorbell_store::memory::Memory;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

async fn ask(address: SocketAddr, head: &str) -> String {
    exchange(address, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn it_answers_to_its_own_names_only() {
    let store = Arc::new(AnyStore::from(Memory::new()));
    let replays = Replays::load(Arc::clone(&store)).await.unwrap();
    let root = TokenText::new([9; 32]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = NodeConfig::at(any, any, Label::parse("in").unwrap());
    let admin = |shared: &doorbell_server::node::Shared, keys| {
        let state = ApiState::new(Parts {
            ingest_prefix: Label::parse("in").unwrap(),
            admitting: Arc::clone(&shared.admitting),
            configured: Arc::clone(&shared.configured),
            keys,
            replays,
            standings: Standings::new().0,
            moving: Moving::new(true),
            root_token: Some(token_hash(&root)),
            first_login: None,
            cookie: Cookie::plain(shared.admin_addr),
            version: "1.2.3",
            ingest_url: format!("http://{}/in", shared.ingest_addr),
        });
        Arc::new(Api::new(state, Hosts::new(shared.admin_addr, ["admin.example.com".to_owned()])))
    };
    let node = Node::start(config, store, Desk::closed(), Clock::real(), admin).await.unwrap();
    let address = node.admin_addr();
    let token = format!("Authorization: Bearer {}", root.reveal());

    let good = format!("GET /v1/status HTTP/1.1\r\nHost: admin.example.com\r\n{token}");
    let answer = ask(address, &good).await;
    assert_eq!(status(&answer), "200", "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["store"]["events"], 0);

    let rebound = format!("GET /v1/status HTTP/1.1\r\nHost: evil.test\r\n{token}");
    let answer = ask(address, &rebound).await;
    assert_eq!(
        (status(&answer), header(&answer, "content-type")),
        ("421", Some("application/problem+json"))
    );
    let page = "GET /docs/errors/misdirected HTTP/1.1\r\nHost: evil.test";
    assert_eq!(
        status(&ask(address, page).await),
        "200",
        "the problem's page opens where the problem came"
    );
    let answer = ask(address, "GET /v1/status HTTP/1.1\r\nHost: localhost").await;
    assert_eq!((status(&answer), header(&answer, "www-authenticate").is_some()), ("401", true));
    for _ in 0..20 {
        ask(address, "GET /v1/status HTTP/1.1\r\nHost: localhost").await;
    }
    let answer = ask(address, "GET /v1/status HTTP/1.1\r\nHost: localhost").await;
    assert_eq!((status(&answer), header(&answer, "retry-after").is_some()), ("429", true));
    for probe in ["/healthz", "/readyz"] {
        let answer = ask(address, &format!("GET {probe} HTTP/1.1\r\nHost: 10.0.0.1:8081")).await;
        assert_eq!(status(&answer), "200", "a probe asks by address");
    }
    let small = "POST /v1/sources HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999";
    let answer = ask(address, &format!("{small}\r\n{token}")).await;
    assert_eq!(status(&answer), "413", "{answer}");
    node.stop().await.unwrap();
}
