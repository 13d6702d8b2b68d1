//! What was written where: defaults, then the file, then the environment, then flags.

use super::keys::{KEYS, Key};
use super::value::expand_variables;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => write!(f, "flag, --{name}"),
        }
    }
}

/// A key's value as text, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) values: Vec<String>,
    pub(crate) place: Place,
}

/// A table `[queues.NAME]`: a connection to a message broker.
#[derive(Debug, Clone)]
pub(crate) struct QueueTable {
    pub(crate) url: String,
    pub(crate) tenants: Vec<String>,
    pub(crate) place: Place,
}

/// The section of the connections to message brokers.
pub(crate) const QUEUES: &str = "queues";

/// All keys with their values, and what could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    /// The tables `[queues.NAME]`, in the order of their names.
    pub(crate) queues: BTreeMap<String, QueueTable>,
    pub(crate) errors: Vec<String>,
}

impl Layers {
    /// Reads all layers. `variable` looks into the environment; `flags` are `(key path, values)`.
    pub(crate) fn read(
        file: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, Vec<String>)],
    ) -> Self {
        let mut layers = Self::default();
        for key in KEYS {
            let values =
                if key.default.is_empty() { Vec::new() } else { vec![key.default.to_owned()] };
            layers.settings.insert(key.path, Setting { values, place: Place::Default });
        }
        if let Some(path) = file {
            layers.read_file(path, &variable);
        }
        for key in KEYS {
            if let Some(text) = variable(&key.variable()) {
                layers.set(key, split_list(key, &text), Place::Variable(key.variable()));
            }
        }
        for (path, values) in flags {
            if let Some(key) = KEYS.iter().find(|key| key.path == *path) {
                let values = values.iter().flat_map(|text| split_list(key, text)).collect();
                layers.set(key, values, Place::Flag(key.flag()));
            }
        }
        layers
    }

    pub(crate) fn setting(&self, path: &str) -> Option<&Setting> {
        self.settings.get(path)
    }

    fn set(&mut self, key: &Key, values: Vec<String>, place: Place) {
        self.settings.insert(key.path, Setting { values, place });
    }

    fn read_file(&mut self, path: &Path, variable: &impl Fn(&str) -> Option<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.errors.push(format!(
                    "{}: {error}; check the path given with --config",
                    path.display()
                ));
                return;
            }
        };
        match DeTable::parse(&text) {
            Ok(table) => {
                self.read_table("", table.get_ref(), &File { path, text: &text }, variable);
            }
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                self.errors.push(format!("{}, line {line}: {}", path.display(), error.message()));
            }
        }
    }

    fn read_table(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        file: &File<'_>,
        variable: &impl Fn(&str) -> Option<String>,
    ) {
        for (name, value) in table {
            let written = name.get_ref();
            let path = if section.is_empty() {
                written.to_string()
            } else {
                format!("{section}.{written}")
            };
            let line = line_of(file.text, name.span().start);
            if let DeValue::Table(inner) = value.get_ref()
                && section.is_empty()
            {
                if path == QUEUES {
                    self.read_queues(inner, file, variable);
                    continue;
                }
                self.read_table(&path, inner, file, variable);
                continue;
            }
            let place = Place::File { path: file.path.to_owned(), line };
            match KEYS.iter().find(|key| key.path == path) {
                Some(key) => self.read_value(key, value, place, variable),
                None => self.errors.push(unknown(&path, &place)),
            }
        }
    }

    /// The tables of the connections to message brokers: their names are the operator's, so they stand in no list of keys.
    fn read_queues(
        &mut self,
        tables: &DeTable<'_>,
        file: &File<'_>,
        variable: &impl Fn(&str) -> Option<String>,
    ) {
        for (name, value) in tables {
            let path = format!("{QUEUES}.{}", name.get_ref());
            let line = line_of(file.text, name.span().start);
            let place = Place::File { path: file.path.to_owned(), line };
            match queue_table(value.get_ref(), &place, variable) {
                Ok(table) => drop(self.queues.insert(name.get_ref().to_string(), table)),
                Err(why) => self.errors.push(format!("{path} ({place}): {why}")),
            }
        }
    }

    fn read_value(
        &mut self,
        key: &Key,
        value: &Spanned<DeValue<'_>>,
        place: Place,
        variable: &impl Fn(&str) -> Option<String>,
    ) {
        let texts: Option<Vec<String>> = match value.get_ref() {
            DeValue::Array(items) if key.many => {
                items.iter().map(|item| scalar(item.get_ref())).collect()
            }
            one @ (DeValue::Array(_)
            | DeValue::Table(_)
            | DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)) => scalar(one).map(|text| vec![text]),
        };
        let Some(texts) = texts else {
            self.errors.push(format!(
                "{} ({place}): wants {}",
                key.path,
                if key.many { "a list" } else { "one value" }
            ));
            return;
        };
        match texts.iter().map(|text| expand_variables(text, variable)).collect() {
            Ok(values) => self.set(key, values, place),
            Err(why) => self.errors.push(format!("{} ({place}): {why}", key.path)),
        }
    }
}

fn queue_table(
    value: &DeValue<'_>,
    place: &Place,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<QueueTable, String> {
    let DeValue::Table(table) = value else {
        return Err("wants a table with url, and tenants where others than the default one use it"
            .to_owned());
    };
    let (mut url, mut tenants) = (None, Vec::new());
    for (name, value) in table {
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("url", DeValue::String(text)) => url = Some(expand_variables(text, variable)?),
            ("tenants", DeValue::Array(items)) => {
                let texts: Option<Vec<_>> =
                    items.iter().map(|item| scalar(item.get_ref())).collect();
                tenants = texts.ok_or("tenants wants a list of names")?;
            }
            ("url", _) => return Err("url wants one value".to_owned()),
            ("tenants", _) => return Err("tenants wants a list of names".to_owned()),
            (other, _) => return Err(format!("{other} is no key of it: url, tenants")),
        }
    }
    let url = url.ok_or("it lacks url, such as amqp://user:password@host/vhost")?;
    Ok(QueueTable { url, tenants, place: place.clone() })
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn split_list(key: &Key, text: &str) -> Vec<String> {
    if !key.many {
        return vec![text.to_owned()];
    }
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn unknown(path: &str, place: &Place) -> String {
    let nearest = KEYS.iter().min_by_key(|key| distance(key.path, path)).map_or("", |key| key.path);
    format!("{path} ({place}): there is no such key; did you mean {nearest}?")
}

/// Variables that are read beside those of the keys.
const OTHER_VARIABLES: [&str; 4] =
    ["DOORBELL_CONFIG", "DOORBELL_SECRET", "DOORBELL_TOKEN", "DOORBELL_URL"];

/// What to say of variables that look like settings and are none.
pub(crate) fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let known = || known.iter().map(String::as_str).chain(OTHER_VARIABLES);
    let ours = names.filter(|name| name.starts_with("DOORBELL_"));
    let unknown = ours.filter(|name| known().all(|other| other != name));
    let said = |name: String| {
        let nearest = known().min_by_key(|other| distance(other, &name)).unwrap_or_default();
        format!("the variable {name} is no setting and does nothing; did you mean {nearest}?")
    };
    unknown.map(said).collect()
}

/// Levenshtein's distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (place, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*place + 1);
            diagonal = *place;
            *place = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, KEYS};
    use super::*;
    use std::collections::BTreeSet;

    fn read(file: &str, env: &[(&str, &str)], flags: &[(&'static str, Vec<String>)]) -> Layers {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doorbell.toml");
        std::fs::write(&path, file).unwrap();
        let lookup =
            |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Layers::read(Some(&path), lookup, flags)
    }

    fn faults(file: &str, env: &[(&str, &str)]) -> String {
        Config::from_layers(&read(file, env, &[]))
            .err()
            .map_or_else(String::new, |errors| errors.to_string())
    }

    #[test]
    fn later_layers_win() {
        let layers = read(
            "[ingest]\naddr = \"1.1.1.1:1\"\nprefix = \"a\"\n",
            &[("DOORBELL_INGEST_ADDR", "2.2.2.2:2"), ("DOORBELL_ADMIN_ADDR", "3.3.3.3:3")],
            &[("admin.addr", vec!["4.4.4.4:4".to_owned()])],
        );
        let config = Config::from_layers(&layers).unwrap();
        assert_eq!(
            (config.ingest.addr.to_string(), config.prefix.as_str()),
            ("2.2.2.2:2".to_owned(), "a")
        );
        assert_eq!(config.admin.addr.to_string(), "4.4.4.4:4");
        assert_eq!(layers.setting("admin.addr").unwrap().place.to_string(), "flag, --admin-addr");
    }

    #[test]
    fn faults_name_the_line_and_the_remedy() {
        let text = faults("[ingest]\naddress = \"x\"\n\n[store]\nretention_age = \"soon\"\n", &[]);
        assert!(text.contains("ingest.address") && text.contains("line 2"), "{text}");
        assert!(text.contains("did you mean ingest.addr?") && text.contains("line 5"), "{text}");
        assert!(faults("[log]\nlevel = \"${LEVEL}\"", &[]).contains("export LEVEL="));
        assert!(faults("[admin]\ntls_cert = \"a.pem\"", &[]).contains("go together"));
        assert!(faults("x = [", &[]).contains("line 1"));
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told() {
        let names = ["DOORBELL_INGEST_ADDR", "DOORBELL_TOKEN", "DOORBELL_INGEST_ADR", "PATH"];
        assert_eq!(
            unknown_variables(names.into_iter().map(str::to_owned)),
            [
                "the variable DOORBELL_INGEST_ADR is no setting and does nothing; did you mean DOORBELL_INGEST_ADDR?"
            ]
        );
    }

    #[test]
    fn queues_are_tables_of_their_own() {
        let file = "[queues.rabbit]\nurl = \"amqp://me:${PW}@mq/hooks\"\ntenants = [\"acme\", \"*\"]\n[queues.nats]\nurl = \"nats://n\"\n";
        let config = Config::from_layers(&read(file, &[("PW", "s3cret")], &[])).unwrap();
        let queues: Vec<_> =
            config.queues.iter().map(|(name, q)| (name.as_str(), q.address.port())).collect();
        assert_eq!(queues, [("nats", 4222), ("rabbit", 5672)]);
        assert_eq!(config.queues["rabbit"].tenants, ["acme", "*"]);
        let password = config.queues["rabbit"].address.credentials().unwrap().password.as_ref();
        assert_eq!(password.unwrap().reveal(), "s3cret");
        for (file, said) in [
            ("[queues.Rabbit]\nurl = \"amqp://h\"", "not a name"),
            ("[queues.r]\nurl = \"http://h:s3cret@x\"", "the scheme http is none of"),
            ("[queues.r]\ntenants = [\"a\"]", "lacks url"),
            ("[queues.r]\nurl = \"amqp://h\"\nqueue = \"x\"", "queue is no key of it"),
            ("[queues]\nr = 1", "wants a table"),
        ] {
            let text = faults(file, &[]);
            assert!(text.contains(said) && !text.contains("s3cret"), "{file}: {text}");
        }
    }

    #[test]
    fn a_folder_without_a_name_is_none() {
        let layers = read("", &[], &[("data_dir", vec![String::new()])]);
        let errors = Config::from_layers(&layers).unwrap_err().to_string();
        assert!(errors.contains("data_dir (flag, --data-dir): it is empty"), "{errors}");
    }

    #[test]
    fn every_key_has_a_default_that_can_be_used() {
        assert!(Config::from_layers(&read("", &[], &[])).is_ok());
        assert!(KEYS.len() > 20);
    }

    /// What the packages, compose files and charts set is known.
    #[test]
    fn the_files_under_deploy_name_settings_that_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        let mut named = BTreeSet::new();
        for file in [
            "docker/Dockerfile",
            "docker/compose.yaml",
            "docker/compose.postgres.yaml",
            "helm/doorbell/values.yaml",
            "helm/doorbell/templates/doorbell.yaml",
            "systemd/doorbell.service",
        ] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            named.extend(
                words.filter(|w| w.starts_with("DOORBELL_") && w.len() > 9).map(str::to_owned),
            );
        }
        assert!(named.len() > 8, "{named:?}");
        assert_eq!(unknown_variables(named.into_iter()), Vec::<String>::new());
    }
}
