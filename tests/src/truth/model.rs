//! The concurrency models that there are fleets of, and what each of them does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// What a service does with the trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// Forwards it with every call.
    Healthy,
    /// Drops it on [`Route::broken`] edges.
    Broken,
    /// Drops it on every call; nothing else is shared between a request and its calls.
    Blind,
    /// Drops it on every call, but forwards `x-request-id` and `authorization`.
    Affine,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Broken, Self::Blind, Self::Affine];

    /// Name as the programs take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Broken => "broken",
            Self::Blind => "blind",
            Self::Affine => "affine",
        }
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|variant| variant.name() == text);
        found.ok_or_else(|| format!("no such variant: {text}"))
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// One call.
    Keep,
    /// One call, whose context a broken service drops.
    Drop,
    /// Three calls, at the same time where the runtime makes that natural; a broken service drops the second's context.
    Fan,
    /// One call after the answer, whose context a broken service drops.
    Late,
    /// No call.
    None,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Keep, Self::Drop, Self::Fan, Self::Late, Self::None];
    /// Those of a proxy, which makes one call for each but [`Route::None`].
    pub const PROXY: [Self; 4] = [Self::Keep, Self::Drop, Self::Fan, Self::None];

    /// First segment of its path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Fan => "fan",
            Self::Late => "late",
            Self::None => "none",
        }
    }

    /// How many calls a request causes.
    pub fn calls(self) -> usize {
        match self {
            Self::Keep | Self::Drop | Self::Late => 1,
            Self::Fan => 3,
            Self::None => 0,
        }
    }

    /// Route of the call whose context is lost in [`Variant::Broken`].
    pub fn broken(self) -> Option<&'static str> {
        match self {
            Self::Drop => Some("/dropped"),
            Self::Fan => Some("/b"),
            Self::Late => Some("/after"),
            Self::Keep | Self::None => None,
        }
    }
}

/// How a service is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Where it has to listen on 127.0.0.1; 0: where it likes, but for a proxy.
    pub port: u16,
    /// Port of the backend.
    pub backend: u16,
    /// What it does with the context.
    pub variant: Variant,
    /// A directory of its own for what it needs, gone when it ends.
    pub dir: &'a Path,
}

impl Launch<'_> {
    /// Adds the arguments of the fleets' programs: `PORT BACKEND_PORT VARIANT`.
    pub fn arguments<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.args([self.port.to_string(), self.backend.to_string(), self.variant.name().to_owned()])
    }
}

/// Whether a service is one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// The one that was started takes the requests and makes the calls.
    One,
    /// Others do: workers, children.
    Many,
}

/// A concurrency model: a program and what to expect of it.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Name of the service, of its recordings, in tables.
    pub name: &'static str,
    /// The program to start; installs or builds it when it has to.
    pub command: fn(&Launch<'_>) -> Command,
    /// What it can be asked for.
    pub routes: &'static [Route],
    /// The most requests that it works on at once.
    pub parallel: usize,
    /// Which processes of it work.
    pub processes: Processes,
    /// Passes requests on, prints nothing, and hands `X-Call` of the backend to its client. Any other service says
    /// where it listens and tells the truth about each call.
    pub proxy: bool,
}

impl Model {
    /// A service of one process that answers every route.
    pub const fn new(name: &'static str, command: fn(&Launch<'_>) -> Command) -> Self {
        Self { name, command, routes: &Route::ALL, parallel: usize::MAX, processes: Processes::One, proxy: false }
    }

    /// A proxy with workers.
    pub const fn proxy(name: &'static str, command: fn(&Launch<'_>) -> Command) -> Self {
        Self { routes: &Route::PROXY, proxy: true, ..Self::new(name, command).of_many() }
    }

    /// The same, of many processes.
    pub const fn of_many(self) -> Self {
        Self { processes: Processes::Many, ..self }
    }

    /// How many calls a request causes.
    pub fn calls(&self, route: Route) -> usize {
        if self.proxy { route.calls().min(1) } else { route.calls() }
    }

    /// Inbound and outbound routes between which a service of this variant loses the context.
    pub fn broken(&self, variant: Variant) -> BTreeSet<(String, String)> {
        let broken = |route: &Route| {
            let one_call = !self.proxy || *route == Route::Drop;
            let to = route.broken().filter(|_| one_call && variant == Variant::Broken)?;
            Some((format!("/{}/{{id}}", route.name()), to.to_owned()))
        };
        self.routes.iter().filter_map(broken).collect()
    }
}
