//! `doorbell serve`: opens the store, starts the gateway, says where it is, and ends in good order.

use crate::cli::bodies::large_bodies;
use crate::cli::files;
use crate::cli::reach::{AWS_KEY, AWS_SECRET, operators_dialer, with_aws_credentials};
use crate::config::{
    Config, DATA_DIR, Flags, Listener, Queue, human_bytes, unknown_variables, variable, variables,
};
use crate::otel;
use crate::remote::{TOKEN_FILE, URL_FILE, read_certificates};
use crate::report::Report;
use anyhow::{Context, Result, anyhow, bail, ensure};
use doorbell_core::address::AllowPrivate;
use doorbell_core::directory;
use doorbell_core::endpoint_url::{PlainHttp, Ports, UrlPolicy};
use doorbell_core::name::Label;
use doorbell_core::places::Places;
use doorbell_core::queue_address::{Connection, Connections, Engine};
use doorbell_core::time::Time;
use doorbell_queue::{Dialer, Inbox, Plain};
use doorbell_server::api::{LoginCode, TokenText, token_hash};
use doorbell_server::clock::Clock;
use doorbell_server::gateway::{self, GatewayConfig};
use doorbell_server::listen::{ListenConfig, TlsFiles, TrustedProxies};
use doorbell_server::moving::{Copy, Moving, Order, Phase};
use doorbell_server::node::{self, NodeConfig, Running};
use doorbell_server::relocate::{self, Restart};
use doorbell_server::roles::Role;
use doorbell_server::sender::{AnySender, Brokers, Sender, SenderOptions};
use doorbell_server::traces::Traces;
use doorbell_store::embedded::{Embedded, Options};
use doorbell_store::postgres::{self, Postgres};
use doorbell_store::{AnyStore, Store as _};
use doorbell_wire::api::v1::login::LoginCodeOut;
use doorbell_wire::api::v1::text::Moment;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::fs;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a stop waits for the tracing collector.
const LAST_SPANS: Duration = Duration::from_secs(2);
pub(crate) async fn run(flags: &Flags, report: Report) -> Result<()> {
    let mut config = Config::from_layers(&flags.layers())?;
    start_log(&config)?;
    for sentence in unknown_variables(variables()) {
        tracing::warn!("{sentence}");
    }
    files::fit(&mut config);
    let mut signals = Signals::hear()?;
    let clock = Clock::real();
    if !config.data_dir.exists() {
        // A first start that fails for a port that is taken leaves nothing behind.
        node::can_listen(&gateway_config(&config, [0; 32])?.node)?;
    }
    make_folder(&config.data_dir)?;
    let store = open_store(&config, &clock).await?;
    let token = root_token(&config.data_dir, &clock)?;
    let sender = AnySender::Real(Arc::new(sender(&config, &clock)?));
    let code = LoginCode::new(clock.dice());
    let mut settings = gateway_config(&config, token_hash(&token))?;
    settings.node.inbox = inbox(&config, &clock)?;
    let exporter = start_traces(&mut settings.node)?;
    settings.first_login = Some(code.clone());
    settings.moving = Moving::new(matches!(*store, AnyStore::Embedded(_)));
    let listeners = settings.node.clone();
    let restart =
        Restart { config: settings.clone(), sender: sender.clone(), clock: clock.clone() };
    let node = gateway::start(settings, Arc::clone(&store), sender, clock).await?;
    greet(&config, &Greeting::new(&config, &listeners, &node, &code), &token, report)?;
    let free = store.stats().await.context("the store does not say how it is")?.bytes_free;
    if let Some(warning) = low(free, config.free_bytes_min) {
        tracing::warn!("{warning}");
    }
    let (node, broken) = watch(&config, (node, store), &restart, &mut signals).await?;
    end(node, broken, signals, (config.drain_delay, config.drain)).await?;
    exporter.end().await;
    Ok(())
}

/// Lets the node serve until it has to end, and says why when the store is broken. When somebody asks for it the store
/// moves meanwhile.
async fn watch(
    config: &Config,
    (mut node, mut store): (Running, Arc<AnyStore>),
    restart: &Restart,
    signals: &mut Signals,
) -> Result<(Running, Option<String>)> {
    let mut moves = Moves::default();
    loop {
        tokio::select! {
            why = node.broken() => return Ok((node, Some(why))),
            () = signals.next() => return Ok((node, None)),
            order = restart.config.moving.ordered() => {
                if let Err(error) = moves.begin(config, &store, order, &restart.config.moving) {
                    restart.config.moving.failed(Phase::Failed, format!("{error:#}"));
                }
            }
            ready = moves.ready(&restart.config.moving) => {
                let (copy, from, options) = ready;
                let changed = relocate::change_over(node, restart, (from, &options), copy).await;
                (node, store) = changed.context(MOVED_NOT_STARTED)?;
                say_moved(&restart.config.moving);
            }
        }
    }
}

const MOVED_NOT_STARTED: &str = "the server could not start again after moving its store; nothing is lost: start it once more \
     (if the store is said to have moved, with store.url set to the database)";

fn say_moved(moving: &Moving) {
    let standing = moving.standing();
    if standing.phase == Phase::Done {
        tracing::warn!(
            to = standing.to.unwrap_or_default(),
            pause = ?standing.pause.unwrap_or_default(),
            "the store has moved: set store.url to the database before the next start"
        );
    }
}

/// A copy under way.
#[derive(Default)]
struct Moves(Option<(JoinHandle<Option<Copy>>, Embedded, postgres::Options)>);

impl Moves {
    fn begin(
        &mut self,
        config: &Config,
        store: &AnyStore,
        order: Order,
        moving: &Moving,
    ) -> Result<()> {
        let AnyStore::Embedded(from) = store else { bail!("the store is in a database already") };
        let mut options = options(config, order.to.reveal().to_owned())?;
        options.bodies = large_bodies(config)?;
        let copy = relocate::copy(from.clone(), options.clone(), order.cancel, moving.clone());
        self.0 = Some((tokio::spawn(copy), from.clone(), options));
        Ok(())
    }

    /// Waits until a copy is ready to change over. Cancel safe.
    async fn ready(&mut self, moving: &Moving) -> (Copy, Embedded, postgres::Options) {
        loop {
            let Some((task, _, _)) = &mut self.0 else { std::future::pending().await };
            let done = task.await.unwrap_or_else(|error| {
                moving.failed(Phase::Failed, format!("the copying broke off: {error}"));
                None
            });
            if let (Some(copy), Some((_, from, options))) = (done, self.0.take()) {
                return (copy, from, options);
            }
        }
    }
}

/// Ctrl-C and the polite kill, heard from when it is made: before anyone is told that the node is ready.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn hear() -> Result<Self> {
        let hear = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    /// Waits for either.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn end(
    node: Running,
    broken: Option<String>,
    mut signals: Signals,
    (delay, drain): (Duration, Duration),
) -> Result<()> {
    if let Some(why) = broken {
        // Nothing more can be promised: what was acknowledged is on the disk, and the next start finds it.
        bail!("the store can promise nothing any more, so the process ends: {why}");
    }
    if !delay.is_zero() {
        node.leave();
        tracing::info!(
            "going on for {delay:?} while /readyz says that this node leaves; Ctrl-C goes on to the stop"
        );
        // A second signal ends the wait.
        drop(tokio::time::timeout(delay, signals.next()).await);
    }
    tracing::info!(
        "stopping: up to {drain:?} for requests and deliveries in flight; Ctrl-C again stops at once"
    );
    let again = async {
        signals.next().await;
        Err(anyhow!("stopped at once; deliveries in flight will be made again at the next start"))
    };
    tokio::select! {
        result = node.stop() => result.context("the store could not be closed")?,
        result = again => result?,
    }
    tracing::info!("stopped; what was not yet delivered goes on at the next start");
    Ok(())
}

/// What takes spans to a collector, and how it is told that there come no more.
struct Exporting(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Exporting {
    /// What was told by now still goes out, if the collector takes it soon.
    async fn end(self) {
        if let Some((end, running)) = self.0 {
            end.send(()).unwrap_or_default();
            drop(tokio::time::timeout(LAST_SPANS, running).await);
        }
    }
}

fn start_traces(node: &mut NodeConfig) -> Result<Exporting> {
    let Some((sampler, collector)) = otel::traces(variable)? else { return Ok(Exporting(None)) };
    tracing::info!(collector = collector.url.host_str(), "traces are sent");
    let (traces, exporter) = Traces::new(sampler, collector);
    node.traces = traces;
    let (end, ends) = oneshot::channel();
    Ok(Exporting(Some((end, tokio::spawn(exporter.run(ends))))))
}

fn start_log(config: &Config) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log_level).context("log.level")?;
    // Colours are for people: a log that goes to a file or another program has none.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if config.log_json {
        log.json().init();
    } else {
        log.with_target(false).init();
    }
    Ok(())
}

pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the data folder {} cannot be made", folder.display()))
}

async fn open_store(config: &Config, clock: &Clock) -> Result<Arc<AnyStore>> {
    if let Some(mut options) = database(config)? {
        options.bodies = large_bodies(config)?;
        let store = Postgres::open(&options).await;
        let store = store.context("store.url: the database cannot be used")?;
        return Ok(Arc::new(AnyStore::from(store)));
    }
    Ok(Arc::new(AnyStore::from(embedded(config, clock)?)))
}

/// The store in the data folder.
pub(crate) fn embedded(config: &Config, clock: &Clock) -> Result<Embedded> {
    let options = Options {
        segment_bytes: config.segment_bytes,
        reserve_bytes: config.free_bytes_min,
        ..Options::at(clock.now())
    };
    Embedded::open(&config.data_dir, options)
        .with_context(|| format!("the store in {} cannot be opened", config.data_dir.display()))
}

/// How to reach the database, where the settings name one.
pub(crate) fn database(config: &Config) -> Result<Option<postgres::Options>> {
    config.store_url.clone().map(|address| options(config, address)).transpose()
}

/// How to reach the database at this address, with the certificates that the settings name.
fn options(config: &Config, address: String) -> Result<postgres::Options> {
    let delivers = config.roles.has(Role::Deliver);
    let mut options =
        postgres::Options { address, extra_roots: Vec::new(), delivers, bodies: None };
    for file in &config.ca_files {
        options.extra_roots.extend(read_certificates(file)?);
    }
    Ok(options)
}

/// The inbox, where the settings name one.
fn inbox(config: &Config, clock: &Clock) -> Result<Option<Arc<Inbox>>> {
    let Some(address) = config.inbox_url.clone() else { return Ok(None) };
    let address = with_aws_credentials(address).context("inbox.url")?;
    ensure!(
        address.engine() != Engine::Sqs || address.credentials().is_some(),
        "inbox.url: set {AWS_KEY} and {AWS_SECRET}"
    );
    let inbox = Inbox::new(&address, &operators_dialer(config, clock)?).context("inbox.url")?;
    tracing::info!("events wait in {} before they get to the store", inbox.shown());
    Ok(Some(Arc::new(inbox)))
}

fn sender(config: &Config, clock: &Clock) -> Result<Sender> {
    let mut options = SenderOptions::new(clock.clone());
    options.allow_private = allow_private(config)?;
    for file in &config.ca_files {
        options.extra_roots.extend(read_certificates(file)?);
    }
    options.brokers = brokers(config, clock, &options.extra_roots)?;
    Sender::new(options).context("delivery.ca_files")
}

/// The message brokers of the settings. The operator names them, so they may be anywhere.
fn brokers(config: &Config, clock: &Clock, roots: &[CertificateDer<'static>]) -> Result<Brokers> {
    let now = {
        let clock = clock.clone();
        move || clock.now()
    };
    let dialer = Dialer::new(Arc::new(Plain), roots, Arc::new(now)).context("delivery.ca_files")?;
    let addresses = config.queues.iter().map(|(name, queue)| {
        let address = queue.address.clone();
        let address = with_aws_credentials(address);
        Ok((name.clone(), address.with_context(|| format!("queues.{name}"))?))
    });
    Ok(Brokers::new(dialer, addresses.collect::<Result<_>>()?))
}

/// What endpoints and sources may know of the message brokers.
fn connections(config: &Config) -> Connections {
    let one = |queue: &Queue| Connection {
        engine: queue.address.engine(),
        tenants: queue.tenants.clone(),
    };
    Connections(config.queues.iter().map(|(name, queue)| (name.clone(), one(queue))).collect())
}

fn allow_private(config: &Config) -> Result<AllowPrivate> {
    AllowPrivate::parse(config.allow_private.iter().map(String::as_str))
        .context("delivery.allow_private")
}

fn gateway_config(config: &Config, root_token: [u8; 32]) -> Result<GatewayConfig> {
    let prefix = Label::parse(&config.prefix).context("ingest.prefix")?;
    let mut node = NodeConfig::at(config.ingest.addr, config.admin.addr, prefix);
    let proxies = config.trusted_proxies.iter().map(|network| network.parse());
    node.proxies =
        TrustedProxies::new(proxies.collect::<Result<_, _>>().context("ingest.trusted_proxies")?);
    node.roles = config.roles.clone();
    node.bodies_in_flight = config.bodies_in_flight;
    node.places = Places::new(config.max_in_flight);
    listener(&mut node.ingest, &config.ingest, config);
    listener(&mut node.admin, &config.admin, config);
    node.ingest.connections = config.max_connections;
    let http = if config.allow_http { PlainHttp::Allowed } else { PlainHttp::Refused };
    let base = config.public_url.as_ref().map(|url| format!("{url}/{}", config.prefix));
    node.limits = directory::Settings {
        urls: UrlPolicy {
            http,
            ports: Ports::default(),
            allow: allow_private(config)?,
            queues: connections(config),
        },
        ingest_url: base,
    };
    Ok(GatewayConfig {
        version: env!("CARGO_PKG_VERSION"),
        node,
        admin_hosts: config.admin_hosts.clone(),
        root_token: Some(root_token),
        first_login: None,
        retention_age: config.retention_age,
        retention_bytes: config.retention_bytes,
        retention_share: config.retention_share,
        moving: Moving::new(false),
    })
}

fn listener(listen: &mut ListenConfig, wanted: &Listener, config: &Config) {
    let tls = wanted.tls.clone();
    listen.tls = tls.map(|(certificates, key)| TlsFiles { certificates, key });
    listen.deadlines.head = config.header_deadline;
    listen.deadlines.idle = config.idle_deadline;
    listen.deadlines.body = config.body_deadline;
    listen.drain = config.drain;
}

/// The operator's own token: made at the first start, kept where only the owner of the data folder can read it.
fn root_token(folder: &Path, clock: &Clock) -> Result<TokenText> {
    let path = folder.join(TOKEN_FILE);
    if let Ok(text) = fs::read_to_string(&path) {
        let token = TokenText::parse(text.trim());
        return token.with_context(|| {
            format!("{} holds no token: remove it to get a new one", path.display())
        });
    }
    let mut random = [0; 32];
    for half in random.chunks_mut(16) {
        half.copy_from_slice(&clock.dice().to_be_bytes());
    }
    let token = TokenText::new(random);
    write_private(&path, token.reveal())?;
    Ok(token)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    writeln!(file, "{text}").with_context(|| format!("{} cannot be written", path.display()))
}

/// What is told of a node that is ready.
struct Greeting {
    ingest: String,
    admin: String,
    /// The address that signs a browser in, once.
    login: String,
    inbox: Option<String>,
}

impl Greeting {
    fn new(config: &Config, listeners: &NodeConfig, node: &Running, code: &LoginCode) -> Self {
        let ingest = gateway::local_url(&listeners.ingest, node.ingest_addr());
        let admin = gateway::local_url(&listeners.admin, node.admin_addr());
        let directory = node.shared().configured.directory();
        let inbox = directory.source_at("inbox");
        let inbox = inbox.map(|_| format!("{ingest}/{}/inbox", config.prefix));
        let code = LoginCodeOut::of(code.reveal(), Moment(Time::EPOCH));
        Self { login: format!("{admin}{}", code.path), ingest, admin, inbox }
    }
}

/// What to say where the disk is so full that no webhook is taken.
fn low(free: u64, least: u64) -> Option<String> {
    (free < least).then(|| {
        format!(
            "the disk has only {} free, less than store.free_bytes_min ({}): EVERY NEW WEBHOOK GETS 503 until there is more; \
             make room, or lower it",
            human_bytes(free),
            human_bytes(least)
        )
    })
}

/// Commands look for the server in the usual data folder, unless told of another.
fn data_dir_flag(config: &Config) -> String {
    let dir = config.data_dir.display();
    if config.data_dir == Path::new(DATA_DIR) {
        String::new()
    } else {
        format!(" --data-dir {dir}")
    }
}

/// The address that opens the dashboard is a key: what is no terminal is a log that others read.
fn dashboard(greeting: &Greeting, from: &str) -> String {
    let Greeting { admin, login, .. } = greeting;
    if std::io::stdout().is_terminal() {
        format!("{login}   (opens once, within 15 minutes)")
    } else {
        format!("{admin}   (`doorbell login{from}` prints an address that opens it)")
    }
}

fn greet(config: &Config, greeting: &Greeting, token: &TokenText, report: Report) -> Result<()> {
    let Greeting { ingest, admin, login, inbox } = greeting;
    write_private(&config.data_dir.join(URL_FILE), admin)?;
    if report.is_json() {
        report.json(&json!({
            "ready": true, "ingest": ingest, "admin": admin, "login": login, "token": token.reveal(),
            "source": inbox, "data": config.data_dir,
        }));
        return Ok(());
    }
    let data = std::path::absolute(&config.data_dir);
    let data = data.as_ref().unwrap_or(&config.data_dir).display();
    if config.log_json {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %ingest, %admin, %data, "ready");
        return Ok(());
    }
    report.text(&format!("doorbell {} is ready\n", env!("CARGO_PKG_VERSION")));
    let everywhere = config.ingest.addr.ip().is_unspecified();
    report.text(&format!(
        "  receives  {}{}",
        inbox.as_deref().unwrap_or(&format!("{ingest}/{}/…", config.prefix)),
        if everywhere { "   (and at every other address of this machine)" } else { "" }
    ));
    report.text(&format!("  dashboard {}", dashboard(greeting, &data_dir_flag(config))));
    report.text(&format!(
        "  API       {admin}/v1   (the token is in {})",
        config.data_dir.join(TOKEN_FILE).display()
    ));
    report.text(&format!("  data      {data}"));
    if !config.allow_private.is_empty() {
        report.text(&format!("  allows    endpoints in {}", config.allow_private.join(", ")));
    }
    if let Some(inbox) = inbox {
        report.text(&format!("\ntry       curl {inbox} -d '{{\"hello\":\"world\"}}'"));
        let doorbell = std::env::current_exe().ok();
        let doorbell = doorbell.map_or("doorbell".into(), |path| path.display().to_string());
        let from = data_dir_flag(config);
        report.text(&format!("          {doorbell} event list{from}   (in this folder)"));
        report.text(&format!(
            "          {doorbell} login{from}        (another address for the dashboard)"
        ));
    }
    tracing::debug!(free = %human_bytes(config.free_bytes_min), "new webhooks get 503 with less free space");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::low;

    #[test]
    fn a_full_disk_is_told_at_the_start() {
        assert_eq!(low(256 << 20, 256 << 20), None);
        let warning = low((256 << 20) - 1, 256 << 20).unwrap_or_default();
        assert!(warning.contains("256.0 MiB") && warning.contains("503"), "{warning}");
    }
}
