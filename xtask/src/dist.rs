//! `cargo xtask dist deb`: the binary as a package for Debian and Ubuntu, with its unit, its settings and what it takes to
//! watch it. The binary is static, so one package serves all their releases.

use crate::place::{self, run};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is made.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Product {
    /// A package for Debian and Ubuntu, in `target/dist`.
    Deb(Flags),
}

/// How.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// How the binary is built: `dev` only to try out the package.
    #[arg(long, value_enum, default_value = "dist")]
    profile: Profile,
    /// A binary that is there already; it must need no shared libraries, as `deploy/docker/build-static.sh` makes it.
    #[arg(long, conflicts_with = "profile")]
    binary: Option<PathBuf>,
    /// The folder that the package is put into, instead of `target/dist`.
    #[arg(long)]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    Dev,
    Dist,
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Dist => "dist",
        }
    }
}

/// Where each file of the repository goes.
const FILES: [(&str, &str); 11] = [
    ("deploy/systemd/doorbell.service", "usr/lib/systemd/system/doorbell.service"),
    ("deploy/debian/doorbell.toml", "etc/doorbell/doorbell.toml"),
    ("deploy/prometheus/alerts.yml", "usr/share/doorbell/prometheus/alerts.yml"),
    ("deploy/prometheus/prometheus.yml", "usr/share/doorbell/prometheus/prometheus.yml"),
    ("deploy/grafana/doorbell.json", "usr/share/doorbell/grafana/doorbell.json"),
    ("docs/operations.md", "usr/share/doc/doorbell/operations.md"),
    ("docs/configuration.md", "usr/share/doc/doorbell/configuration.md"),
    ("docs/metrics.md", "usr/share/doc/doorbell/metrics.md"),
    ("CHANGELOG.md", "usr/share/doc/doorbell/changelog.md"),
    ("LICENSE-MIT", "usr/share/doc/doorbell/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/doorbell/LICENSE-APACHE"),
];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Doorbell

Files: *
Copyright: 2026 The Doorbell authors
License: MIT or Apache-2.0
 The texts are in /usr/share/doc/doorbell/LICENSE-MIT and LICENSE-APACHE.
";

pub(crate) fn make(product: Product) -> Result<()> {
    match product {
        Product::Deb(flags) => println!("{}", deb(&flags)?.display()),
    }
    Ok(())
}

fn deb(flags: &Flags) -> Result<PathBuf> {
    let architecture = architecture()?;
    let dist = flags.into.clone().map_or_else(|| place::work_folder("dist"), Ok)?;
    let tree = dist.join("deb");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    binary(flags, &tree.join("usr/bin/doorbell"))?;
    for (from, to) in FILES {
        put(&tree, to, &fs::read(place::root().join(from)).context(from)?, 0o644)?;
    }
    put(&tree, "usr/share/doc/doorbell/copyright", COPYRIGHT.as_bytes(), 0o644)?;
    let control = control(&version()?, &architecture, installed_kib(&tree)?);
    put(&tree, "DEBIAN/control", control.as_bytes(), 0o644)?;
    put(&tree, "DEBIAN/conffiles", b"/etc/doorbell/doorbell.toml\n", 0o644)?;
    for name in SCRIPTS {
        let text = fs::read(place::root().join("deploy/debian").join(name)).context(name)?;
        put(&tree, &format!("DEBIAN/{name}"), &text, 0o755)?;
    }
    let package = dist.join(format!("doorbell_{}_{architecture}.deb", version()?));
    let mut build = Command::new("dpkg-deb");
    run(build.args(["--root-owner-group", "-Zxz", "--build"]).args([&tree, &package]))?;
    Ok(package)
}

/// The binary that is packed: the given one, or one that is built for it.
fn binary(flags: &Flags, to: &Path) -> Result<()> {
    let Some(given) = &flags.binary else {
        let script = place::root().join("deploy/docker/build-static.sh");
        let mut build = Command::new(script);
        return run(build.arg(to).arg(flags.profile.name()).current_dir(place::root()));
    };
    let wanted = Command::new("ldd").arg(given).output().context("ldd")?;
    let wanted = String::from_utf8_lossy(&wanted.stdout).into_owned();
    ensure!(!wanted.contains("=>"), "{} wants shared libraries:\n{wanted}", given.display());
    let folder = to.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder)?;
    fs::copy(given, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn put(tree: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let path = tree.join(name);
    let folder = path.parent().context("a file needs a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn control(version: &str, architecture: &str, kib: u64) -> String {
    format!(
        "Package: doorbell
Version: {version}
Architecture: {architecture}
Maintainer: The authors of Doorbell <doorbell@localhost>
Installed-Size: {kib}
Section: web
Priority: optional
Recommends: systemd
Description: webhook gateway that receives, keeps and delivers
 Doorbell verifies and keeps webhooks before it acknowledges them, and delivers
 them with retries, in order where asked, one slow endpoint holding up nobody
 else. It sends webhooks for an application in the same way.
"
    )
}

/// Of the binary's package.
fn version() -> Result<String> {
    let text = fs::read_to_string(place::root().join("crates/doorbell/Cargo.toml"))?;
    let manifest: toml::Table = text.parse()?;
    let version = manifest.get("package").and_then(|package| package.get("version"));
    Ok(version.and_then(toml::Value::as_str).context("no version")?.to_owned())
}

fn architecture() -> Result<String> {
    let told = Command::new("dpkg").arg("--print-architecture").output().context("dpkg")?;
    ensure!(told.status.success(), "dpkg does not say for which architecture it is");
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}

fn installed_kib(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() {
            installed_kib(&entry.path())? << 10
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes.div_ceil(1024))
}
