//! The sender's double.

use super::rig::*;
use doorbell_core::attempt::ErrorClass;
use doorbell_server::sender::{AnySender, Script, Step};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_script_answers_in_turn_and_remembers() {
    let Step::Now(late) = Step::status(201) else { panic!("a status comes at once") };
    let script = Script::steps([
        Step::status(500),
        Step::Hang,
        Step::After(Duration::from_secs(2), late.clone()),
        Step::After(Duration::from_secs(60), late),
    ]);
    let sender = AnySender::Script(script.clone());
    let url = "http://hooks.example.com/";
    assert_eq!(answered(sender.carry(post(url)).await).status, 500);
    let hung = sender.carry(post(url)).await;
    assert_eq!(hung.timings.total, LONG);
    assert_eq!(failed(hung).class, ErrorClass::TimeoutResponse);
    let late = sender.carry(post(url)).await;
    assert_eq!(late.timings.total, Duration::from_secs(2));
    assert_eq!(answered(late).status, 201);
    assert_eq!(failed(sender.carry(post(url)).await).class, ErrorClass::TimeoutResponse);
    assert_eq!(answered(sender.carry(post(url)).await).status, 200);
    assert_eq!(script.carried().len(), 5);
}

#[tokio::test]
async fn a_script_may_decide_by_what_it_is_given() {
    let script = Script::by(|outgoing| {
        Step::status(if outgoing.url.as_str().ends_with("/bad") { 400 } else { 200 })
    });
    for (url, status) in [("http://example.com/bad", 400), ("http://example.com/good", 200)] {
        assert_eq!(answered(script.carry(post(url)).await).status, status);
    }
}
