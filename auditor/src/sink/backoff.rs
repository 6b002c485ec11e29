//! How long an output that fails is left alone.

use std::time::Duration;

/// The first pause, on average.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause that is not asked for.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause that the other side may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Pauses that get longer, by chance a little different for everybody who was cut off at the same moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It works again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause. `asked` is what the other side wants: it gets no less, and a little more.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let chance = fastrand::f64();
        match asked {
            Some(asked) => asked.min(LONGEST_ASKED) + FIRST.mul_f64(chance),
            None => pause.mul_f64(0.5 + chance / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        let first = backoff.next(None);
        assert!(FIRST / 2 <= first && first <= FIRST, "{first:?}");
        for _ in 0..100 {
            assert!(backoff.next(None) <= LONGEST);
        }
        assert!(backoff.next(None) >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }

    #[test]
    fn what_is_asked_for_is_kept_within_reason() {
        let asked = Backoff::default().next(Some(Duration::from_secs(7)));
        assert!(asked >= Duration::from_secs(7) && asked < Duration::from_secs(8), "{asked:?}");
        assert!(Backoff::default().next(Some(Duration::MAX)) <= LONGEST_ASKED + FIRST);
    }
}
