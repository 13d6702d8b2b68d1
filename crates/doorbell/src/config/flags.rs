//! The settings as command-line flags, made from the table of keys.

use super::{KEYS, Layers};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use std::path::PathBuf;

/// `--config FILE` and one flag for each key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    file: Option<PathBuf>,
    given: Vec<(&'static str, Vec<String>)>,
}

/// Where a settings file is looked for when no flag names one.
const DEFAULT_FILE: &str = "doorbell.toml";

impl Flags {
    /// Reads all layers: the file (`--config`, `DOORBELL_CONFIG`, or `doorbell.toml` where there is one), the
    /// environment, the flags.
    pub(crate) fn layers(&self) -> Layers {
        let file = self.file.clone().or_else(|| variable("DOORBELL_CONFIG").map(PathBuf::from));
        let found = file.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
        Layers::read(found.as_deref(), variable, &self.given)
    }
}

/// The environment is read here and nowhere else.
#[expect(clippy::disallowed_methods, reason = "this is where the settings read the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names in the environment that are text.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.file = matches.get_one::<PathBuf>("config").cloned();
        for key in KEYS {
            if let Some(values) = matches.get_many::<String>(key.path) {
                self.given.push((key.path, values.cloned().collect()));
            }
        }
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Settings file (TOML); also DOORBELL_CONFIG; ./doorbell.toml is read when it is there");
        KEYS.iter().fold(command.arg(file), |command, key| {
            let default = if key.default.is_empty() {
                String::new()
            } else {
                format!(" [default: {}]", key.default)
            };
            command.arg(
                Arg::new(key.path)
                    .long(key.flag())
                    .aliases(key.alias())
                    .value_name("VALUE")
                    .action(if key.many { ArgAction::Append } else { ArgAction::Set })
                    .help(format!("{}{default}", key.doc))
                    .help_heading(
                        "Settings (each also a key of the file and a DOORBELL_ variable)",
                    ),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
