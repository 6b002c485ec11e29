//! Healthy services whose calls are in step with requests that did not make them. Each of these was accused once.

use super::script::{MS, Ran, Say, Script, context};

fn jitter(n: u64, most: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) % most * MS
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
