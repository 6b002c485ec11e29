//! Runs fleets whose ground truth is known, and writes down what happened.

use std::time::Duration;

use auditor_tests::truth::cgroup::Group;
use auditor_tests::truth::driver::Drive;
use auditor_tests::truth::model::Variant;
use auditor_tests::truth::{models, scene::Scene};

fn main() {
    for connections in [1, 16, 64] {
        let scene = Scene::start(&models(), Variant::Broken, Group::new());
        let drive = Drive { connections, rate: 50.0, duration: Duration::from_secs(5), affinity: true };
        for played in scene.play(&drive) {
            println!(
                "{} {connections}: {} requests, {} calls, {:?}",
                played.model.name,
                played.truth.requests.len(),
                played.truth.calls.len(),
                played.errors
            );
        }
    }
}
