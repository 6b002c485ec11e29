//! How long something takes, as a distribution over logarithmic bins.

/// Bins per doubling of the time.
const PER_OCTAVE: f64 = 4.0;
/// A quarter, half and three quarters of the way from one power of two to the next.
const QUARTERS: [f64; 3] = [1.189_207_115_002_721, std::f64::consts::SQRT_2, 1.681_792_830_507_429];
/// From nothing to two minutes.
pub(super) const BINS: usize = 92;
/// Times that differ by less than this (20 µs, in nanoseconds) are the same: below it is the noise of the scheduler.
const GRAIN: f64 = 20_000.0;
/// Weight of a distribution above which the past is halved, so that it follows a service that changes.
const FORGET: f32 = 4096.0;
/// Times the spread over the fifth root of the number of observations: the width of the kernel.
const NARROWING: f64 = 1.2;
/// Narrowest and widest kernel, in bins: standard deviation.
const BANDWIDTH: (f64, f64) = (0.6, 6.0);

/// The bin of a time in nanoseconds.
pub(super) fn bin(time: u64) -> usize {
    // Four times the binary logarithm, rounded down: the exponent, and where between two powers it is.
    let bits = (time as f64 / GRAIN + 1.0).to_bits();
    let octave = ((bits >> 52) as usize).saturating_sub(1023);
    let rest = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let quarter = QUARTERS.iter().filter(|quarter| rest >= **quarter).count();
    (4 * octave + quarter).min(BINS - 1)
}

/// Width of a bin in seconds: densities are per second.
pub(super) fn width(bin: usize) -> f64 {
    let edge = |bin: usize| (bin as f64 / PER_OCTAVE).exp2() * GRAIN / 1e9;
    edge(bin + 1) - edge(bin)
}

/// Log density, per second, of a time of which nothing is known: any order of magnitude from a millisecond up.
pub(super) fn any(bin: usize) -> f64 {
    let edge = (bin as f64 / PER_OCTAVE).exp2() * GRAIN / 1e9;
    -((edge + 0.001) * 12.0).ln()
}

/// Observed times.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    bins: [f32; BINS],
    total: f32,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { bins: [0.0; BINS], total: 0.0 }
    }
}

impl Gaps {
    /// Adds an observation that counts as part of one; what was seen before counts half when it has become much.
    pub(super) fn add(&mut self, time: u64, part: f32) {
        if let Some(bin) = self.bins.get_mut(bin(time)) {
            *bin += part;
        }
        self.total += part;
        if self.total >= FORGET {
            self.halve();
        }
    }

    /// What was seen counts half.
    pub(super) fn halve(&mut self) {
        self.bins.iter_mut().for_each(|bin| *bin /= 2.0);
        self.total /= 2.0;
    }

    pub(super) fn total(&self) -> f64 {
        f64::from(self.total)
    }

    /// Share of each bin, smoothed by a kernel that narrows as observations come in. Times are multiples of `clock`
    /// nanoseconds.
    pub(super) fn smooth(&self, clock: u64) -> [f64; BINS] {
        let mut smooth = [0.0; BINS];
        let total = self.total().max(f64::MIN_POSITIVE);
        let deviation = BANDWIDTH.1.min(self.deviation().max(1.0) * NARROWING * total.powf(-0.2)).max(BANDWIDTH.0);
        let deviation = if total < 4.0 { deviation.max(3.0) } else { deviation };
        let reach = (deviation * 3.0).ceil() as isize;
        let kernel: Vec<f64> =
            (-reach..=reach).map(|offset| (-0.5 * (offset as f64 / deviation).powi(2)).exp()).collect();
        let area: f64 = kernel.iter().sum::<f64>() * total;
        let bins = self.blurred(clock as f64);
        for (at, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            for (offset, weight) in (-reach..=reach).zip(&kernel) {
                // What falls over the edge stays at the edge.
                let to = (at as isize + offset).clamp(0, BINS as isize - 1) as usize;
                if let Some(share) = smooth.get_mut(to) {
                    *share += f64::from(*count) * weight / area;
                }
            }
        }
        smooth
    }

    /// The difference of two times by a coarse clock is anything up to one tick more or less. Taken at its word, things
    /// that happen within one tick would seem to follow each other as closely as nothing else does.
    fn blurred(&self, tick: f64) -> [f32; BINS] {
        if tick <= GRAIN {
            return self.bins;
        }
        let edge = |bin: usize| ((bin as f64 / PER_OCTAVE).exp2() - 1.0) * GRAIN;
        let mut blurred = [0.0; BINS];
        for (at, count) in self.bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let middle = if at == 0 { 0.0 } else { (edge(at) + edge(at + 1)) / 2.0 };
            let (low, high) = ((middle - tick).max(0.0), middle + tick);
            for (bin, share) in blurred.iter_mut().enumerate() {
                let shared = edge(bin + 1).min(high) - edge(bin).max(low);
                *share += *count * (shared.max(0.0) / (high - low)) as f32;
            }
        }
        blurred
    }

    /// Spread of the middle half, as the standard deviation of the normal distribution with that spread; in bins.
    fn deviation(&self) -> f64 {
        match (self.quantile(0.25), self.quantile(0.75)) {
            (Some(low), Some(high)) => high.saturating_sub(low) as f64 / 1.34,
            _ => BANDWIDTH.1,
        }
    }

    fn quantile(&self, share: f32) -> Option<usize> {
        let mut left = share * self.total;
        self.bins.iter().position(|count| {
            left -= count;
            left <= 0.0
        })
    }

    /// Time that a share of the observed ones is below, in nanoseconds; none before anything was seen.
    pub(super) fn time(&self, share: f32) -> Option<u64> {
        let bin = self.quantile(share).filter(|_| self.total > 0.0)?;
        Some((((bin as f64 + 0.5) / PER_OCTAVE).exp2() * GRAIN - GRAIN) as u64)
    }
}
