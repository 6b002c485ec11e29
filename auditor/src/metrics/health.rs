//! Whether it lives (`/healthz`) and whether it is of use (`/readyz`).

use std::time::{Duration, Instant};

use super::board::{Phase, Pinned};

/// What runs the pipeline gives a sign of life every second. After so many without one it hangs.
const ALIVE: Duration = Duration::from_secs(10);
/// The kernel may take its time to verify the programs.
const ATTACHED: Duration = Duration::from_secs(60);

/// The answer, and what it is in words.
pub(super) type Answer = Result<String, String>;

/// Whether it lives; if not, a restart may help.
pub(super) fn alive(pinned: &Pinned, now: Instant) -> Answer {
    let silent = now.saturating_duration_since(pinned.at);
    let limit = if pinned.phase == Phase::Attaching { ATTACHED } else { ALIVE };
    match pinned.phase {
        _ if silent > limit => Err(format!("no sign of life for {} s", silent.as_secs())),
        Phase::Attaching => Ok("attaching".to_owned()),
        Phase::Running => Ok("alive".to_owned()),
        Phase::Stopping => Ok("stopping".to_owned()),
    }
}

/// Whether services are audited and somebody gets to know. An audit that is worth less than it should be is still one: no
/// restart mends it, so it says so and is ready.
pub(super) fn ready(pinned: &Pinned, now: Instant) -> Answer {
    alive(pinned, now)?;
    let snapshot = match (pinned.phase, &pinned.snapshot) {
        (Phase::Attaching, _) => return Err("not attached yet".to_owned()),
        (Phase::Stopping, _) => return Err("stopping".to_owned()),
        (Phase::Running, None) => return Ok("ready".to_owned()),
        (Phase::Running, Some(snapshot)) => snapshot,
    };
    if !snapshot.outputs.is_empty() && snapshot.outputs.values().all(|output| !output.up) {
        let names: Vec<_> = snapshot.outputs.keys().map(String::as_str).collect();
        return Err(format!("no output takes lines: {}", names.join(", ")));
    }
    let causes: Vec<_> = snapshot.degraded.iter().map(|cause| cause.as_str()).collect();
    Ok(if causes.is_empty() { "ready".to_owned() } else { format!("ready, degraded: {}", causes.join(", ")) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use auditor::pipeline::Cause;
    use auditor::sink::SinkCounters;

    use super::*;
    use crate::metrics::OutputState;
    use crate::metrics::render::tests::snapshot;

    fn pinned(phase: Phase, up: &[bool], degraded: &[Cause]) -> Pinned {
        let state = |up: &bool| OutputState { up: *up, counters: SinkCounters::default() };
        let outputs = ["stdout", "syslog"].map(str::to_owned).into_iter().zip(up.iter().map(state)).collect();
        let snapshot = Arc::new(crate::metrics::Snapshot { outputs, degraded: degraded.to_vec(), ..snapshot() });
        Pinned { phase, at: Instant::now(), capture: None, snapshot: Some(snapshot) }
    }

    #[test]
    fn it_lives_while_it_ticks() {
        for (phase, limit) in [(Phase::Attaching, 60), (Phase::Running, 10), (Phase::Stopping, 10)] {
            let pinned = pinned(phase, &[true], &[]);
            let after = |seconds| alive(&pinned, pinned.at + Duration::from_secs(seconds));
            assert!(after(limit).is_ok() && after(limit + 1).is_err(), "{phase:?}");
            assert!(ready(&pinned, pinned.at + Duration::from_secs(limit + 1)).is_err());
        }
    }

    #[test]
    fn it_is_ready_when_somebody_gets_to_know() {
        let ask = |phase, up: &[bool], degraded: &[Cause]| {
            let pinned = pinned(phase, up, degraded);
            ready(&pinned, pinned.at)
        };
        assert_eq!(ask(Phase::Running, &[true, false], &[]), Ok("ready".into()));
        assert_eq!(
            ask(Phase::Running, &[true, false], &[Cause::RecordsLost, Cause::OutputDown]),
            Ok("ready, degraded: records_lost, output_down".into())
        );
        assert_eq!(ask(Phase::Running, &[false], &[]), Err("no output takes lines: stdout".into()));
        assert!(ask(Phase::Attaching, &[true], &[]).is_err());
        assert!(ask(Phase::Stopping, &[true], &[]).is_err());
    }
}
