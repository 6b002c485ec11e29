//! A trial: the auditor looks at a scene, and is judged.

use std::path::Path;
use std::time::Duration;

use super::cgroup::Group;
use super::driver::Drive;
use super::model::{Model, Variant};
use super::scene::Scene;
use super::verdict::{Verdict, verdicts};
use crate::auditor::{Auditor, auditor_command};
use crate::kernel::best_hooks;
use crate::process::{PATIENCE, eventually};

/// Requests a second to every service.
pub const RATE: f64 = 50.0;
/// How long a service is driven: what is broken has to be found in that time.
pub const DURATION: Duration = Duration::from_secs(10);
/// How many requests are open at once, about.
pub const CONCURRENCIES: [usize; 3] = [1, 16, 64];
/// How often the services of which something was missed are tried.
const CHANCES: u32 = 3;
/// How many models are on stage at the same time: as many as two cores serve at that rate.
const CAST: usize = 6;

/// Audits the models, many of them at the same time.
///
/// # Panics
/// When a service or the auditor does not start, or the auditor fails.
pub fn audit(models: &[Model], variant: Variant, connections: usize) -> Vec<Verdict> {
    // Neighbours are alike: spread, those that start a process for every request do not wait for each other.
    let casts = models.len().div_ceil(CAST);
    let cast = |first| models.iter().skip(first).step_by(casts).copied().collect::<Vec<_>>();
    (0..casts).flat_map(|first| audit_at_once(&cast(first), variant, connections)).collect()
}

fn audit_at_once(models: &[Model], variant: Variant, connections: usize) -> Vec<Verdict> {
    let group = Group::new();
    let auditor = Auditor::run_with(best_hooks(), &[], &["--cgroup", group.path()]);
    let scene = Scene::start(models, variant, group);
    let played = scene.play(&Drive { connections, rate: RATE, duration: DURATION, affinity: false });
    let audit = auditor.stop();
    audit.assert_clean();
    verdicts(&audit, variant, &played)
}

/// As a table, a line a service.
pub fn table(variant: Variant, connections: usize, verdicts: &[Verdict]) -> String {
    let line = |verdict: &Verdict| format!("{:<7} {connections:>2} {verdict}\n", variant.name());
    verdicts.iter().map(line).collect()
}

/// The test of one variant at one concurrency: the truth, the whole truth and nothing but the truth on every model.
///
/// # Panics
/// When it is not, with what was said.
pub fn test(variant: Variant, connections: usize) {
    // One at a time, or the load of one test would be the noise of another.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut models = super::models();
    for chance in 1..=CHANCES {
        let verdicts = audit(&models, variant, connections);
        let table = table(variant, connections, &verdicts);
        println!("{table}");
        // To miss something may be the fault of a machine that is too busy to serve the requests; an accusation is not.
        let wrong = |verdict: &Verdict| !verdict.is_right() && (chance == CHANCES || !verdict.only_missed());
        assert!(!verdicts.iter().any(wrong), "\n{table}");
        models.retain(|model| verdicts.iter().any(|verdict| verdict.name == model.name && !verdict.is_right()));
        if models.is_empty() {
            return;
        }
    }
}

/// Records what a service does under a load, and writes the truth beside it: `DIR/NAME.rec` and `DIR/NAME.truth`, where
/// NAME is `MODEL-VARIANT-CONNECTIONS`. Returns a line about it.
///
/// # Panics
/// When that cannot be done, and when the truth does not add up.
pub fn record(model: &Model, variant: Variant, connections: usize, duration: Duration, dir: &Path) -> String {
    let name = format!("{}-{}-{connections}", model.name, variant.name());
    let (recording, truth) = (dir.join(format!("{name}.rec")), dir.join(format!("{name}.truth")));
    if let Err(error) = std::fs::remove_file(&recording) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", recording.display());
    }
    let group = Group::new();
    let mut command = auditor_command();
    command.args(["record", "--hooks", best_hooks(), "--cgroup", group.path(), "--output"]).arg(&recording);
    let auditor = Auditor::spawn(&mut command);
    let attached = eventually(PATIENCE, || auditor.stderr().contains("recording to"));
    assert!(attached, "auditor does not record: {}", auditor.stderr());
    // Only now, so that the truth and the recording number the calls of each port alike.
    let scene = Scene::start(std::slice::from_ref(model), variant, group);
    let affinity = variant == Variant::Affine;
    let played = scene.play(&Drive { connections, rate: RATE, duration, affinity });
    let said = auditor.stop().stderr;
    let [played] = played.as_slice() else { panic!("{} services played, not one", played.len()) };
    assert!(played.errors.is_empty(), "{}", played.trouble());
    let file = std::fs::File::create(&truth).unwrap_or_else(|error| panic!("{}: {error}", truth.display()));
    played.truth.write(std::io::BufWriter::new(file)).expect("the truth can be written");
    let kib = std::fs::metadata(&recording).map_or(0, |file| file.len() / 1024);
    let lost = said.rsplit_once(", ").map_or("", |(_, lost)| lost.trim());
    format!("{name}: {} requests, {} calls, {kib} KiB, {lost}", played.truth.requests.len(), played.truth.calls.len())
}
