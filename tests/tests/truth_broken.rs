//! Services that lose the context of some calls: exactly these edges are accused, on every runtime, at any concurrency.

use auditor_tests::truth::model::Variant;
use auditor_tests::truth::trial;

#[test]
fn one_at_a_time() {
    trial::test(Variant::Broken, 1);
}

#[test]
fn sixteen_at_once() {
    trial::test(Variant::Broken, 16);
}

#[test]
fn sixty_four_at_once() {
    trial::test(Variant::Broken, 64);
}
