//! `doorbell config`: what the settings are and where each came from.

use crate::config::{Config, Flags, KEYS, Layers, QUEUES, masked, unknown_variables, variables};
use crate::report::{Report, aside};
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print every key, its value and where it came from: as `serve` would start here with the same flags
    Show(Flags),
    /// Print a complete settings file with every key, its sentence and its default
    Template,
}

pub(crate) fn run(verb: &Verb, report: Report) -> Result<()> {
    match verb {
        Verb::Show(flags) => {
            for sentence in unknown_variables(variables()) {
                aside(&format!("warning: {sentence}"));
            }
            show(&flags.layers(), report)
        }
        Verb::Template => {
            report.text(&template());
            Ok(())
        }
    }
}

fn show(layers: &Layers, report: Report) -> Result<()> {
    let settings =
        KEYS.iter().filter_map(|key| layers.setting(key.path).map(|setting| (key, setting)));
    if report.is_json() {
        let rows: Vec<_> = settings
            .map(|(key, s)| {
                let values: Vec<String> = s.values.iter().map(|value| key.shown(value)).collect();
                json!({"key": key.path, "values": values, "from": s.place.to_string()})
            })
            .collect();
        let queues: Vec<_> = layers
            .queues
            .iter()
            .map(|(name, table)| {
                let path = format!("{QUEUES}.{name}");
                json!({"key": path, "url": masked(&table.url), "tenants": table.tenants, "from": table.place.to_string()})
            })
            .collect();
        report.json(&json!({ "settings": rows, "queues": queues }));
    } else {
        let rows = settings.map(|(key, setting)| {
            let values: Vec<String> = setting.values.iter().map(|v| key.shown(v)).collect();
            let value = if values.is_empty() { "-".to_owned() } else { values.join(", ") };
            vec![key.path.to_owned(), value, setting.place.to_string()]
        });
        let queues = layers.queues.iter().map(|(name, table)| {
            let url = masked(&table.url);
            let value = if table.tenants.is_empty() {
                url
            } else {
                format!("{url} for {}", table.tenants.join(", "))
            };
            vec![format!("{QUEUES}.{name}"), value, table.place.to_string()]
        });
        report.table(&["KEY", "VALUE", "FROM"], rows.chain(queues).collect());
    }
    Config::from_layers(layers)?;
    Ok(())
}

/// The whole file, commented; a value that is the default stands behind `#`.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# Doorbell's settings. Every key may also be set as a flag or a DOORBELL_ variable.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (head, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if head != section {
            section = head;
            text += &["\n[", head, "]\n"].concat();
        } else {
            text.push('\n');
        }
        let value = match key.default {
            _ if key.many => "[]".to_owned(),
            bare if bare.parse::<f64>().is_ok() || bare.parse::<bool>().is_ok() => bare.to_owned(),
            text => format!("{text:?}"),
        };
        let (variable, flag) = (key.variable(), key.flag());
        let lines = [
            format!("# {}", key.doc),
            format!("# ({variable} or --{flag})"),
            format!("# {name} = {value}"),
            String::new(),
        ];
        text += &lines.join("\n");
    }
    text
}

/// The page of the settings in `docs/`.
#[cfg(test)]
fn page() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Settings\n\nEvery setting is a key of the settings file (TOML), a `DOORBELL_` variable and a flag of `doorbell serve`. Flags win \
         over variables, variables over the file, the file over the default. `${NAME}` in the file is taken from the environment. \
         `doorbell config show` prints what holds and where it came from; `doorbell config template` prints a whole file to start \
         from.\n\nThe file is named by `--config` or `DOORBELL_CONFIG`; without either, `doorbell.toml` is read where it is there. \
         All faults are told at once, each with its line, and nothing is started.\n",
    );
    let mut section = None;
    for key in KEYS {
        let (head, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if section != Some(head) {
            section = Some(head);
            let title = if head.is_empty() {
                "Of the whole server".to_owned()
            } else {
                format!("`[{head}]`")
            };
            let _infallible = write!(
                text,
                "\n## {title}\n\n| key | default | what it does | variable | flag |\n|---|---|---|---|---|\n"
            );
        }
        let default = match (key.default, key.many) {
            ("", true) => "none (a list)".to_owned(),
            ("", false) => "unset".to_owned(),
            (default, _) => format!("`{default}`"),
        };
        let row = [name, &default, key.doc, &key.variable(), &key.flag()]
            .map(|cell| cell.replace('|', "\\|"));
        let [name, default, doc, variable, flag] = row;
        let _infallible =
            writeln!(text, "| `{name}` | {default} | {doc} | `{variable}` | `--{flag}` |");
    }
    text.push_str(QUEUES_PAGE);
    text
}

/// What stands in the page of the tables that have names of the operator's own.
#[cfg(test)]
const QUEUES_PAGE: &str = "\n## `[queues.NAME]`\n\nConnections to message brokers, which endpoints and sources name as `queue://NAME/…` (see \
    `docs/queues.md`). They stand in the file only; there are as many as you like.\n\n| key | default | what it does |\n|---|---|---|\n\
    | `url` | none: it must be set | The broker: `amqp://user:password@host/vhost`, `nats://`, `sqs://`, `redis://` or `mqtt://`; with TLS \
    `amqps://`, `nats+tls://`, `rediss://`, `mqtts://` |\n\
    | `tenants` | none: the default tenant only | Who may use it: `uid`s of tenants; `\"*\"` for all |\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_EXPECT=1` writes it anew.
    #[test]
    fn the_page_of_the_settings_is_fresh() {
        expect_test::expect_file!["../../../../docs/configuration.md"].assert_eq(&page());
    }

    #[test]
    fn the_template_is_a_settings_file() {
        let uncommented: String = template()
            .lines()
            .filter_map(|line| match line.strip_prefix("# ") {
                Some(line) if line.contains(" = ") && !line.contains("--") => {
                    Some(format!("{line}\n"))
                }
                Some(_) => None,
                None => Some(format!("{line}\n")),
            })
            .collect();
        let table: toml::Table = toml::from_str(&uncommented).unwrap();
        assert!(table.contains_key("ingest") && table.contains_key("data_dir"), "{uncommented}");
    }
}
