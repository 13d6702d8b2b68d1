//! `doorbell config`: what the settings are and where each came from.

use crate::config::{Config, Flags, KEYS, Layers};
use crate::report::Report;
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
        Verb::Show(flags) => show(&flags.layers(), report),
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
            .map(|(key, s)| json!({"key": key.path, "values": s.values, "from": s.place.to_string()}))
            .collect();
        report.json(&json!({ "settings": rows }));
    } else {
        let rows = settings.map(|(key, setting)| {
            let value =
                if setting.values.is_empty() { "-".to_owned() } else { setting.values.join(", ") };
            vec![key.path.to_owned(), value, setting.place.to_string()]
        });
        report.table(&["KEY", "VALUE", "FROM"], rows.collect());
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
