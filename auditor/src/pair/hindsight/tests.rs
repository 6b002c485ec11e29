use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Candidates, Hindsight, Room, Sent};
use crate::exchange::{End, Event, ExchangeId, Request, RequestHead, Role};
use crate::pair::Claim;
use crate::pipeline::{Back, Config};
use crate::record::BootNs;
use crate::testing;

const MS: BootNs = 1_000_000;
/// The thread that receives, and that of the timer.
const RECEIVER: u32 = 1;
const TIMER: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Opened,
    Sent(&'static str),
    Answered,
    Responded,
}

/// What happens in one process, in order: when, to which exchange, what, and on which thread.
#[derive(Default)]
struct World {
    events: Vec<(BootNs, u64, What, u32)>,
    /// The request of each call.
    truth: HashMap<u64, Option<u64>>,
    random: u64,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// A call that takes so long.
    fn call(&mut self, at: BootNs, path: &'static str, parent: Option<u64>, tid: u32, takes: BootNs) -> BootNs {
        let id = 100_000 + self.truth.len() as u64;
        self.truth.insert(id, parent);
        self.events.extend([(at, id, What::Sent(path), tid), (at + takes, id, What::Answered, tid)]);
        at + takes
    }

    /// A timer calls, all the time.
    fn timer(&mut self, until: BootNs) {
        let mut at = 0;
        while at < until {
            at += (50 + self.random(300)) * MS;
            self.call(at, "/config", None, TIMER, MS);
        }
    }

    /// What is claimed of each call in the end.
    fn claims(&mut self) -> BTreeMap<u64, Claim> {
        self.events.sort_unstable();
        let mut back = Back::new(Config::default());
        back.keep_claims();
        let (mut ids, mut claims) = (HashMap::new(), BTreeMap::new());
        for (number, (time, key, what, tid)) in self.events.drain(..).enumerate() {
            let id = *ids.entry(key).or_insert(ExchangeId(number as u64 + 1));
            let (status, coroutine) = (Some(200), 0);
            let events = match what {
                What::Opened => vec![Event::Request(Arc::new(request(id, key, Role::Server, "/orders", tid, time)))],
                What::Sent(path) => vec![Event::Request(Arc::new(request(id, key, Role::Client, path, tid, time)))],
                What::Answered | What::Responded => vec![
                    Event::Response { id, time, tid, coroutine, status },
                    Event::End { id, time, end: End::Complete },
                ],
            };
            events.into_iter().for_each(|event| back.handle(event, &mut Vec::new()));
            claims.extend(back.claims().into_iter().map(|claim| (claim.call, claim)));
        }
        back.finish(&mut Vec::new());
        claims.extend(back.claims().into_iter().map(|claim| (claim.call, claim)));
        ids.iter().filter_map(|(key, id)| Some((*key, claims.remove(id)?))).collect()
    }

    /// Shares of the calls that are told right: of those that requests made, and of the others.
    fn score(&mut self) -> [f64; 2] {
        let claims = self.claims();
        let mut counts = [[0.0; 2]; 2];
        for (call, parent) in &self.truth {
            let claimed = claims.get(call).and_then(|claim| claim.parent.as_ref());
            let claimed = claimed.and_then(|parent| parent.path.rsplit('/').next()?.parse().ok());
            let [all, right] = &mut counts[usize::from(parent.is_none())];
            *all += 1.0;
            *right += f64::from(u8::from(claimed == *parent));
        }
        counts.map(|[all, right]| right / all)
    }
}

fn request(id: ExchangeId, key: u64, role: Role, path: &str, tid: u32, time: BootNs) -> Request {
    let request = testing::request(id, role, time);
    let server = role == Role::Server;
    let context = format!("00-{:032x}-{:016x}-01", id.0, id.0);
    let head = RequestHead {
        path: if server { format!("{path}/{key}").into() } else { path.into() },
        fields: server.then_some(("traceparent", context)).into_iter().collect(),
        ..request.head
    };
    Request { tid, head, ..request }
}

#[test]
fn a_worker_that_calls_in_turn_and_answers_is_found_out() {
    let mut world = World::default();
    for n in 0..400 {
        let worker = 100 + (n % 40) as u32;
        let at = n * 30 * MS + world.random(15 * MS);
        let takes = (40 + world.random(200)) * MS;
        world.events.push((at, n, What::Opened, RECEIVER));
        let mut done = at + MS;
        for path in ["/a", "/b", "/c"] {
            done = world.call(done + MS / 4, path, Some(n), worker, takes);
        }
        world.events.push((done + MS / 4, n, What::Responded, worker));
    }
    world.timer(400 * 30 * MS);
    let [hops, background] = world.score();
    // Of the first few of a kind nobody knows.
    assert!(hops >= 0.98 && background >= 0.75, "{hops} {background}");
}

#[test]
fn an_event_loop_is_told_by_what_its_requests_wait_for() {
    let mut world = World::default();
    for n in 0..400 {
        let at = n * 20 * MS + world.random(15 * MS);
        let takes = (40 + world.random(400)) * MS;
        world.events.push((at, n, What::Opened, RECEIVER));
        for path in ["/a", "/b"] {
            // It takes its time, so that others arrive meanwhile.
            let sent = at + world.random(30 * MS);
            world.call(sent, path, Some(n), RECEIVER, takes);
        }
        let done = at + takes + 30 * MS + world.random(MS / 4);
        world.events.push((done, n, What::Responded, RECEIVER));
    }
    world.timer(400 * 20 * MS);
    let [hops, background] = world.score();
    assert!(hops >= 0.95 && background >= 0.75, "{hops} {background}");
}

#[test]
fn calls_wait_only_where_there_is_room() {
    let room = Room::new(10);
    let used = || room.used.load(std::sync::atomic::Ordering::Relaxed);
    let mut some = Hindsight::new(&room);
    let mut others = Hindsight::new(&room);
    for n in 0..40 {
        let candidates = Candidates { ids: Box::new([ExchangeId(1)]), among: 1 };
        let (id, at, execution) = (ExchangeId(100 + n), n * MS, 3);
        let sent = Sent { id, at, kind: 5, execution, known: None, likely: None, candidates: candidates.clone() };
        let hindsight = if n % 2 == 0 { &mut some } else { &mut others };
        if hindsight.takes(n * MS, false) {
            hindsight.sent(sent);
        }
        some.make_up(n * MS, &candidates);
        assert!(used() <= 10);
    }
    assert_eq!(used(), 10);
    some.taint();
    assert_eq!(used(), 5);
    let mut settled = Vec::new();
    others.decide(100 * MS, &mut Default::default(), true, &mut settled);
    assert_eq!((used(), settled.len()), (0, 5));
    others.taint();
    drop(others);
    assert_eq!(used(), 0);
}
