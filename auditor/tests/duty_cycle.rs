//! Processes that are looked at for a part of the time: whom that accuses, and who is found all the same.

#[allow(dead_code, reason = "shared with other tests")]
mod worlds;

use std::collections::HashMap;

use auditor::pipeline::Settings;
use auditor::record::{Data, DutyCycle, Record, SocketId};
use auditor::report::Line;
use auditor::testing::MASKING;
use auditor_ebpf::{cycle, wire};
use worlds::{Bare, Cuts, Pace, Threading, Timer, Treatment, World, accused, run, trap};

/// Leaves what the kernel side ships with a duty cycle.
fn looked_at(records: Vec<Record>, duty: DutyCycle) -> Vec<Record> {
    let mut turns: HashMap<SocketId, u32> = HashMap::new();
    let mut seq = 0;
    let mut is_seen = |data: &mut Data| {
        let turn = cycle::turn(data.time, data.process.tgid, duty.period_ms).expect("a period");
        if turn.age_ns >= u64::from(duty.audited_ms) * 1_000_000 {
            return false;
        }
        if turns.get(&data.socket) != Some(&turn.number) {
            if data.flags & wire::FLAG_START == 0 {
                turns.remove(&data.socket);
                return false;
            }
            turns.insert(data.socket, turn.number);
            data.flags |= wire::FLAG_FRESH;
        }
        true
    };
    let mut left = Vec::new();
    for mut record in records {
        match &mut record {
            Record::Data(data) => {
                if !is_seen(data) {
                    continue;
                }
                seq += 1;
                data.seq = seq;
            }
            Record::Close(close) => {
                seq += 1;
                close.seq = seq;
            }
            Record::Clock(clock) => clock.duty_cycle = Some(duty),
            _ => {}
        }
        left.push(record);
    }
    left
}

fn audit(world: &World, duty: &str) -> Vec<Line> {
    let settings = Settings { masking: MASKING, ..Settings::default() };
    run(looked_at(world.records(&Cuts::new()).0, duty.parse().expect("a duty cycle")), settings)
}

const CYCLES: [&str; 4] = ["10s/60s", "10s/30s", "3s/5s", "5s/1m"];
const THREADINGS: [Threading; 3] = [Threading::PerRequest, Threading::Loop, Threading::HandOff];

/// Seven minutes of one service, with several requests open at once.
fn service(threading: Threading, treatment: Treatment) -> World {
    let mut world = trap(threading, 0);
    for service in &mut world.0 {
        (service.requests, service.gap_ms, service.takes_ms) = (4000, 105, 300);
        (service.treatment, service.bare) = (treatment, None);
    }
    world
}

#[test]
fn the_guilty_are_found() {
    for duty in CYCLES {
        let lines = audit(&service(Threading::PerRequest, Treatment::Drop), duty);
        let found = Vec::from_iter(accused(&lines));
        let [(100, found, edge)] = &found[..] else {
            panic!("{duty}: {found:?} {:?}", lines.last().map(Line::to_json))
        };
        assert_eq!((found.as_str(), edge.as_str()), ("traceparent_dropped", r#""/cart" -> "backend-0" "/charge""#));
    }
}

#[test]
fn the_innocent_are_not_accused() {
    let bares = [None, Some(Bare::Paired)].into_iter();
    let bares = bares.chain([300, 2_500, 7_000, 45_000, 300_000].map(|lasts| Some(Bare::Long(lasts))));
    let timers = [(150, Pace::Even), (700, Pace::Late), (105, Pace::Even), (2_050, Pace::Random), (315, Pace::Even)];
    for threading in THREADINGS {
        for (n, bare) in bares.clone().enumerate() {
            let mut world = service(threading, Treatment::Forward);
            let (every_ms, pace) = timers[n % timers.len()];
            for service in &mut world.0 {
                (service.bare, service.same_edge) = (bare, n % 2 == 1);
                service.timer = Some(Timer { every_ms, pace, in_loop: true });
            }
            let mut alone = trap(threading, 0);
            for service in &mut alone.0 {
                (service.requests, service.bare) = (2000, bare);
            }
            for world in [world, alone] {
                let found = accused(&audit(&world, CYCLES[n % CYCLES.len()]));
                assert!(found.is_empty(), "{threading:?} {bare:?} {every_ms}: {found:?}");
            }
        }
    }
}

#[test]
fn the_output_says_how_much_was_looked_at() {
    let lines = audit(&service(Threading::PerRequest, Treatment::Forward), "10s/30s");
    let text: Vec<String> = lines.iter().map(Line::to_json).collect();
    assert!(text[0].contains(r#""duty_cycle":"10s/30s""#), "{}", text[0]);
    let summaries: Vec<_> = text.iter().filter(|line| line.contains("auditor.summary")).collect();
    assert!(!summaries.is_empty());
    assert!(summaries.iter().all(|line| line.contains(r#""audited_share":0.3333"#)), "{summaries:?}");
}
