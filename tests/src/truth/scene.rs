//! Many services at the same time, each with a backend of its own, so that one look at the machine sees them all.

use std::collections::BTreeMap;

use super::backend::Backend;
use super::cgroup::Group;
use super::driver::Drive;
use super::ledger::{Nth, Truth};
use super::model::{Model, Variant};
use super::service::FleetService;
use crate::http::Head;

/// Services that run, and nobody who asks them yet.
pub struct Scene {
    /// What they do with the context.
    pub variant: Variant,
    cast: Vec<(FleetService, Backend)>,
    // Last: it can only go when the services are gone.
    _group: Group,
}

/// One service that was driven.
pub struct Played {
    /// What it is.
    pub model: Model,
    /// Its process.
    pub pid: u32,
    /// Where its calls went.
    pub backend: u16,
    /// What happened.
    pub truth: Truth,
    /// What the backend received.
    pub heads: BTreeMap<Nth, Head>,
    /// Requests that were not answered well, and truths that do not add up.
    pub errors: Vec<String>,
}

impl Scene {
    /// Starts the services in a cgroup, to which an auditor may be attached already: then it sees every call, and its
    /// count of them is that of the truth.
    ///
    /// # Panics
    /// When one does not start.
    pub fn start(models: &[Model], variant: Variant, group: Group) -> Self {
        let start = |model: &Model| {
            let backend = Backend::start();
            (FleetService::start(model, variant, backend.port, &group), backend)
        };
        let cast = std::thread::scope(|scope| {
            // At the same time: some take seconds to start.
            let starting: Vec<_> = models.iter().map(|model| scope.spawn(move || start(model))).collect();
            let started = starting.into_iter().map(|thread| thread.join());
            started.map(|service| service.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        Self { variant, cast, _group: group }
    }

    /// Drives all services at the same time and waits until they have told of every call.
    pub fn play(&self, drive: &Drive) -> Vec<Played> {
        std::thread::scope(|scope| {
            let playing: Vec<_> =
                self.cast.iter().map(|(service, backend)| scope.spawn(move || play(service, backend, drive))).collect();
            let played = playing.into_iter().map(|thread| thread.join());
            played.map(|played| played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

impl Played {
    /// What went wrong, a little of it.
    pub fn trouble(&self) -> String {
        let first: Vec<&str> = self.errors.iter().take(3).map(String::as_str).collect();
        if first.is_empty() { String::new() } else { format!("{} errors: {}", self.errors.len(), first.join("; ")) }
    }
}

fn play(service: &FleetService, backend: &Backend, drive: &Drive) -> Played {
    let model = service.model;
    let mut driven = drive.run(&model, service.port);
    if !model.proxy {
        let expected = driven.truth.requests.values().map(|request| model.calls(request.route)).sum();
        service.wait_for_calls(expected);
        for line in service.truth_lines() {
            if let Err(error) = driven.truth.read(&line) {
                driven.errors.push(format!("{}: {error}", model.name));
            }
        }
    }
    let contradictions = driven.truth.contradictions(|route| model.calls(route));
    driven.errors.extend(contradictions.into_iter().map(|what| format!("{}: {what}", model.name)));
    let heads = backend.heads();
    Played { model, pid: service.pid(), backend: backend.port, truth: driven.truth, heads, errors: driven.errors }
}
