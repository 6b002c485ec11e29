//! Settings by layers: options, over the environment, over a file, over defaults.
//!
//! The options of the command line are the only place that knows what can be set. A file's keys are their long names, and
//! what it says takes the place of their defaults before the command line is parsed: so options and environment win.

mod dump;
mod file;
mod problem;
#[cfg(test)]
mod tests;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use auditor::sink::without_credentials;
use clap::error::ContextValue;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

pub(crate) use dump::{dump, example};
use file::Setting;
pub(crate) use file::Source;

use crate::cli::Cli;
use crate::exit::Failure;

/// Read if no other file is given, and it is there.
pub(crate) const DEFAULT_FILE: &str = "/etc/auditor/auditor.toml";
/// Commands that read that one: a replay is the same on every machine.
const ON_THE_NODE: [&str; 4] = ["run", "check", "record", "config"];
/// Options that cannot be set by a file, because they are about files, or only of the moment.
const NO_KEYS: [&str; 4] = ["help", "version", "config", "dump-config"];
/// Commands that write elsewhere than the daemon: a recording, and what is to be looked at.
const NO_OUTPUT: [&str; 2] = ["record", "replay"];

/// Why there is nothing to run.
pub(crate) enum Stop {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The file is.
    Config(Failure),
}

/// What the command line, the environment, a file and defaults amount to.
pub(crate) struct Loaded {
    pub(crate) cli: Cli,
    /// Every key, with the values that are in effect, as they are written; in the order of the options.
    pub(crate) effective: Vec<(String, Vec<String>)>,
    /// The file, if one was read.
    pub(crate) file: Option<PathBuf>,
}

/// Reads everything. `source`: how files may be read.
pub(crate) fn load(args: &[OsString], source: Source) -> Result<Loaded, Stop> {
    let matches = Cli::command().try_get_matches_from(args).map_err(usage)?;
    let file = named_file(&matches);
    let settings = match &file {
        Some(path) => file::read(path, source).map_err(|wrong| Stop::Config(Failure::Config(wrong)))?,
        None => Vec::new(),
    };
    let matches = with_defaults(Cli::command(), &settings).try_get_matches_from(args).map_err(usage)?;
    Ok(Loaded { cli: Cli::from_arg_matches(&matches).map_err(usage)?, effective: effective(&matches), file })
}

/// What is wrong, without the credentials that somebody may have put into an output.
fn usage(mut error: clap::Error) -> Stop {
    let said: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in said {
        if let ContextValue::String(text) = value {
            error.insert(kind, ContextValue::String(without_credentials(&text)));
        }
    }
    Stop::Usage(error)
}

/// Whether a file can be used.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    file::read(path, Source::Any).map(drop).map_err(Failure::Config)
}

/// The file that these arguments name, or the usual one if it is there.
fn named_file(matches: &ArgMatches) -> Option<PathBuf> {
    let (name, of_command) = matches.subcommand()?;
    let innermost = innermost(of_command);
    let given = innermost.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let usual = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.try_exists().unwrap_or(true));
    // `config check` reads what it is given by itself.
    let reads = innermost.try_contains_id("config").is_ok();
    given.or_else(|| usual().filter(|_| reads && ON_THE_NODE.contains(&name)))
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

/// The command line with what a file says as defaults, in every command that has the option.
fn with_defaults(command: Command, settings: &[Setting]) -> Command {
    let elsewhere = NO_OUTPUT.contains(&command.get_name());
    let command = command.mut_args(|arg| match settings.iter().find(|setting| setting.key == key(&arg)) {
        Some(setting) if !(elsewhere && setting.key == "output") => arg.default_values(setting.values.clone()),
        _ => arg,
    });
    command.mut_subcommands(|inner| with_defaults(inner, settings))
}

/// Everything that a file can set: the options of `run` and `check`, and those that every command has.
fn options() -> Vec<Arg> {
    let command = Cli::command();
    let mut options: Vec<Arg> = command.get_arguments().cloned().collect();
    for name in ["run", "check"] {
        let inner = command.find_subcommand(name).into_iter().flat_map(Command::get_arguments);
        for arg in inner {
            if !options.iter().any(|known| key(known) == key(arg)) {
                options.push(arg.clone());
            }
        }
    }
    options.retain(|arg| !NO_KEYS.contains(&&*key(arg)));
    options
}

/// What an option is called in a file.
fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().to_owned()
}

/// Whether it takes any number of values.
fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

fn effective(matches: &ArgMatches) -> Vec<(String, Vec<String>)> {
    let matches = innermost(matches);
    let values = |arg: &Arg| {
        let raw = matches.try_get_raw(arg.get_id().as_str()).ok().flatten()?;
        Some(raw.map(|value| value.to_string_lossy().into_owned()).collect())
    };
    let given = |arg: &Arg| matches.try_contains_id(arg.get_id().as_str()).is_ok();
    let options = options().into_iter().filter(given);
    options.map(|arg| (key(&arg), values(&arg).unwrap_or_default())).collect()
}
