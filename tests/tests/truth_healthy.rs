//! Services that forward every context: nobody is accused, whatever the runtime and the concurrency.

use auditor_tests::truth::model::Variant;
use auditor_tests::truth::trial;

#[test]
fn one_at_a_time() {
    trial::test(Variant::Healthy, 1);
}

#[test]
fn sixteen_at_once() {
    trial::test(Variant::Healthy, 16);
}

#[test]
fn sixty_four_at_once() {
    trial::test(Variant::Healthy, 64);
}
