//! The environment does not decide where requests go.

use super::rig::*;
use std::process::Command;

/// Not a test of its own: what the test below runs in a process with another environment.
#[tokio::test]
#[ignore = "run by the_environment_is_not_asked_for_a_proxy"]
async fn carries_one_request() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent test passes the receiver in this way"
    )]
    let url = std::env::var("RECEIVER").unwrap();
    assert_eq!(answered(carry(&sender(), post(&url)).await).status, 200);
}

#[tokio::test]
async fn the_environment_is_not_asked_for_a_proxy() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let canary = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "sender::proxy::carries_one_request", "--ignored"]);
    child.env("RECEIVER", receiver.url("/"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        child.env(name, canary.url("/"));
    }
    let done = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && output.contains("1 passed"), "{output}");
    assert_eq!((receiver.connections(), canary.connections()), (1, 0));
}
