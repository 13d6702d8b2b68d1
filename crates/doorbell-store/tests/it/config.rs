//! The configuration's file: what survives, who may read it, and what is refused. What every home promises of its
//! configuration stands in the contract.

use doorbell_core::configuration::{Change, Resource, ResourceId, Tenant};
use doorbell_core::id::TenantId;
use doorbell_core::time::Time;
use doorbell_store::StoreError;
use doorbell_store::embedded::config::{Config, ConfigError};
use std::fs;
use tempfile::TempDir;

fn tenant(number: u64, uid: &str) -> Tenant {
    let id = TenantId::new(Time::from_ms(1_000), u128::from(number));
    Tenant { id, uid: uid.to_owned(), name: uid.to_uppercase(), created: Time::from_ms(5) }
}

fn put(tenant: &Tenant) -> Change {
    Change::Put(Resource::Tenant(tenant.clone()))
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn changes_are_there_when_it_is_opened_again() {
    let dir = dir();
    let file = dir.path().join("config.db");
    let (a, b) = (tenant(1, "a"), tenant(2, "b"));
    let config = Config::open(&file).unwrap();
    config.configure(&[put(&b), put(&a)]).unwrap();
    config.configure(&[Change::Delete(ResourceId::Tenant(b.id))]).unwrap();
    let configuration = config.configuration().unwrap();
    assert_eq!(configuration.tenants.get(1..), Some(&[a][..]));
    drop(config);
    assert_eq!(Config::open(&file).unwrap().configuration().unwrap(), configuration);
}

#[test]
fn names_may_be_swapped_but_not_shared() {
    let dir = dir();
    let config = Config::open(&dir.path().join("config.db")).unwrap();
    config.configure(&[put(&tenant(1, "a")), put(&tenant(2, "b"))]).unwrap();
    config.configure(&[put(&tenant(1, "b")), put(&tenant(2, "a"))]).unwrap();
    let before = config.configuration().unwrap();
    assert_eq!(
        before.tenants.iter().map(|t| t.uid.as_str()).collect::<Vec<_>>(),
        ["default", "b", "a"]
    );
    let refused = config.configure(&[put(&tenant(4, "c")), put(&tenant(3, "a"))]).unwrap_err();
    assert!(matches!(StoreError::from(refused), StoreError::Conflict(_)));
    assert_eq!(config.configuration().unwrap(), before);
}

#[cfg(unix)]
#[test]
fn nobody_but_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = dir();
    let config = Config::open(&dir.path().join("config.db")).unwrap();
    config.configure(&[put(&tenant(1, "a"))]).unwrap();
    for file in fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
    }
}

#[test]
fn a_file_of_another_program_or_a_later_day_is_left_alone() {
    let dir = dir();
    let file = dir.path().join("newer.db");
    drop(Config::open(&file).unwrap());
    let db = rusqlite::Connection::open(&file).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    let error = Config::open(&file).unwrap_err();
    assert!(matches!(error, ConfigError::Newer { found: 2 }), "{error:?}");
    assert!(error.to_string().contains("newer Doorbell"));

    let file = dir.path().join("foreign.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(db);
    assert!(matches!(Config::open(&file).unwrap_err(), ConfigError::Foreign));

    let file = dir.path().join("noise.db");
    fs::write(&file, "this is no database, and long enough to be looked at ".repeat(50)).unwrap();
    let error = StoreError::from(Config::open(&file).unwrap_err());
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

#[test]
fn a_damaged_document_is_named_and_not_quoted() {
    let dir = dir();
    let file = dir.path().join("config.db");
    drop(Config::open(&file).unwrap());
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute("UPDATE resources SET document = replace(document, '\"v\":1', '\"v\":7')", [])
        .unwrap();
    drop(db);
    let error = Config::open(&file).unwrap().configuration().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the stored tenant {} cannot be read: it has version 7; this Doorbell reads up to 1",
            TenantId::DEFAULT
        )
    );
}
