//! `doorbell doctor`: looks over the data folder of a stopped server and says what is damaged and what to do.

use super::counted::count;
use crate::config::{Config, Flags, human_bytes};
use crate::remote::TOKEN_FILE;
use crate::report::{Report, Verdict};
use anyhow::{Result, bail};
use doorbell_core::endpoint::Endpoint;
use doorbell_core::source::Source;
use doorbell_core::verifier::{Verifier, signing_warnings, warnings};
use doorbell_server::api::TokenText;
use doorbell_store::embedded::config::Config as Configuration;
use doorbell_store::embedded::{DamageKind, Inspected, OpenError, inspect};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    /// Worth knowing; nothing is lost.
    Note,
    /// Something is damaged or will not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Found {
    grade: Grade,
    what: &'static str,
    detail: String,
    remedy: &'static str,
}

pub(crate) fn run(flags: &Flags, report: Report) -> Result<Verdict> {
    let config = Config::from_layers(&flags.layers())?;
    let folder = &config.data_dir;
    let mut all = vec![found(Grade::Good, "settings", "they can be used")];
    match inspect(folder) {
        Ok(inspected) => journal(&inspected, config.free_bytes_min, &mut all),
        Err(OpenError::Locked(_)) => bail!(
            "a server is running on {}: stop it first, for the doctor reads what it writes; of a running server \
             `curl …/v1/status` and the log tell how it is",
            folder.display()
        ),
        Err(OpenError::Io { path, fault }) if fault.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "{} is not there, so {} is no data folder: name it with --data-dir",
                path.display(),
                folder.display()
            )
        }
        Err(error) => all.push(Found {
            remedy: "Keep a copy of the folder before anything else is tried.",
            ..found(Grade::Bad, "journal", error.to_string())
        }),
    }
    all.extend(configuration(&folder.join("config.sqlite")));
    all.extend(permissions(folder));
    all.extend(token(folder));
    show(folder, &all, report);
    let bad = all.iter().any(|one| one.grade == Grade::Bad);
    Ok(if bad { Verdict::Bad } else { Verdict::Good })
}

fn found(grade: Grade, what: &'static str, detail: impl Into<String>) -> Found {
    Found { grade, what, detail: detail.into(), remedy: "" }
}

fn journal(of: &Inspected, free_min: u64, all: &mut Vec<Found>) {
    let size = human_bytes(of.bytes);
    let (records, segments) = (count(of.records, "record"), count(of.segments, "segment"));
    let detail = format!("{records} in {segments}, {size}, every byte checked");
    all.push(found(Grade::Good, "journal", detail));
    for damage in &of.damage {
        let (grade, what, remedy) = meaning(damage.kind);
        let place =
            format!("{}, byte {}, {} bytes", damage.segment.display(), damage.offset, damage.bytes);
        let detail = format!("{what}: {place}");
        all.push(Found { remedy, ..found(grade, "journal", detail) });
    }
    for damage in &of.index {
        let detail = format!("{}: {}", damage.file.display(), damage.detail);
        let remedy = "Remove the folder index/ of the data folder: the next start builds it again from the journal. Check \
                      the disk (smartctl).";
        all.push(Found { remedy, ..found(Grade::Bad, "index", detail) });
    }
    let free = human_bytes(of.free_bytes);
    all.push(if of.free_bytes < free_min {
        Found {
            remedy: "Make space or lower store.free_bytes_min: until then new webhooks are answered 503.",
            ..found(Grade::Bad, "disk", format!("only {free} are free, and {} must be", human_bytes(free_min)))
        }
    } else {
        found(Grade::Good, "disk", format!("{free} are free"))
    });
}

/// How bad it is, what it is, and what to do.
fn meaning(kind: DamageKind) -> (Grade, &'static str, &'static str) {
    match kind {
        DamageKind::Torn => (
            Grade::Note,
            "a half written end",
            "That is what a crash or power cut leaves of records that were never acknowledged; the next start covers it. \
             Without a crash before it, check the disk: it has lost bytes.",
        ),
        DamageKind::Record => (
            Grade::Bad,
            "damaged records",
            "The disk, or somebody, changed bytes that were durable. What is around them is read and served. Check the \
             disk (smartctl), restore the file from a backup if you have one, or ask the providers to send that time again.",
        ),
        DamageKind::Header => (
            Grade::Bad,
            "a damaged segment header",
            "Its records are read all the same. Check the disk (smartctl).",
        ),
        DamageKind::Unreadable => (
            Grade::Bad,
            "records that cannot be understood",
            "They are whole, so a newer version may have written them: start that version.",
        ),
    }
}

fn configuration(file: &Path) -> Vec<Found> {
    if !file.exists() {
        let detail = "it is not there: the next start makes an empty one";
        let remedy = "If there were sources and endpoints, restore config.sqlite from a backup, or run `doorbell apply`.";
        return vec![Found { remedy, ..found(Grade::Bad, "configuration", detail) }];
    }
    match Configuration::open(file).and_then(|config| config.configuration()) {
        Ok(all) => {
            let size = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
            let sources = count(size(all.sources.len()), "source");
            let detail = format!("{sources}, {}", count(size(all.endpoints.len()), "endpoint"));
            let whole = found(Grade::Good, "configuration", detail);
            let weak_ones = all.sources.iter().flat_map(weak);
            let weak_ones = weak_ones.chain(all.endpoints.iter().flat_map(weak_endpoint));
            std::iter::once(whole).chain(weak_ones).collect()
        }
        Err(error) => vec![Found {
            remedy: "Restore config.sqlite from a backup, or move it away and run `doorbell apply` after the start.",
            ..found(Grade::Bad, "configuration", error.to_string())
        }],
    }
}

fn weak(source: &Source) -> Vec<Found> {
    let (grade, remedy) = match Verifier::new(&source.verification) {
        Ok(_) => {
            (Grade::Note, "Have the provider make a new secret: `doorbell source rotate-secret`.")
        }
        Err(_) => (
            Grade::Bad,
            "Set it up anew: `doorbell source update NAME --secret …`, or `--set options.…`.",
        ),
    };
    let told = warnings(&source.verification).into_iter().map(|warning| Found {
        remedy,
        ..found(grade, "source", format!("{}: {warning}", source.name))
    });
    told.collect()
}

fn weak_endpoint(endpoint: &Endpoint) -> Vec<Found> {
    let told = signing_warnings(&endpoint.secrets).into_iter().map(|warning| Found {
        remedy: "Whoever guesses it can send to your service in Doorbell's name: give your service the new secret.",
        ..found(Grade::Note, "endpoint", format!("{}: {warning}", endpoint.name))
    });
    told.collect()
}

/// The server's own token, when there is one, must be one: a start refuses a damaged one.
fn token(folder: &Path) -> Option<Found> {
    let bytes = fs::read(folder.join(TOKEN_FILE)).ok()?;
    let text = String::from_utf8(bytes).ok();
    if text.and_then(|text| TokenText::parse(text.trim())).is_some() {
        return None;
    }
    let detail = format!("{TOKEN_FILE} holds no token, so the server does not start");
    let remedy = "Remove the file: the next start makes a new token.";
    Some(Found { remedy, ..found(Grade::Bad, "token", detail) })
}

/// Bodies, headers and secrets are for the folder's owner only.
fn permissions(folder: &Path) -> Vec<Found> {
    let names = ["", "journal", "store", "config.sqlite", TOKEN_FILE];
    let mut all = Vec::new();
    for path in
        names.map(|name| if name.is_empty() { folder.to_owned() } else { folder.join(name) })
    {
        let Ok(about) = fs::metadata(&path) else { continue };
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let detail = format!("others may use {} (mode {mode:03o})", path.display());
            let remedy =
                "Take it from them: chmod -R go= on the folder; it holds secrets and payloads.";
            all.push(Found { remedy, ..found(Grade::Note, "permissions", detail) });
        }
    }
    if all.is_empty() {
        all.push(found(Grade::Good, "permissions", "only the owner may read it"));
    }
    all
}

fn show(folder: &Path, all: &[Found], report: Report) {
    let word = |grade: Grade| match grade {
        Grade::Good => "good",
        Grade::Note => "note",
        Grade::Bad => "bad",
    };
    if report.is_json() {
        let rows = all.iter().map(|one| {
            json!({"grade": word(one.grade), "what": one.what, "detail": one.detail, "remedy": one.remedy})
        });
        report.json(&json!({ "data_dir": folder, "findings": rows.collect::<Vec<_>>() }));
        return;
    }
    for one in all {
        report.text(&format!("{:<4}  {:<13}  {}", word(one.grade), one.what, one.detail));
        if !one.remedy.is_empty() {
            report.text(&format!("                     {}", one.remedy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::id::{SourceId, TenantId};
    use doorbell_core::time::Time;
    use doorbell_wire::api::v1::source::SourceIn;
    use doorbell_wire::problem::Faults;

    #[test]
    fn a_folder_is_looked_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.sqlite");
        let configuration = |file| configuration(file).remove(0);
        assert_eq!(configuration(&file).grade, Grade::Bad, "it is missing");
        Configuration::open(&file).unwrap();
        let whole = configuration(&file);
        assert_eq!((whole.grade, &whole.detail[..]), (Grade::Good, "0 sources, 0 endpoints"));
        fs::write(&file, "no database at all, but some text that is long enough").unwrap();
        assert_eq!(configuration(&file).grade, Grade::Bad);

        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let told = permissions(dir.path());
        assert!(told.len() == 1 && told[0].detail.contains("755"), "{told:?}");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(permissions(dir.path())[0].grade, Grade::Good);
    }

    #[test]
    fn a_weak_secret_is_noted() {
        let body = json!({"name": "hook", "provider": "github", "secrets": ["a long enough secret", "changeme"]});
        let body: SourceIn = serde_json::from_value(body).unwrap();
        let (id, now) = (SourceId::new(Time::EPOCH, 1), Time::EPOCH);
        let source = body.read(id, TenantId::DEFAULT, now, &mut Faults::new()).unwrap();
        let noted = weak(&source);
        assert!(noted.len() == 1 && noted[0].grade == Grade::Note, "{noted:?}");
        assert!(noted[0].detail.starts_with("hook: secret number 2 is weak: "), "{noted:?}");
        // As an older version may have left it.
        let mut dead = source;
        dead.verification.provider = "onfleet".into();
        let found = weak(&dead);
        assert!(found.len() == 1 && found[0].grade == Grade::Bad, "{found:?}");
        assert!(found[0].detail.contains("answers 503"), "{found:?}");
    }

    #[test]
    fn damage_and_a_full_disk_are_told_with_what_to_do() {
        let damage = doorbell_store::embedded::Damage {
            segment: "journal/1.seg".into(),
            offset: 64,
            bytes: 9,
            kind: DamageKind::Record,
        };
        let of =
            Inspected { damage: vec![damage], records: 1, free_bytes: 5, ..Inspected::default() };
        let mut all = Vec::new();
        journal(&of, 6, &mut all);
        let bad: Vec<&Found> = all.iter().filter(|one| one.grade == Grade::Bad).collect();
        assert!(bad[0].detail.contains("1.seg, byte 64, 9 bytes") && !bad[0].remedy.is_empty());
        assert!(bad.len() == 2 && bad[1].what == "disk" && bad[1].remedy.contains("503"));
    }
}
