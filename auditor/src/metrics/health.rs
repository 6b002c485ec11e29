//! Whether it lives (`/healthz`) and whether it is of use (`/readyz`).

use std::time::{Duration, Instant};

use super::board::Pinned;

/// What runs the pipeline gives a sign of life every second. After so many without one it hangs.
const ALIVE: Duration = Duration::from_secs(10);

/// The answer, and what it is in words.
pub(super) type Answer = Result<String, String>;

/// Whether it lives; if not, a restart may help.
pub(super) fn alive(pinned: &Pinned, now: Instant) -> Answer {
    let silent = now.saturating_duration_since(pinned.at);
    if silent > ALIVE {
        return Err(format!("no sign of life for {} s", silent.as_secs()));
    }
    Ok(if pinned.stopping { "stopping" } else { "alive" }.to_owned())
}

/// Whether services are audited and somebody gets to know. An audit that is worth less than it should be is still one: no
/// restart mends it, so it says so and is ready.
pub(super) fn ready(pinned: &Pinned, now: Instant) -> Answer {
    alive(pinned, now)?;
    if pinned.stopping {
        return Err("stopping".to_owned());
    }
    // All is attached before the first who asks is heard.
    let Some(snapshot) = &pinned.snapshot else { return Ok("ready".to_owned()) };
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

    fn pinned(stopping: bool, up: &[bool], degraded: &[Cause]) -> Pinned {
        let state = |up: &bool| OutputState { up: *up, counters: SinkCounters::default() };
        let outputs = ["stdout", "syslog"].map(str::to_owned).into_iter().zip(up.iter().map(state)).collect();
        let snapshot = Arc::new(crate::metrics::Snapshot { outputs, degraded: degraded.to_vec(), ..snapshot() });
        Pinned { at: Instant::now(), stopping, snapshot: Some(snapshot) }
    }

    #[test]
    fn it_lives_while_it_ticks() {
        let pinned = pinned(false, &[true], &[]);
        let after = |seconds| alive(&pinned, pinned.at + Duration::from_secs(seconds));
        assert!(after(10).is_ok() && after(11).is_err());
        assert!(ready(&pinned, pinned.at + Duration::from_secs(11)).is_err());
    }

    #[test]
    fn it_is_ready_when_somebody_gets_to_know() {
        let ask = |stopping, up: &[bool], degraded: &[Cause]| {
            let pinned = pinned(stopping, up, degraded);
            ready(&pinned, pinned.at)
        };
        assert_eq!(ask(false, &[true, false], &[]), Ok("ready".into()));
        assert_eq!(
            ask(false, &[true, false], &[Cause::RecordsLost, Cause::OutputDown]),
            Ok("ready, degraded: records_lost, output_down".into())
        );
        assert_eq!(ask(false, &[false], &[]), Err("no output takes lines: stdout".into()));
        assert!(ask(true, &[true], &[]).is_err());
    }
}
