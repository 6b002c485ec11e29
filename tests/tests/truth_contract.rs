//! The fleet services do what they say: what arrives at their backends is what their truth lines and variants tell.

use std::time::Duration;

use auditor_tests::truth::cgroup::Group;
use auditor_tests::truth::contract::breaches;
use auditor_tests::truth::driver::Drive;
use auditor_tests::truth::model::Variant;
use auditor_tests::truth::models;
use auditor_tests::truth::scene::Scene;

fn fleets_keep_the_contract(variant: Variant) {
    let drive = Drive { connections: 8, rate: 30.0, duration: Duration::from_secs(3), affinity: true };
    let mut broken = Vec::new();
    for played in Scene::start(&models(), variant, Group::new()).play(&drive) {
        let breaches = breaches(variant, &played);
        let calls = played.truth.calls.len();
        // A tenth of what it makes when the machine is its own.
        assert!(calls > 10, "{} made {calls} calls only; {}", played.model.name, played.trouble());
        let all = played.errors.iter().chain(&breaches).take(5);
        broken.extend(all.map(|what| format!("{}: {what}", played.model.name)));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn healthy() {
    fleets_keep_the_contract(Variant::Healthy);
}

#[test]
fn broken() {
    fleets_keep_the_contract(Variant::Broken);
}

#[test]
fn blind() {
    fleets_keep_the_contract(Variant::Blind);
}

#[test]
fn affine() {
    fleets_keep_the_contract(Variant::Affine);
}
