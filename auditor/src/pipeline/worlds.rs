//! Healthy services beside background work: nobody may be accused.

use super::script::{MS, SECOND, Say, Script, context};
use crate::record::BootNs;

/// xorshift: tests need the same numbers everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// `mean` on average, exponentially.
    pub(super) fn pause(&mut self, mean: BootNs) -> BootNs {
        let uniform = (self.below(1 << 30) + 1) as f64 / (1u64 << 30) as f64;
        (-uniform.ln() * mean as f64) as BootNs
    }
}

/// Requests one after the other on one thread, open for `duty` percent of the time, each forwarding properly.
fn healthy(script: &mut Script, dice: &mut Dice, tid: u32, duty: u64, requests: u64, even: bool) -> BootNs {
    let period = 100 * MS;
    let mut time = 0;
    for n in 0..requests {
        let (open, idle) = (period * duty / 100, period * (100 - duty) / 100);
        let (open, idle) = if even { (open, idle) } else { (dice.pause(open) + 4, dice.pause(idle)) };
        let trace = u64::from(tid) << 32 | n;
        script.receive(time, open, Say::new(1, tid, "GET /cart").with(context(trace, 0)));
        script.call(time + open / 2, Say::new(1, tid, "POST /charge").with(context(trace, 1)));
        time += open + idle;
    }
    time
}

#[derive(Clone, Copy, Debug)]
enum Background {
    /// Every so often, to the nanosecond.
    Even(BootNs),
    /// The same, up to 30 % late.
    Late(BootNs),
    /// At random.
    Random(BootNs),
    /// Several at once, at random.
    Burst(BootNs),
}

fn background(script: &mut Script, dice: &mut Dice, tid: u32, kind: Background, until: BootNs, own_trace: bool) -> u64 {
    let mut time = dice.below(SECOND);
    let mut calls = 0;
    while time < until {
        let (pause, burst) = match kind {
            Background::Even(period) => (period, 1),
            Background::Late(period) => (period + dice.below(period * 3 / 10), 1),
            Background::Random(period) => (dice.pause(period), 1),
            Background::Burst(period) => (dice.pause(period), 5),
        };
        for call in 0..burst {
            let say = Say::new(1, tid, "GET /config");
            calls += 1;
            let say = if own_trace { say.with(context(1 << 60 | calls, 0)) } else { say };
            script.call(time + call * MS / 4, say);
        }
        time += pause.max(1000);
    }
    calls
}

fn assert_quiet(script: &Script, world: &str) {
    let ran = script.run();
    let accused: Vec<_> = ran.codes().into_iter().filter(|code| *code != "trace_not_started").collect();
    assert!(
        accused.is_empty(),
        "{world}: {accused:?}\n{}",
        ran.json().lines().find(|l| l.contains("\"finding\":")).unwrap_or("")
    );
}

#[test]
fn a_timer_beside_healthy_requests_is_not_a_drop() {
    let mut seed = 0;
    for duty in [5, 50, 95, 100] {
        for same_thread in [true, false] {
            for even in [true, false] {
                for kind in [
                    Background::Even(1000 * MS),
                    Background::Even(137 * MS),
                    Background::Late(300 * MS),
                    Background::Random(50 * MS),
                    Background::Random(500 * MS),
                    Background::Burst(400 * MS),
                ] {
                    seed += 1;
                    let mut dice = Dice::new(seed);
                    let mut script = Script::default();
                    let until = healthy(&mut script, &mut dice, 10, duty, 3000, even);
                    let tid = if same_thread { 10 } else { 99 };
                    background(&mut script, &mut dice, tid, kind, until, seed % 2 == 0);
                    assert_quiet(&script, &format!("duty {duty} same {same_thread} even {even} {kind:?}"));
                }
            }
        }
    }
}

#[test]
fn random_healthy_worlds_are_quiet() {
    for seed in 0..150 {
        let mut dice = Dice::new(1_000_000 + seed);
        let mut script = Script::default();
        let threads = 1 + dice.below(8);
        let mut until = 0;
        for thread in 0..threads {
            let duty = 1 + dice.below(100);
            let even = dice.below(4) == 0;
            let tid = 10 + u32::try_from(thread).unwrap();
            until = until.max(healthy(&mut script, &mut dice, tid, duty, 400, even));
        }
        let jobs = 1 + dice.below(3);
        for _ in 0..jobs {
            let period = 5 * MS + dice.pause(400 * MS);
            let kind = match dice.below(3) {
                0 => Background::Late(period),
                1 => Background::Random(period),
                _ => Background::Burst(period),
            };
            let tid = if dice.below(2) == 0 { 10 } else { 99 };
            background(&mut script, &mut dice, tid, kind, until, seed % 3 == 0);
        }
        assert_quiet(&script, &format!("world {seed}"));
    }
}
