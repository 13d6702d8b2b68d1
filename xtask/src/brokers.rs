//! Message brokers of one's own: each in a temporary folder, on a free port, gone when it is dropped. Where a server is
//! missing it is installed from Debian's packages; Amazon SQS is played by `moto`, from `PyPI`.

use crate::place::{self, run};
use crate::postgres::{Cluster, Sync};
use crate::still::Patience;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a start may take.
const START_MAX: Duration = Duration::from_secs(90);
/// The stand-in for SQS, at the version that the tests were written with.
const MOTO: &str = "moto[server]==5.2.5";
const MOTO_REGION: &str = "us-east-1";

/// A kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `RabbitMQ`.
    Amqp,
    /// NATS with `JetStream`.
    Nats,
    /// Amazon SQS, played by `moto`.
    Sqs,
    /// Redis.
    Redis,
    /// MQTT: Mosquitto.
    Mqtt,
}

impl Kind {
    /// Which Debian package brings it, and its program.
    const fn server(self) -> (&'static str, &'static str) {
        match self {
            Self::Amqp => ("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"),
            Self::Nats => ("nats-server", "nats-server"),
            Self::Sqs => ("python3-venv", "python3"),
            Self::Redis => ("redis-server", "redis-server"),
            Self::Mqtt => ("mosquitto", "mosquitto"),
        }
    }

    /// How tests hear of it.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Amqp => "DOORBELL_TEST_AMQP",
            Self::Nats => "DOORBELL_TEST_NATS",
            Self::Sqs => "DOORBELL_TEST_SQS",
            Self::Redis => "DOORBELL_TEST_REDIS",
            Self::Mqtt => "DOORBELL_TEST_MQTT",
        }
    }
}

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Broker {
    kind: Kind,
    folder: TempDir,
    port: u16,
    /// Ports beside the one that is spoken to.
    others: [u16; 2],
    program: PathBuf,
    server: Option<Child>,
    /// Erlang's own register of nodes.
    register: Option<Child>,
}

impl Broker {
    /// Starts one of this kind, empty; it answers.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        let mut broker = Self::begin(kind)?;
        broker.wait()?;
        Ok(broker)
    }

    /// Starts it without waiting for it.
    fn begin(kind: Kind) -> Result<Self> {
        let program = installed(kind)?;
        let folder = tempfile::Builder::new().prefix("doorbell-broker-").tempdir()?;
        let listeners = [free()?, free()?, free()?];
        let [port, one, other] = [port(&listeners[0])?, port(&listeners[1])?, port(&listeners[2])?];
        drop(listeners);
        let (server, register) = (None, None);
        let mut broker =
            Self { kind, folder, port, others: [one, other], program, server, register };
        broker.spawn()?;
        Ok(broker)
    }

    /// Where it is, without what of it is meant.
    pub(crate) fn url(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Amqp => format!("amqp://127.0.0.1:{port}/"),
            Kind::Nats => format!("nats://127.0.0.1:{port}/"),
            Kind::Sqs => format!("sqs+http://test:test@127.0.0.1:{port}/123456789012"),
            Kind::Redis => format!("redis://127.0.0.1:{port}/"),
            Kind::Mqtt => format!("mqtt://127.0.0.1:{port}/"),
        }
    }

    /// An inbox of that name.
    pub(crate) fn inbox(&self, name: &str) -> Result<String> {
        let url = self.url();
        Ok(match self.kind {
            Kind::Amqp => format!("{url}?queue={name}"),
            Kind::Nats => format!("{url}{name}?stream={name}"),
            Kind::Sqs => {
                self.make_queues(&[&format!("{name}.fifo")])?;
                format!("{url}/{name}.fifo?region={MOTO_REGION}")
            }
            Kind::Redis | Kind::Mqtt => bail!("{:?} is no inbox", self.kind),
        })
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            // The server of RabbitMQ is a child of its script.
            let group = format!("-{}", server.id());
            run(Command::new("kill").args(["-KILL", "--", &group]))?;
            server.wait()?;
        }
        // Only the script was waited for: what it started takes connections until it is gone, and who finds it would take it for
        // the next one.
        let patience = Patience::of(START_MAX);
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            ensure!(patience.lasts(), "{:?} was killed and still takes connections", self.kind);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Starts it again on what it had.
    pub(crate) fn run(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait()
    }

    fn spawn(&mut self) -> Result<()> {
        let mut command = match self.kind {
            Kind::Amqp => self.rabbit()?,
            Kind::Nats => self.nats(),
            Kind::Sqs => self.moto(),
            Kind::Redis => self.redis(),
            Kind::Mqtt => self.mosquitto()?,
        };
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log).process_group(0);
        let started = command.spawn().with_context(|| format!("cannot start {:?}", self.kind))?;
        self.server = Some(started);
        Ok(())
    }

    fn rabbit(&mut self) -> Result<Command> {
        let folder = self.folder.path();
        let [register, distribution] = self.others;
        if self.register.is_none() {
            let mut epmd = Command::new("epmd");
            epmd.args(["-port", &register.to_string(), "-address", "127.0.0.1"]);
            epmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.register = Some(epmd.spawn().context("cannot start epmd")?);
        }
        std::fs::write(folder.join("plugins"), "[].")?;
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nlog.console = true\nlog.console.level = warning\n\
             vm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 50MB\n",
            self.port
        );
        std::fs::write(folder.join("rabbitmq.conf"), settings)?;
        let mut command = Command::new(&self.program);
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", register.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("doorbell-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("logs"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"));
        Ok(command)
    }

    fn nats(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--store_dir").arg(self.folder.path().join("data"));
        command
    }

    fn redis(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command
    }

    fn mosquitto(&self) -> Result<Command> {
        let settings = self.folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             autosave_interval 1\nmax_queued_messages 0\nuser root\n",
            self.port,
            self.folder.path().display()
        );
        std::fs::write(&settings, text)?;
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(settings);
        Ok(command)
    }

    fn moto(&self) -> Command {
        let mut command = Command::new(self.program.with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]);
        command
    }

    /// Makes queues by AWS's own library.
    fn make_queues(&self, names: &[&str]) -> Result<()> {
        let script = "
import boto3, sys
sqs = boto3.client('sqs', endpoint_url=sys.argv[1], region_name=sys.argv[2], aws_access_key_id='test', aws_secret_access_key='test')
for name in sys.argv[3:]:
    sqs.create_queue(QueueName=name, Attributes={'FifoQueue': 'true'} if name.endswith('.fifo') else {})
";
        let mut python = Command::new(&self.program);
        python.args(["-c", script, &format!("http://127.0.0.1:{}", self.port), MOTO_REGION]);
        run(python.args(names))
    }

    /// Until it answers.
    fn wait(&mut self) -> Result<()> {
        let patience = Patience::of(START_MAX);
        loop {
            if let Some(status) = self.server.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{:?} ended: {status}; {}", self.kind, self.log_tail());
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            ensure!(patience.lasts(), "{:?} does not answer; {}", self.kind, self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.kill());
        if let Some(mut register) = self.register.take() {
            drop(register.kill());
            drop(register.wait());
        }
    }
}

/// All brokers, for tests.
#[derive(Debug)]
pub(crate) struct Brokers(Vec<Broker>);

impl Brokers {
    /// Starts them beside each other.
    pub(crate) fn start(kinds: &[Kind]) -> Result<Self> {
        let mut all = kinds.iter().map(|kind| Broker::begin(*kind)).collect::<Result<Vec<_>>>()?;
        all.iter_mut().try_for_each(Broker::wait)?;
        for moto in all.iter().filter(|broker| broker.kind == Kind::Sqs) {
            moto.make_queues(&["tests", "tests.fifo", "inbox.fifo", "inbox-dead"])?;
        }
        Ok(Self(all))
    }

    /// Tells a command where they are.
    pub(crate) fn tell(&self, command: &mut Command) {
        for broker in &self.0 {
            command.env(broker.kind.variable(), broker.url());
        }
    }
}

/// What to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    /// A `PostgreSQL` too (`DOORBELL_TEST_POSTGRES`).
    #[arg(long)]
    postgres: bool,
    /// The command, which is told where the brokers are by `DOORBELL_TEST_AMQP` and so on.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs a command with brokers beside it.
pub(crate) fn beside(flags: &Flags) -> Result<()> {
    let kinds = if flags.only.is_empty() { Kind::value_variants() } else { &flags.only };
    let brokers = Brokers::start(kinds)?;
    let database = flags.postgres.then(|| Cluster::start(Sync::No)).transpose()?;
    let (program, arguments) = flags.command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    brokers.tell(&mut command);
    if let Some(database) = &database {
        command.env("DOORBELL_TEST_POSTGRES", database.url());
    }
    run(&mut command)
}

fn free() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0")?)
}

fn port(listener: &TcpListener) -> Result<u16> {
    Ok(listener.local_addr()?.port())
}

/// The program of a server; installed where it is missing.
fn installed(kind: Kind) -> Result<PathBuf> {
    let (package, program) = kind.server();
    if kind == Kind::Sqs {
        return moto();
    }
    if found(program).is_none() {
        ensure!(place::is_installed("apt-get"), "the tests want {kind:?}: install {package}");
        run(Command::new("apt-get").args(["update", "--quiet", "--quiet"]))?;
        // A server that is installed is not to be started for everybody.
        let mut install = Command::new("apt-get");
        install.args(["install", "--yes", "--quiet", "--quiet", package]).env("RUNLEVEL", "1");
        run(&mut install)?;
    }
    found(program).with_context(|| format!("{package} was installed, and there is no {program}"))
}

fn found(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|path| path.exists());
    }
    let folders = std::env::var("PATH").unwrap_or_default();
    let folders = folders.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    folders.map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

/// The Python of an environment that has `moto`.
fn moto() -> Result<PathBuf> {
    let folder = place::work_folder("moto")?;
    let (venv, stamp) = (folder.join("venv"), folder.join("installed"));
    let python = venv.join("bin/python");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == MOTO) && python.exists() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = Command::new(&python);
    run(pip.args(["-m", "pip", "install", "--quiet", MOTO])).context("moto from PyPI")?;
    std::fs::write(stamp, MOTO)?;
    Ok(python)
}
