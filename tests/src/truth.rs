//! Fleets whose ground truth is known: which inbound request caused which outbound call, whatever the runtime and
//! however many requests are open at once.
//!
//! A *fleet service* is a program in one concurrency model ([`model`]). All of them behave alike:
//!
//! ```text
//! PROGRAM PORT BACKEND_PORT VARIANT      listens on 127.0.0.1:PORT (0: any), calls http://127.0.0.1:BACKEND_PORT
//!   stdout: `listening PORT` when ready, then for every outbound call a truth line `ID CALL`
//!           (ID of the request that caused it, `-` for none; CALL is the header `X-Call` of the backend's response)
//!   GET /keep/ID   calls GET /kept                    forwards the context
//!   GET /drop/ID   calls GET /dropped                 broken: drops it
//!   GET /fan/ID    calls GET /a, GET /b, GET /c       broken: drops it for /b
//!   GET /late/ID   answers 202, then calls POST /after    broken: drops it
//!   GET /none/ID   calls nobody
//! ```
//!
//! The query `ms=N` goes with every call: how many milliseconds the backend takes, in hexadecimal and in at most three
//! digits, because values of four characters and more may be ids for all the auditor knows. ID is never sent outbound, so
//! nothing but the truth lines tells which call belongs to which request. A timer calls `GET /config` without context all
//! the time.
//!
//! The [`backend`] numbers the calls, the [`driver`] makes the requests, the [`service`] tells the truth, and a
//! [`scene`] has many of each at the same time. A [`trial`] has the auditor look at it, and a [`verdict`] compares what it
//! said with the truth.

pub mod backend;
mod build;
pub mod cgroup;
pub mod compiled;
pub mod contract;
pub mod driver;
pub mod ledger;
pub mod model;
pub mod proxies;
pub mod scene;
pub mod scripting;
pub mod service;
pub mod trial;
pub mod verdict;

/// Every model that there is a fleet of.
pub fn models() -> Vec<model::Model> {
    let families: [&[model::Model]; 3] = [&scripting::MODELS, &compiled::MODELS, &proxies::MODELS];
    families.concat()
}
