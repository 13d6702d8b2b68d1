//! Subscriptions at a hub on this machine, by the real sender and the real listener; the clock is moved by hand.

use super::rig::*;
use crate::raw::{exchange, status};
use crate::world::{NOW, World, config, source, start};
use doorbell_core::address::AllowPrivate;
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::endpoint_url::UrlPolicy;
use doorbell_core::limits;
use doorbell_core::source::{HubSubscription, Source};
use doorbell_server::clock::Clock;
use doorbell_server::configured::Configured;
use doorbell_server::hubs::Hubs;
use doorbell_server::node::NodeConfig;
use doorbell_server::sender::{AnySender, Sender, SenderOptions};
use doorbell_store::AnyStore;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const TOPIC: &str = "https://news.example/feed";
const DAY: Duration = Duration::from_secs(86_400);

/// A hub: what it was asked, and what it answers.
#[derive(Clone)]
struct Hub {
    receiver: Receiver,
    asked: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<String>>,
    /// For whom it asks back before it answers: the lease that it grants.
    at_once: Arc<Mutex<Option<u64>>>,
}

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

impl Hub {
    async fn start() -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let says = Arc::new(Mutex::new(ACCEPTED.to_owned()));
        let at_once: Arc<Mutex<Option<u64>>> = Arc::default();
        let (own, answer, lease) = (Arc::clone(&asked), Arc::clone(&says), Arc::clone(&at_once));
        let receiver = Receiver::start(move |mut caller| {
            let (asked, says, lease) = (Arc::clone(&own), Arc::clone(&answer), Arc::clone(&lease));
            async move {
                loop {
                    let request = String::from_utf8(caller.request().await?).unwrap();
                    asked.lock().unwrap().push(request.clone());
                    let lease = *lease.lock().unwrap();
                    if let Some(lease) = lease {
                        assert_eq!(status(&verify(&request, lease).await), 200);
                    }
                    let says = says.lock().unwrap().clone();
                    caller.tcp.write_all(says.as_bytes()).await?;
                }
            }
        });
        Self { receiver: receiver.await, asked, says, at_once }
    }

    fn say(&self, answer: &str) {
        answer.clone_into(&mut self.says.lock().unwrap());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A field of a request's form.
fn field(request: &str, name: &str) -> String {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let value = webhook_signatures::form::value(body.as_bytes(), name).unwrap();
    String::from_utf8(value).unwrap()
}

/// Asks back, as a hub does, at the address that the request names.
async fn verify(request: &str, lease: u64) -> String {
    let callback = field(request, "hub.callback");
    let (address, path) = callback.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let topic = webhook_signatures::form::encode(field(request, "hub.topic").as_bytes());
    let asked = format!(
        "GET /{path}?hub.mode=subscribe&hub.topic={topic}&hub.challenge=ch4&hub.lease_seconds={lease} HTTP/1.1\r\n\
         host: a\r\nconnection: close\r\n\r\n"
    );
    exchange(address.parse().unwrap(), asked.as_bytes()).await
}

fn node() -> NodeConfig {
    let mut config = config();
    config.limits.urls = UrlPolicy { allow: AllowPrivate::loopback(), ..UrlPolicy::default() };
    config
}

/// A source that wants to be subscribed at this hub.
fn news(world: &World, hub: &str) -> Source {
    let mut news = source("news", "websub");
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    news.verification.options = vec![option("hub", hub), option("topic", TOPIC)];
    news.verification.public_url = Some(format!("http://{}/in/news", world.ingest()));
    news
}

async fn with_source(hub: &str) -> World {
    let world = start(node()).await;
    world.change(vec![Change::Put(Resource::Source(news(&world, hub)))]).await;
    world
}

fn hubs_by(world: &World, configured: Arc<Configured>, sender: AnySender) -> Hubs {
    let store = Arc::new(AnyStore::from(world.store.clone()));
    Hubs::new(store, configured, sender, Clock::Manual(world.clock.clone()))
}

fn hubs(world: &World) -> Hubs {
    let configured = Arc::clone(&world.node.shared().configured);
    hubs_by(world, configured, AnySender::Real(Arc::new(sender())))
}

fn state(world: &World) -> HubSubscription {
    let directory = world.node.shared().configured.directory();
    directory.source_named("news").unwrap().hub.clone().unwrap()
}

#[tokio::test]
async fn a_source_subscribes_is_confirmed_and_renews() {
    let hub = Hub::start().await;
    let world = with_source(&hub.receiver.url("/hub")).await;
    let hubs = hubs(&world);
    hubs.round().await;
    let [request] = &hub.asked()[..] else { panic!("the hub was not asked once") };
    assert!(request.starts_with("POST /hub HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    let callback = field(request, "hub.callback");
    let own = format!("http://{}/in/news/", world.ingest());
    assert_eq!(callback.strip_prefix(&own).map(str::len), Some(32), "{callback}");
    assert_eq!((state(&world).asked, state(&world).until), (Some(NOW), None));

    hubs.round().await;
    assert!(hub.asked().is_empty(), "it waits for the hub");
    let confirmed = verify(request, 5 * 86_400).await;
    assert!(status(&confirmed) == 200 && confirmed.ends_with("\r\n\r\nch4"), "{confirmed}");
    assert_eq!(state(&world).until, Some(NOW.after(5 * DAY)));
    let wait = hubs.round().await;
    assert!(hub.asked().is_empty() && wait == limits::HUB_LOOK, "{wait:?}");

    world.clock.advance(4 * DAY - Duration::from_secs(1));
    assert_eq!(hubs.round().await, Duration::from_secs(1));
    assert!(hub.asked().is_empty());
    world.clock.advance(Duration::from_secs(1));
    hubs.round().await;
    let [renewal] = &hub.asked()[..] else { panic!("the lease was not renewed once") };
    assert_eq!(field(renewal, "hub.callback"), callback, "the hub knows it by its address");
    assert_eq!(state(&world).until, Some(NOW.after(5 * DAY)), "still subscribed");
    verify(renewal, 5 * 86_400).await;
    assert_eq!(state(&world).until, Some(NOW.after(9 * DAY)));
}

#[tokio::test]
async fn a_hub_may_ask_back_before_it_answers() {
    let hub = Hub::start().await;
    *hub.at_once.lock().unwrap() = Some(1000);
    let world = with_source(&hub.receiver.url("/")).await;
    hubs(&world).round().await;
    let until = Some(NOW.after(Duration::from_secs(1000)));
    assert_eq!((state(&world).until, state(&world).error), (until, None));
    // What it says after that does not take back what it asked.
    world.clock.advance(Duration::from_secs(800));
    hub.say("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n");
    hubs(&world).round().await;
    assert_eq!(state(&world).until, Some(NOW.after(Duration::from_secs(1800))));
    assert_eq!(state(&world).error, None);
}

#[tokio::test]
async fn nobody_else_is_told_yes() {
    let hub = Hub::start().await;
    let world = with_source(&hub.receiver.url("/")).await;
    let before = "GET /in/news?hub.mode=subscribe&hub.topic=https://news.example/feed&hub.challenge=c HTTP/1.1\r\n\
                  host: a\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&exchange(world.ingest(), before.as_bytes()).await), 404);
    hubs(&world).round().await;
    let request = hub.asked().remove(0);
    assert_eq!(status(&exchange(world.ingest(), before.as_bytes()).await), 404);
    let other = request.replace("news.example", "evil.example");
    assert_eq!(status(&verify(&other, 10).await), 404);
    assert_eq!(state(&world).until, None);
    assert_eq!(status(&verify(&request, 100).await), 200);
}

#[tokio::test]
async fn a_failure_is_told_and_tried_again_later_and_later() {
    let hub = Hub::start().await;
    hub.say("HTTP/1.1 422 No\r\ncontent-length: 9\r\n\r\nbad topic");
    let world = with_source(&hub.receiver.url("/")).await;
    let hubs = hubs(&world);
    for failures in 1..=4 {
        hubs.round().await;
        assert_eq!(hub.asked().len(), 1);
        let state = state(&world);
        assert_eq!(state.error.as_deref(), Some("the hub answered 422: bad topic"));
        assert_eq!(state.failures, failures);
        hubs.round().await;
        assert!(hub.asked().is_empty(), "not at once");
        world.clock.advance(state.next.since(Clock::Manual(world.clock.clone()).now()));
    }
    hub.say(ACCEPTED);
    hubs.round().await;
    verify(&hub.asked()[0], 100).await;
    assert_eq!((state(&world).failures, state(&world).error), (0, None));
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let hub = Hub::start().await;
    let world = with_source(&hub.receiver.url("/")).await;
    hubs(&world).round().await;
    verify(&hub.asked()[0], 1000).await;
    let (before, settings) = (state(&world), world.node.shared().configured.settings().clone());
    let store = Arc::new(AnyStore::from(world.store.clone()));
    let again = Arc::new(Configured::load(store, settings).await.unwrap());
    assert_eq!(again.directory().source_named("news").unwrap().hub, Some(before));
    let hubs = hubs_by(&world, again, AnySender::Real(Arc::new(sender())));
    hubs.round().await;
    assert!(hub.asked().is_empty());
    world.clock.advance(Duration::from_secs(800));
    hubs.round().await;
    assert_eq!(hub.asked().len(), 1);
}

#[tokio::test]
async fn a_hub_at_a_private_address_is_not_called_unless_allowed() {
    let hub = Hub::start().await;
    let mut bare = config();
    bare.limits.urls = UrlPolicy::default();
    for (config, why) in [(bare, "cannot be called"), (node(), "cannot be asked")] {
        let world = start(config).await;
        world
            .change(vec![Change::Put(Resource::Source(news(&world, &hub.receiver.url("/"))))])
            .await;
        let sender = Sender::new(SenderOptions::new(Clock::real())).unwrap();
        let configured = Arc::clone(&world.node.shared().configured);
        hubs_by(&world, configured, AnySender::Real(Arc::new(sender))).round().await;
        let error = state(&world).error.unwrap();
        assert!(error.contains(why), "{error}");
        assert_eq!(hub.receiver.connections(), 0);
    }
}

#[tokio::test]
async fn the_hub_may_be_named_by_the_topic() {
    let hub = Hub::start().await;
    *hub.at_once.lock().unwrap() = Some(1000);
    let at = hub.receiver.url("/hub");
    let links = format!("link: <{at}>; rel=\"hub\", <https://news.example/own>; rel=\"self\"");
    let topic =
        Receiver::saying(format!("HTTP/1.1 200 OK\r\n{links}\r\ncontent-length: 0\r\n\r\n")).await;
    let world = start(node()).await;
    let mut news = news(&world, "discover");
    news.verification.options[1].1 = topic.url("/feed");
    world.change(vec![Change::Put(Resource::Source(news))]).await;
    hubs(&world).round().await;
    let [request] = &hub.asked()[..] else { panic!("the hub was not asked once") };
    assert_eq!(field(request, "hub.topic"), "https://news.example/own");
    let state = state(&world);
    assert_eq!((state.hub, state.until), (at, Some(NOW.after(Duration::from_secs(1000)))));
}

#[tokio::test]
async fn a_topic_without_a_hub_is_a_failure_that_waits() {
    let topic = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let world = start(node()).await;
    let mut news = news(&world, "discover");
    news.verification.options[1].1 = topic.url("/feed");
    world.change(vec![Change::Put(Resource::Source(news))]).await;
    hubs(&world).round().await;
    hubs(&world).round().await;
    assert_eq!(topic.connections(), 1);
    assert!(state(&world).error.unwrap().contains("names no hub"));
}
