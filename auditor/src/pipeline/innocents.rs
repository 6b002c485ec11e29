//! Healthy services whose calls are in step with requests that did not make them. Each of these was accused once.

use super::script::{MS, Ran, Say, Script, context};
use super::worlds::Dice;

fn jitter(n: u64, most: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % (most * MS).max(1)
}

fn assert_nobody_is_accused(ran: &Ran) {
    for code in ["traceparent_dropped", "trace_restarted"] {
        assert_eq!(ran.count(code), 0, "{code}: {:?}", ran.findings(code).first().map(|f| &f.message));
    }
}

/// Every session: a job without context that is accepted and done after the answer, then a poll with context that is
/// open when the job makes its call.
fn jobs(thread_of_the_job: u32, sent: impl Fn(u64) -> Option<String>) -> Ran {
    let mut script = Script::default();
    for n in 0..80 {
        let time = n * 300 * MS + jitter(n, 100);
        script.receive(time, 4 * MS, Say::new(1, 10, "POST /jobs"));
        script.receive(time + 6 * MS, 80 * MS, Say::new(1, 10, "GET /wait").with(context(n, 0)));
        let call = Say::new(1, thread_of_the_job, "POST /render");
        script.call(time + 24 * MS + jitter(n + 7, 9), if let Some(own) = sent(n) { call.with(own) } else { call });
    }
    script.run()
}

#[test]
fn work_that_outlives_a_request_without_context_is_not_the_next_ones() {
    assert_nobody_is_accused(&jobs(10, |_| None));
    assert_nobody_is_accused(&jobs(99, |_| None));
}

#[test]
fn a_job_may_start_its_own_trace() {
    assert_nobody_is_accused(&jobs(10, |n| Some(context(10_000 + n, 1))));
    assert_nobody_is_accused(&jobs(99, |n| Some(context(10_000 + n, 1))));
}

#[test]
fn a_client_that_gave_up_without_context_may_be_worked_for() {
    let mut script = Script::default();
    for n in 0..80 {
        let time = n * 300 * MS + jitter(n, 100);
        script.abandon(time, 4 * MS, Say::new(1, 10, "GET /report"));
        script.receive(time + 6 * MS, 80 * MS, Say::new(1, 10, "GET /x").with(context(n, 0)));
        script.call(time + 24 * MS + jitter(n + 7, 9), Say::new(1, 10, "POST /sql"));
    }
    assert_nobody_is_accused(&script.run());
}

/// `/a` really drops on its own thread; a timer makes the same call, now and then while `/b` is open.
#[test]
fn what_one_route_drops_is_not_held_against_another() {
    let mut script = Script::default();
    for n in 0..150 {
        let time = n * 97 * MS + jitter(n, 20);
        script.receive(time, 12 * MS, Say::new(1, 10, "GET /a").with(context(n, 0)));
        script.call(time + 3 * MS, Say::new(1, 10, "POST /audit"));
    }
    for n in 0..400 {
        script.receive(n * 37 * MS + jitter(n + 3, 12), 15 * MS, Say::new(1, 11, "GET /b").with(context(5000 + n, 0)));
        script.call(n * 36 * MS + jitter(n + 5, 20), Say::new(1, 99, "POST /audit"));
    }
    let ran = script.run();
    assert!(ran.count("traceparent_dropped") >= 50, "/a drops");
    for finding in ran.findings("traceparent_dropped") {
        let inbound = finding.finding.inbound.as_ref().map(|inbound| inbound.route.as_str());
        assert_eq!(inbound, Some("/a"), "{}", finding.message);
    }
}

#[test]
fn what_every_fifth_request_sets_off_is_not_the_requests() {
    for (nth, tid) in [(2, 99), (5, 99), (5, 10), (7, 99)] {
        let mut script = Script::default();
        for n in 0..500 {
            let time = n * 60 * MS + jitter(n, 40);
            script.receive(time, 10 * MS, Say::new(1, 10, "GET /x").with(context(n, 0)));
            if n % nth == 0 {
                script.call(time + 4 * MS + jitter(n, 3), Say::new(1, tid, "POST /internal/metrics-push"));
            }
        }
        assert_nobody_is_accused(&script.run());
    }
}

/// Pages: `/page` drops, 40 ms after it came; `/widget` comes along with it, so long after, and forwards its own calls.
fn pages(period: u64, widget_after: u64, thread: u32) -> Ran {
    let mut script = Script::default();
    for n in 0..200 {
        let time = n * period * MS + jitter(n, period / 4);
        script.receive(time, 80 * MS, Say::new(1, 10, "GET /page").with(context(n, 0)));
        script.call(time + 39 * MS + jitter(n + 3, 2), Say::new(1, thread, "POST /render"));
        let along = time + widget_after * MS + jitter(n + 5, 2) / 2;
        script.receive(along, 60 * MS, Say::new(1, 10, "GET /widget").with(context(5000 + n, 0)));
        script.call(along + 30 * MS, Say::new(1, thread, "GET /data").with(context(5000 + n, 1)));
    }
    script.run()
}

#[test]
fn what_comes_along_with_the_one_that_drops_does_not_drop() {
    for period in [120, 150, 200, 300, 600] {
        for widget_after in [1, 5, 20, 30, 34, 37, 38] {
            for thread in [10, 99] {
                for finding in pages(period, widget_after, thread).findings("traceparent_dropped") {
                    let inbound = finding.finding.inbound.as_ref().map(|inbound| inbound.route.as_str());
                    assert_eq!(inbound, Some("/page"), "{period} {widget_after} {thread}: {}", finding.message);
                }
            }
        }
    }
}

/// A request without context that stays open and calls whenever another one comes.
#[test]
fn a_companion_without_context_may_be_the_one_that_calls() {
    for lasts in [1400, 5000, 30_000] {
        let mut script = Script::default();
        let mut begins = 0;
        while begins < 30_000 {
            script.receive(begins * MS, lasts * MS, Say::new(1, 10, "GET /watch"));
            begins += lasts + 150;
        }
        for n in 0..170 {
            let time = n * 167 * MS + jitter(n, 90);
            script.receive(time, 12 * MS, Say::new(1, 10, "GET /cart").with(context(n, 0)));
            if (time / MS) % (lasts + 150) < lasts - 30 {
                script.call(time + 4 * MS + jitter(n + 1, 3), Say::new(1, 10, "POST /feed"));
            }
        }
        assert_nobody_is_accused(&script.run());
    }
}

/// Workers that fetch their settings while they serve their first request, and then never again.
#[test]
fn what_a_worker_does_when_it_is_new_is_not_what_its_requests_do() {
    let mut script = Script::default();
    for worker in 0..40_u32 {
        let begins = u64::from(worker) * 700 * MS;
        let say = |target| {
            let mut say = Say::new(2000 + worker, 2000 + worker, target);
            say.pid.start_ns = super::script::START + begins;
            say
        };
        for n in 0..5 {
            let trace = u64::from(worker) * 100 + n;
            let time = begins + 50 * MS + n * 120 * MS;
            script.receive(time, 20 * MS, say("GET /cart").with(context(trace, 0)));
            script.call(time + 10 * MS, say("POST /charge").with(context(trace, 1)));
            if n == 0 {
                script.call(time + 5 * MS, say("GET /settings"));
            }
        }
    }
    assert_nobody_is_accused(&script.run());
}

/// Users, each with a token that the service keeps and works with while they are away as well.
fn users(users: u64, open: u64, between: u64, sync: u64) -> Ran {
    let (mut script, mut dice) = (Script::default(), Dice::new(users));
    for user in 0..users {
        let mut time = dice.pause(between * MS);
        while time < 20_000 * MS {
            let context = context(dice.below(1 << 40), 0);
            script.receive(time, open * MS, Say::new(1, 10, "GET /events").with(context).value(1000 + user));
            time += open * MS + dice.pause(between * MS);
        }
        let mut time = dice.pause(sync * MS);
        while time < 20_000 * MS {
            script.call(time, Say::new(1, 10, "GET /mail").value(1000 + user));
            time += dice.pause(sync * MS);
        }
    }
    script.run()
}

#[test]
fn work_with_a_users_token_is_not_that_of_the_users_request() {
    for (open, between, sync) in [(2000, 100, 1500), (4000, 4000, 2000), (30, 3000, 500), (15_000, 1, 700)] {
        for count in [5, 40, 400] {
            assert_nobody_is_accused(&users(count, open, between, sync));
        }
    }
}

/// A service with one connection to its back end, for which everybody waits: the calls of its requests, which carry their
/// context, and those of a loop that asks for its configuration, sleeps, and asks again. What the loop calls follows what
/// requests do: they make it wait.
#[test]
fn who_waits_for_the_same_connection_does_not_work_for_the_request_that_has_it() {
    for (seed, gap, sleep) in [(1, 25, (5, 10)), (2, 50, (5, 10)), (3, 60, (5, 10)), (4, 25, (8, 4))] {
        let (mut script, mut dice) = (Script::default(), Dice::new(seed));
        let (mut arrival, mut poll, mut free) = (0, 0, 0);
        for n in 0..1500 {
            arrival += dice.pause(gap * MS);
            // The loop's turns before this request wants the connection.
            while poll.max(free) < arrival.max(free) && poll <= arrival.max(free) {
                let begin = poll.max(free);
                let takes = MS + dice.below(14 * MS);
                script.slow_call(begin, takes, Say::new(1, 10, "GET /config"));
                free = begin + takes;
                poll = free + sleep.0 * MS + dice.below(sleep.1 * MS);
            }
            let begin = arrival.max(free);
            let takes = MS + dice.below(14 * MS);
            script.receive(arrival, begin + takes + MS / 2 - arrival, Say::new(1, 10, "GET /page").with(context(n, 0)));
            script.slow_call(begin + MS / 10, takes, Say::new(1, 10, "GET /data").with(context(n, 1)));
            free = begin + takes + MS / 5;
        }
        assert_nobody_is_accused(&script.run());
    }
}

/// Jobs that requests leave behind, done later with the ids that came along.
#[test]
fn what_a_queue_does_with_the_id_of_an_earlier_request_is_not_the_latest_requests() {
    for after in [150, 400, 2500] {
        let mut script = Script::default();
        for n in 0..400 {
            let time = n * 40 * MS + jitter(n, 30);
            let say = Say::new(1, 10, "POST /orders").with(context(n, 0)).request_id(5000 + n).value(n % 7);
            script.receive(time, 20 * MS, say);
            script.call(time + after * MS + jitter(n + 9, 40), Say::new(1, 10, "POST /mail").request_id(5000 + n));
        }
        assert_nobody_is_accused(&script.run());
    }
}

/// The positive: ids of requests on the calls made for them convict where nothing else can.
#[test]
fn the_id_of_the_request_convicts() {
    let mut script = Script::default();
    for n in 0..100 {
        let time = n * 20 * MS + jitter(n, 10);
        for (copy, target) in [(0, "GET /a"), (1, "GET /b")] {
            let trace = n * 2 + copy;
            let say = Say::new(1, 10, target).with(context(trace, 0)).request_id(5000 + trace);
            script.receive(time + copy * MS, 300 * MS, say);
        }
        script.call(time + 50 * MS + jitter(n + 9, 200), Say::new(1, 10, "POST /charge").request_id(5000 + n * 2));
    }
    let ran = script.run();
    let routes: Vec<_> = ran
        .findings("traceparent_dropped")
        .iter()
        .map(|finding| finding.finding.inbound.as_ref().map(|inbound| inbound.route.clone()))
        .collect();
    assert!(!routes.is_empty() && routes.iter().all(|route| route.as_deref() == Some("/a")), "{routes:?}");
}
