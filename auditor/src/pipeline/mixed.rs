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

#[derive(Clone, Copy, Debug)]
struct Fleet {
    threads: Threads,
    /// Requests open at once.
    at_once: u64,
    /// The calls of a fan-out follow one another.
    sequential: bool,
    broken: bool,
    seed: u64,
}

const SECONDS: u64 = 10;
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
        while time < SECONDS * SECOND {
            time += dice.pause(SECOND / RATE);
            let Some(slot) = slots.iter().position(|free| *free <= time) else { continue };
            trace += 1;
            let takes = (mean / 2 + dice.below(mean)).max(2 * MS);
            slots[slot] = time + self.request(&mut script, &mut dice, time, slot, takes, trace);
        }
        let mut time = 0;
        while time < SECONDS * SECOND {
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
        let receive = |target| Say::new(1, own, target).with(context(trace, 0)).answered_by(answers);
        let call = |target, drops: bool| {
            let say = Say::new(1, callers, target);
            if drops && self.broken { say } else { say.with(context(trace, 1)) }
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

fn every(broken: bool) -> impl Iterator<Item = Fleet> {
    let threads = [Threads::Own, Threads::Loop, Threads::Pool, Threads::Migrate];
    threads.into_iter().flat_map(move |threads| {
        [1, 16, 64].into_iter().flat_map(move |at_once| {
            [false, true].into_iter().flat_map(move |sequential| {
                (1..4).map(move |seed| Fleet { threads, at_once, sequential, broken, seed })
            })
        })
    })
}

#[test]
fn a_healthy_fleet_is_quiet() {
    for fleet in every(false) {
        assert_eq!(fleet.accused(), BTreeSet::new(), "{fleet:?}");
    }
}

#[test]
fn each_broken_edge_is_found_and_no_other() {
    let expected = [("/drop", "/dropped"), ("/fan", "/b"), ("/late", "/after")];
    let expected: BTreeSet<_> = expected.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
    let wrong: Vec<String> = every(true)
        .filter_map(|fleet| {
            let accused = fleet.accused();
            let missed: Vec<_> = expected.difference(&accused).collect();
            let false_ones: Vec<_> = accused.difference(&expected).collect();
            (accused != expected).then(|| format!("{fleet:?}: missed {missed:?}, wrongly accused {false_ones:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} fleets\n{}", wrong.len(), wrong.join("\n"));
}
