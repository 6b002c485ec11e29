//! What is said about services whose truth is known, on every runtime, at any concurrency.

macro_rules! trials {
    ($name:ident, $variant:ident) => {
        mod $name {
            use auditor_tests::truth::{model::Variant, trial};

            #[test]
            fn one_at_a_time() {
                trial::test(Variant::$variant, 1);
            }

            #[test]
            fn sixteen_at_once() {
                trial::test(Variant::$variant, 16);
            }

            #[test]
            fn sixty_four_at_once() {
                trial::test(Variant::$variant, 64);
            }
        }
    };
}

// Where every context is forwarded, nobody is accused.
trials!(healthy, Healthy);
// Where the context of some calls is lost, exactly these edges are.
trials!(broken, Broken);
