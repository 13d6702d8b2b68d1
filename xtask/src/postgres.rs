//! A `PostgreSQL` of one's own: in a temporary folder, on a free port, gone when it is dropped. Where the server's
//! programs are missing they are installed from Debian's packages.

use crate::place;
use crate::still::Patience;
use anyhow::{Context, Result, bail, ensure};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take, recovery included.
const START_MAX: Duration = Duration::from_secs(60);

/// Whether the server syncs: without, tests are quicker and a power cut loses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Yes,
    No,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    sync: Sync,
    /// Who runs it: the server refuses to run as root.
    user: Option<(u32, u32)>,
    server: Option<Child>,
}

impl Cluster {
    /// One that does not run, in a folder of its own.
    fn new(sync: Sync, port: u16) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("doorbell-postgres-").tempdir()?;
        let user = other_user()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        Ok(Self { folder, programs, port, sync, user, server: None })
    }

    /// A new, empty one that answers.
    pub(crate) fn start(sync: Sync) -> Result<Self> {
        let mut cluster = Self::new(sync, free_port()?)?;
        let data = cluster.data();
        let mut init = cluster.command("initdb");
        init.args([
            "--auth",
            "trust",
            "--username",
            "doorbell",
            "--encoding",
            "UTF8",
            "--no-sync",
            "--pgdata",
        ]);
        init.arg(data).stdout(Stdio::null());
        place::run(&mut init)?;
        cluster.run()?;
        Ok(cluster)
    }

    /// A standby of it at that port, without whose word this one confirms nothing from now on.
    pub(crate) fn standby(&self, port: u16) -> Result<Self> {
        let mut standby = Self::new(self.sync, port)?;
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint", "fast", "--wal-method", "stream"]);
        copy.args(["--no-sync", "--host", "127.0.0.1", "--username", "doorbell"]);
        copy.args(["--port", &self.port.to_string(), "--pgdata"]).arg(standby.data());
        place::run(&mut copy)?;
        standby.run()?;
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.sql("SELECT pg_reload_conf()")?;
        let begun = Instant::now();
        while self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")? != "1"
        {
            ensure!(begun.elapsed() < START_MAX, "no standby follows; {}", standby.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(standby)
    }

    /// Makes a standby the one that is written to.
    pub(crate) fn promote(&self) -> Result<()> {
        let promoted = self.sql("SELECT pg_promote()")?;
        ensure!(promoted == "t", "pg_promote: {promoted}; {}", self.log_tail());
        Ok(())
    }

    /// Where it listens.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://…` of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://doorbell@127.0.0.1:{}/postgres", self.port)
    }

    /// SIGKILL to the server; its children notice and end too.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    /// Starts it again after [`Cluster::kill`].
    pub(crate) fn run(&mut self) -> Result<()> {
        let patience = Patience::of(START_MAX);
        loop {
            let mut server = self.command("postgres");
            let sync = if self.sync == Sync::Yes { "on" } else { "off" };
            server.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
            for setting in
                ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"]
            {
                server.args(["-c", setting]);
            }
            server.args([
                "-c",
                &format!("fsync={sync}"),
                "-c",
                &format!("full_page_writes={sync}"),
            ]);
            let log = std::fs::File::options().create(true).append(true).open(self.log())?;
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            let mut child = server.spawn().context("cannot start postgres")?;
            match self.wait(&mut child, &patience) {
                Ok(()) => {
                    self.server = Some(child);
                    return Ok(());
                }
                // After a SIGKILL the old one's children may still hold the shared memory for a moment.
                Err(fault) if !patience.lasts() => return Err(fault),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Until it takes connections.
    fn wait(&self, child: &mut Child, patience: &Patience) -> Result<()> {
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("postgres ended: {status}; {}", self.log_tail());
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.sql("SELECT 1").is_ok()
            {
                return Ok(());
            }
            ensure!(patience.lasts(), "postgres does not answer; {}", self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a statement and gives back what it prints, without head and frame.
    pub(crate) fn sql(&self, statement: &str) -> Result<String> {
        self.sql_at(&self.url(), statement)
    }

    /// The same, in a database of another address.
    pub(crate) fn sql_at(&self, url: &str, statement: &str) -> Result<String> {
        let mut psql = Command::new(self.program("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--command",
            statement,
        ]);
        let output = psql.arg(url).stdin(Stdio::null()).output().context("cannot start psql")?;
        ensure!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// CPU seconds that the server has used so far, with all its processes, those that have ended too.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        Ok(self.processes()?.into_iter().map(|(_, ticks)| ticks).sum::<u64>() as f64 / 100.0)
    }

    /// Its processes.
    pub(crate) fn pids(&self) -> Result<Vec<u32>> {
        Ok(self.processes()?.into_iter().map(|(pid, _)| pid).collect())
    }

    /// Its processes, and the ticks of CPU that each has used; the first process's with those of the ones that have ended.
    fn processes(&self) -> Result<Vec<(u32, u64)>> {
        let parent = self.server.as_ref().context("the server does not run")?.id().to_string();
        let mut found = Vec::new();
        for process in std::fs::read_dir("/proc")?.flatten() {
            let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
            // The name in parentheses may hold anything; behind it, ppid is the second field, the times are 12 to 15.
            let Some((head, rest)) = stat.rsplit_once(')') else { continue };
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let pid = head.split(' ').next().unwrap_or_default();
            let is_parent = pid == parent;
            if is_parent || fields.get(1) == Some(&parent.as_str()) {
                let own = fields.get(11..if is_parent { 15 } else { 13 }).unwrap_or_default();
                let ticks = own.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
                found.push((pid.parse()?, ticks));
            }
        }
        Ok(found)
    }

    /// Where a program of the server's is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A program of the server's, as its user.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.program(program));
        command.current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The newest server's programs.
fn programs() -> Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    ensure!(
        place::is_installed("apt-get"),
        "the tests want PostgreSQL 15 or later: install its server"
    );
    place::run(Command::new("apt-get").args(["update", "--quiet", "--quiet"]))?;
    place::run(Command::new("apt-get").args([
        "install",
        "--yes",
        "--quiet",
        "--quiet",
        "postgresql",
    ]))?;
    installed().context("PostgreSQL was installed, and its programs are not in /usr/lib/postgresql")
}

fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(version, bin)| *version >= 15 && bin.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        let bin = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        bin.join("initdb").exists().then_some(bin)
    };
    found.pop().map(|(_, bin)| bin).or_else(on_path)
}

/// Where we are root: the user and group of `postgres`, else of `nobody`.
fn other_user() -> Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    };
    let found = of("postgres").or_else(|| of("nobody"));
    Ok(Some(found.context("there is no user postgres or nobody to run the server as")?))
}
