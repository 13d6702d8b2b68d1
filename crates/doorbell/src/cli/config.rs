//! `doorbell config`: what the settings are and where each came from.

use crate::config::{Config, Flags, KEYS, Layers, Place};
use crate::report::Report;
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print every key with its value and where the value came from
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
            let from = if setting.place == Place::Default {
                String::new()
            } else {
                setting.place.to_string()
            };
            vec![key.path.to_owned(), setting.values.join(", "), from]
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
        }
        let value = if key.many { "[]".to_owned() } else { format!("{:?}", key.default) };
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
