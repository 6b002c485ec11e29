//! Services with many requests open at once and routes of every kind: the broken edges are found, and no other is.

use std::collections::BTreeSet;

use super::script::{MS, Ran, SECOND, Say, Script, context};
use super::worlds::Dice;
use crate::record::BootNs;
use crate::report::Line;

/// How requests and calls spread over threads.
#[derive(Clone, Copy, Debug)]
enum Threads {
    /// A thread for each request.
    Own,
    /// One for everything.
    Loop,
    /// Requests on some, calls on others.
    Pool,
    /// Anything anywhere.
    Migrate,
}

/// What else the service does, healthy all of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Beside {
    Nothing,
    /// So many percent of the requests carry no context, and get none forwarded.
    Untraced(u64),
    /// A request arms a timer, unless it is armed, that flushes what was gathered.
    Flush(BootNs),
    /// The first request after it expired refreshes a cache.
    Cache(BootNs),
    /// Every request with context brings one without, which makes a call of its own.
    Beacon(BootNs),
    /// A heartbeat, evenly.
    Heartbeat(BootNs),
}

#[derive(Clone, Copy, Debug)]
struct Fleet {
    threads: Threads,
    /// Requests open at once.
    at_once: u64,
    /// The calls of a fan-out follow one another.
    sequential: bool,
    broken: bool,
    beside: Beside,
    seconds: u64,
    seed: u64,
}

/// Requests a second.
const RATE: u64 = 50;

impl Fleet {
    fn run(self) -> Ran {
        let mut dice = Dice::new(self.seed);
        let mut script = Script::default();
        // A request takes its slot for that long, so that about `at_once` are open.
        let mean = self.at_once * SECOND / RATE;
        let mut slots = vec![0; usize::try_from(self.at_once).unwrap()];
        let (mut time, mut trace) = (0, 0);
        let mut armed_until = 0;
        let other = if matches!(self.threads, Threads::Loop) { 10 } else { 98 };
        while time < self.seconds * SECOND {
            time += dice.pause(SECOND / RATE);
            let Some(slot) = slots.iter().position(|free| *free <= time) else { continue };
            trace += 1;
            let takes = (mean / 2 + dice.below(mean)).max(2 * MS);
            slots[slot] = time + self.request(&mut script, &mut dice, time, slot, takes, trace);
            match self.beside {
                Beside::Flush(after) if time >= armed_until => {
                    armed_until = time + after;
                    script.call(time + after, Say::new(1, other, "POST /flush"));
                }
                Beside::Cache(valid) if time >= armed_until => {
                    armed_until = time + valid;
                    script.call(time + 200_000, Say::new(1, other, "GET /flags"));
                }
                Beside::Beacon(after) => {
                    let thread = if other == 10 { 10 } else { 97 };
                    let at = time + after + dice.below(after);
                    script.receive(at, takes.min(8 * MS), Say::new(1, thread, "POST /beacon"));
                    script.call(at + MS + dice.below(3 * MS), Say::new(1, other, "POST /track"));
                }
                _ => {}
            }
        }
        if let Beside::Heartbeat(period) = self.beside {
            (0..self.seconds * SECOND / period).for_each(|n| {
                script.call(n * period, Say::new(1, other, "POST /alive"));
            });
        }
        let mut time = 0;
        while time < self.seconds * SECOND {
            time += 50 * MS + dice.below(300 * MS);
            let tid = if matches!(self.threads, Threads::Loop) { 10 } else { 99 };
            script.call(time, Say::new(1, tid, "GET /config"));
        }
        script.run()
    }

    /// Says how long it is open.
    fn request(
        self,
        script: &mut Script,
        dice: &mut Dice,
        at: BootNs,
        slot: usize,
        takes: BootNs,
        trace: u64,
    ) -> BootNs {
        let slot = u32::try_from(slot).unwrap();
        let own = match self.threads {
            Threads::Own | Threads::Pool => 100 + slot,
            Threads::Loop => 10,
            Threads::Migrate => 200 + u32::try_from(dice.below(4)).unwrap(),
        };
        let callers = match self.threads {
            Threads::Own | Threads::Loop => own,
            Threads::Pool => 300 + u32::try_from(dice.below(64)).unwrap(),
            Threads::Migrate => 200 + u32::try_from(dice.below(4)).unwrap(),
        };
        let answers = match self.threads {
            Threads::Migrate => 200 + u32::try_from(dice.below(4)).unwrap(),
            _ => own,
        };
        let traced = !matches!(self.beside, Beside::Untraced(share) if dice.below(100) < share);
        let receive = |target| {
            let say = Say::new(1, own, target).answered_by(answers);
            if traced { say.with(context(trace, 0)) } else { say }
        };
        let call = |target, drops: bool| {
            let say = Say::new(1, callers, target);
            if !traced || drops && self.broken { say } else { say.with(context(trace, 1)) }
        };
        let mut lag = || 300_000 + dice.below(1_200_000);
        let (before, after) = (lag(), lag());
        let done = before + takes + after;
        match trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 {
            n if n % 5 == 0 => {
                script.receive(at, done, receive("GET /keep"));
                script.slow_call(at + before, takes, call("GET /kept", false));
            }
            n if n % 5 == 1 => {
                script.receive(at, done, receive("GET /drop"));
                script.slow_call(at + before, takes, call("GET /dropped", true));
            }
            n if n % 5 == 2 && self.sequential => {
                script.receive(at, done + 2 * before, receive("GET /fan"));
                for (n, (target, drops)) in
                    [("GET /a", false), ("GET /b", true), ("GET /c", false)].into_iter().enumerate()
                {
                    let n = u64::try_from(n).unwrap();
                    script.slow_call(at + before + n * (takes / 3 + before), takes / 3, call(target, drops));
                }
                return done + 2 * before;
            }
            n if n % 5 == 2 => {
                script.receive(at, done, receive("GET /fan"));
                for (n, (target, drops)) in
                    [("GET /a", false), ("GET /b", true), ("GET /c", false)].into_iter().enumerate()
                {
                    script.slow_call(at + before + u64::try_from(n).unwrap() * 90_000, takes, call(target, drops));
                }
            }
            n if n % 5 == 3 => {
                script.receive(at, before, receive("GET /late"));
                script.slow_call(at + before + after + MS, takes, call("POST /after", true));
                return before;
            }
            _ => {
                script.receive(at, before, receive("GET /none"));
                return before;
            }
        }
        done
    }

    fn accused(self) -> BTreeSet<(String, String)> {
        let ran = self.run();
        let findings = ran.lines.iter().filter_map(|line| match line {
            Line::Finding(finding) if finding.level != "info" => Some(finding),
            _ => None,
        });
        let edge = |finding: &crate::report::FindingLine| {
            let inbound = finding.finding.inbound.as_ref().map(|inbound| inbound.route.clone());
            (inbound.unwrap_or_default(), finding.attributes.route.clone().unwrap_or_default())
        };
        findings.map(|finding| edge(finding)).collect()
    }
}

fn every(broken: bool, beside: Beside, seconds: u64) -> impl Iterator<Item = Fleet> {
    let threads = [Threads::Own, Threads::Loop, Threads::Pool, Threads::Migrate];
    threads.into_iter().flat_map(move |threads| {
        [1, 16, 64].into_iter().flat_map(move |at_once| {
            [false, true].into_iter().flat_map(move |sequential| {
                (1..=2).map(move |seed| Fleet { threads, at_once, sequential, broken, beside, seconds, seed })
            })
        })
    })
}

fn assert_quiet(beside: Beside) {
    let accused: Vec<String> = every(false, beside, 10)
        .filter_map(|fleet| {
            let accused = fleet.accused();
            (!accused.is_empty()).then(|| format!("{fleet:?}: {accused:?}"))
        })
        .collect();
    assert!(accused.is_empty(), "{} fleets\n{}", accused.len(), accused.join("\n"));
}

#[test]
fn a_healthy_fleet_is_quiet() {
    assert_quiet(Beside::Nothing);
}

#[test]
fn requests_without_context_are_no_reason_to_accuse_anybody() {
    assert_quiet(Beside::Untraced(30));
    assert_quiet(Beside::Untraced(2));
    assert_quiet(Beside::Beacon(5 * MS));
    assert_quiet(Beside::Beacon(50 * MS));
}

#[test]
fn what_requests_set_off_now_and_then_is_nobodys() {
    assert_quiet(Beside::Flush(20 * MS));
    assert_quiet(Beside::Flush(200 * MS));
    assert_quiet(Beside::Cache(100 * MS));
    assert_quiet(Beside::Cache(1000 * MS));
}

#[test]
fn a_heartbeat_is_nobodys() {
    assert_quiet(Beside::Heartbeat(20 * MS));
    assert_quiet(Beside::Heartbeat(100 * MS));
    assert_quiet(Beside::Heartbeat(1000 * MS));
}

const BROKEN: [(&str, &str); 3] = [("/drop", "/dropped"), ("/fan", "/b"), ("/late", "/after")];

fn broken() -> BTreeSet<(String, String)> {
    BROKEN.map(|(from, to)| (from.to_owned(), to.to_owned())).into()
}

#[test]
fn no_other_edge_is_accused_beside_requests_without_context() {
    let beside = [Beside::Beacon(50 * MS), Beside::Untraced(30)];
    for fleet in beside.into_iter().flat_map(|beside| every(true, beside, 20)) {
        let accused = fleet.accused();
        assert!(accused.is_subset(&broken()), "{fleet:?}: {accused:?}");
    }
}

fn assert_found(beside: Beside, seconds: u64) {
    let expected = broken();
    // With many open there is hardly a moment without one.
    let told = |fleet: &Fleet| beside == Beside::Nothing || fleet.at_once == 1;
    let wrong: Vec<String> = every(true, beside, seconds)
        .filter(told)
        .filter_map(|fleet| {
            let accused = fleet.accused();
            let missed: Vec<_> = expected.difference(&accused).collect();
            let false_ones: Vec<_> = accused.difference(&expected).collect();
            (accused != expected).then(|| format!("{fleet:?}: missed {missed:?}, wrongly accused {false_ones:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} fleets\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_broken_edge_is_found_and_no_other() {
    assert_found(Beside::Nothing, 10);
}

#[test]
fn each_broken_edge_is_found_beside_requests_without_context() {
    assert_found(Beside::Untraced(2), 60);
}
