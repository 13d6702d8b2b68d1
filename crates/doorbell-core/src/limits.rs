//! Every bound of the system in one list. What a source, an endpoint or the configuration may set lower or higher says so.

use std::time::Duration;

/// Largest request body a source takes unless it says otherwise, in bytes (GitHub caps its own at 25 MB).
pub const BODY_DEFAULT: usize = 32 << 20;
/// Largest request body a source may be set to take, in bytes.
pub const BODY_MAX: usize = 256 << 20;
/// Largest header block of an inbound request, in bytes.
pub const HEADER_BLOCK: usize = 64 << 10;
/// Most header lines of an inbound request. (As many as hyper parses without going to the heap.)
pub const HEADER_COUNT: usize = 100;
/// Longest request target (path and query) of an inbound request, in bytes.
pub const TARGET: usize = 16 << 10;
/// How many Doorbells may have delivered a request one after the other; what comes once more goes round in a circle.
pub const HOPS: usize = 5;
/// How long the sender of a request may take over its header block.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// How long the sender of a request may pause in its body, and how long an idle connection is kept.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(30);
/// How long the whole body of a request may take.
pub const BODY_DEADLINE: Duration = Duration::from_secs(120);
/// Bytes of request bodies that may be in memory at once on the receiving side; past it new requests are answered 503.
pub const BODIES_IN_FLIGHT: usize = 256 << 20;

/// Bytes of a response body that are kept with an attempt.
pub const RESPONSE_KEPT: usize = 16 << 10;
/// Bytes of a document of keys (a JWK set, a certificate) that are taken; the large providers' have some 10 to 30 KiB.
pub const KEY_DOCUMENT: usize = 256 << 10;
/// Bytes of a response that are read before the connection is dropped.
pub const RESPONSE_READ: usize = 64 << 10;
/// Largest header block of a response, in bytes.
pub const RESPONSE_HEADER_BLOCK: usize = 32 << 10;
/// Most header lines of a response.
pub const RESPONSE_HEADER_COUNT: usize = 100;

/// Most endpoints one event may fan out to.
pub const FANOUT: usize = 20_000;
/// Most endpoints of one tenant: as many as one event may fan out to, so that no event has more deliveries than fit.
pub const ENDPOINTS_PER_TENANT: usize = FANOUT;
/// Most places an endpoint takes in the routing table: its sources times its exact event types. Beyond, it is looked at
/// for every event of its sources.
pub const ROUTES_PER_ENDPOINT: usize = 64;
/// Longest event type, in bytes.
pub const EVENT_TYPE: usize = 256;
/// Longest dedupe or order key, in bytes; longer ones are hashed before they get here.
pub const KEY: usize = 512;
/// Most secrets of one source or endpoint (rotation).
pub const SECRETS: usize = 10;
/// Longest URL of an endpoint, in bytes.
pub const ENDPOINT_URL: usize = 2_048;
/// Longest queue, exchange, subject, stream, topic or routing key on a broker, in bytes (AMQP has no longer ones).
pub const QUEUE_PLACE: usize = 255;
/// Most header lines that go with a message to a broker.
pub const QUEUE_HEADERS: usize = 64;
/// Longest name of one, in bytes.
pub const QUEUE_HEADER_NAME: usize = 128;
/// Longest value of a custom header, in bytes.
pub const HEADER_VALUE: usize = 4_096;
/// Longest filter, in bytes of its JSON text.
pub const FILTER: usize = 16 << 10;
/// Deepest nesting of a filter.
pub const FILTER_DEPTH: usize = 24;
/// Largest body that filters look into, in bytes; a condition on a larger one does not hold.
pub const FILTER_BODY: usize = 4 << 20;
/// Most custom headers of one endpoint.
pub const ENDPOINT_HEADERS: usize = 50;
/// Most steps of a retry schedule.
pub const RETRY_STEPS: usize = 50;
/// Longest delay of a retry, whatever `Retry-After` asks.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// A retry comes up to this share (in percent) sooner or later than planned, so that what failed together does not return
/// together.
pub const RETRY_JITTER_PERCENT: u64 = 15;
/// Failures in a row after which an endpoint is left alone for a while.
pub const BREAKER_FAILURES: u32 = 8;
/// How long an endpoint is left alone at first; it doubles with each failed probe.
pub const BREAKER_OPEN_MIN: Duration = Duration::from_secs(5);
/// How long an endpoint is left alone at most, a `Retry-After` that asks for longer included.
pub const BREAKER_OPEN_MAX: Duration = Duration::from_secs(5 * 60);
/// After so long without a result a probe counts as lost and another is sent.
pub const BREAKER_PROBE_LOST: Duration = Duration::from_secs(150);
/// How long after a failure someone who asks for a try has a probe at the soonest.
pub const BREAKER_ASKED_APART: Duration = Duration::from_secs(1);
/// Shortest and longest timeout of a delivery attempt.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// See [`TIMEOUT_MIN`].
pub const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Tries that a node may have out unless set otherwise; see [`crate::places`].
pub const TRIES_OUT: usize = 8_192;
/// Bytes of bodies that may be out in tries at once; a larger body goes alone. See [`crate::body_room`].
pub const BODIES_OUT: u64 = 256 << 20;
/// Bodies up to so many bytes are not counted there: there are places enough to bound them.
pub const BODY_SMALL: u64 = 16 << 10;
/// Most deliveries in flight to one endpoint.
pub const CONCURRENCY_MAX: u32 = 1_000;
/// Deliveries of one endpoint that wait in memory; the rest waits in the store.
pub const ENDPOINT_WINDOW: usize = 2_048;
/// Deliveries of all endpoints together that wait in memory.
pub const WINDOW: usize = 100_000;
/// Largest body of the API's operations that configure or ask, in bytes (a published event may have [`BODY_DEFAULT`]).
pub const API_BODY: usize = 1 << 20;
/// Changes of the configuration that are kept for one who watches and is slow; after more he looks at everything.
pub const CHANGES_KEPT: usize = 256;
/// How long a login code is good.
pub const LOGIN_CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// Login codes that are good at once; of more the oldest is forgotten.
pub const LOGIN_CODES: usize = 16;
/// How long someone who used a login code stays signed in.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Items a page of a list has at most, and unless asked otherwise.
pub const PAGE_MAX: usize = 1_000;
/// See [`PAGE_MAX`].
pub const PAGE_DEFAULT: usize = 50;
/// Bytes of the body that are kept of a rejected request.
pub const REJECTED_BODY_KEPT: usize = 64 << 10;
/// Rejected requests that are kept per source and second; the rest is only counted.
pub const REJECTED_KEPT_PER_SECOND: u32 = 50;
/// How long a dedupe key is remembered unless the source says otherwise.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// How long a request waits for its provider's key to be fetched; then the answer is 503. Providers wait 3 s and more.
pub const KEY_PATIENCE: Duration = Duration::from_secs(2);
/// How long the fetching of a key may take.
pub const KEY_DEADLINE: Duration = Duration::from_secs(5);
/// How old a fetched key may be before it is fetched anew, while it is used.
pub const KEY_FRESH: Duration = Duration::from_secs(3600);
/// How old a fetched key may be to be used at all, when its address does not answer.
pub const KEY_STALE: Duration = Duration::from_secs(24 * 3600);
/// How long after a fetch, failed or not, the same address is asked again at the soonest.
pub const KEY_AGAIN: Duration = Duration::from_secs(30);
/// Fetched keys that are remembered.
pub const KEYS: usize = 1_000;
/// Keys that are fetched at once.
pub const KEY_FETCHES: usize = 32;
/// Fetches that the requests to one source may cause at once; anyone can name keys.
pub const KEY_BURST: u32 = 10;
/// How long it takes until they may cause one more.
pub const KEY_REFILL: Duration = Duration::from_secs(3);
/// For how long a WebSub hub is asked to subscribe us; it may grant less.
pub const HUB_LEASE: Duration = Duration::from_secs(10 * 86_400);
/// A hub that grants less than this is asked as if it had granted this: otherwise it could keep us busy.
pub const HUB_LEASE_MIN: Duration = Duration::from_secs(60);
/// After this share of a lease (in percent) the hub is asked again.
pub const HUB_RENEW_PERCENT: u32 = 80;
/// How long a hub may take to ask back after it was asked.
pub const HUB_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How soon a hub is asked again after the first failure; it doubles with each further one.
pub const HUB_AGAIN_MIN: Duration = Duration::from_secs(30);
/// How soon a hub is asked again after many failures.
pub const HUB_AGAIN_MAX: Duration = Duration::from_secs(3600);
/// How long a call of a hub may take.
pub const HUB_DEADLINE: Duration = Duration::from_secs(15);
/// Longest secret that is given to a hub, in bytes: the standard says less than 200 (section 5.1).
pub const HUB_SECRET: usize = 199;
/// Hubs that are asked at once.
pub const HUBS_AT_ONCE: usize = 8;
/// How long the task that looks after subscriptions sleeps at most: another node's may have become ours.
pub const HUB_LOOK: Duration = Duration::from_secs(15);
/// Longest text of a hub's that is kept, in bytes.
pub const HUB_SAID: usize = 200;
/// Largest body with which the secrets of other sources are tried when a request is explained, in bytes.
pub const EXAMINED_WITH_OTHERS: usize = 1 << 20;
/// Most secrets of other sources that are tried.
pub const EXAMINED_OTHERS: usize = 50;
/// Requests that are explained at once.
pub const EXAMINED_AT_ONCE: usize = 2;

/// Events that go from one home of the store to another in one transaction.
pub const MOVED_EVENTS: usize = 500;
/// Bytes of them, from which on no further one is added.
pub const MOVED_BYTES: usize = 8 << 20;
