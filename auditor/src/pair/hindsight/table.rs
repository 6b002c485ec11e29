//! How often something was observed.

/// How many observations what is expected weighs.
const STRENGTH: f64 = 8.0;
/// Observations after which those so far count half.
pub(super) const MEMORY: f64 = 65_536.0;
/// How much more is expected of short lags: the exponent of the share of lags that are shorter.
const NEARER: f64 = 0.3;

/// Weights of the values of one observation.
#[derive(Clone, Debug)]
pub(super) struct Table<const N: usize> {
    weights: [f64; N],
    all: f64,
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self { weights: [0.0; N], all: 0.0 }
    }
}

impl<const N: usize> Table<N> {
    pub(super) fn add(&mut self, value: usize, weight: f64) {
        let Some(slot) = self.weights.get_mut(value) else { return };
        let before = *slot;
        *slot = (before + weight).max(0.0);
        self.all += *slot - before;
        if self.all > MEMORY {
            self.weights.iter_mut().for_each(|slot| *slot /= 2.0);
            self.all = self.weights.iter().sum();
        }
    }

    /// Share of a value, of which `expected` is thought before any was seen.
    pub(super) fn share(&self, value: usize, expected: f64) -> f64 {
        self.share_of(value, expected, STRENGTH)
    }

    /// The same, where that is so strongly expected.
    pub(super) fn share_of(&self, value: usize, expected: f64, strength: f64) -> f64 {
        let seen = self.weights.get(value).copied().unwrap_or(0.0);
        (seen + strength * expected) / (self.all + strength)
    }

    /// The same, where each value is expected as often as another.
    pub(super) fn even(&self, value: usize) -> f64 {
        self.share(value, 1.0 / N as f64)
    }

    /// What is expected of the requests that made a call, where this is of those that did not: lags are shorter.
    pub(super) fn nearer(&self) -> [f64; N] {
        let (mut upto, mut before): (f64, f64) = (0.0, 0.0);
        std::array::from_fn(|value| {
            upto += self.even(value);
            let power = upto.powf(NEARER);
            power - std::mem::replace(&mut before, power)
        })
    }
}

/// Mean and variance of numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += weight * value;
        self.squares += weight * value * value;
        if self.count > MEMORY {
            let Self { count, sum, squares } = *self;
            *self = Self { count: count / 2.0, sum: sum / 2.0, squares: squares / 2.0 };
        }
    }

    /// By how many standard errors the mean of these is above that of others.
    pub(super) fn above(self, other: Self) -> f64 {
        (self.mean() - other.mean()) / (self.error() + other.error()).sqrt()
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// Square of the standard error of the mean.
    fn error(self) -> f64 {
        (self.squares / self.count.max(1.0) - self.mean().powi(2)).max(LEAST) / self.count.max(1.0)
    }
}

/// Numbers vary at least this much, squared: of a few equal ones nobody knows.
const LEAST: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut table = Table::<4>::default();
        table.add(1, 3.0);
        table.add(2, 0.25);
        table.add(1, -3.0);
        table.add(3, -1.0);
        assert_eq!((table.weights, table.all), ([0.0, 0.0, 0.25, 0.0], 0.25));
        table.add(9, 1.0);
        assert_eq!(table.all, 0.25);
    }

    #[test]
    fn short_lags_are_expected_more_than_they_are_found() {
        let mut table = Table::<4>::default();
        (0..4).for_each(|value| table.add(value, [1.0, 2.0, 4.0, 93.0][value]));
        let nearer = table.nearer();
        assert!((nearer.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let ratio: Vec<f64> = (0..4).map(|value| nearer[value] / table.even(value)).collect();
        assert!(ratio[0] > 5.0 && ratio[0] > ratio[1] && ratio[1] > ratio[2] && ratio[3] < 1.0, "{ratio:?}");
    }

    #[test]
    fn means_are_apart_by_their_errors() {
        let (mut near, mut far) = (Moments::default(), Moments::default());
        for n in 0..40 {
            near.add(3.0 + f64::from(n % 3), 1.0);
            far.add(f64::from(n % 5), 1.0);
        }
        assert!(near.above(far) > 5.0 && far.above(near) < -5.0);
        assert!(near.above(near).abs() < 1e-9);
    }
}
