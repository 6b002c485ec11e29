//! What the pipeline is measured on: recordings of real fleets played over and over, and generated conversations.

use std::path::Path;

use anyhow::{Context, Result};
use auditor::pipeline::{Front, Pipeline, Settings};
use auditor::record::{ProcessId, Record};
use auditor::source::recording::{Reader, Writer};
use auditor::testing::{MASKING, Script};

/// A recording in memory, in two halves: one to warm up and one to measure.
pub(crate) struct Case {
    pub(crate) name: String,
    warm: Vec<u8>,
    hot: Vec<u8>,
    settings: Settings,
    /// Exchanges in the second half, of servers and of clients.
    pub(crate) exchanges: u64,
}

impl Case {
    /// Of records as they are to be pushed.
    fn new(name: String, records: &[Record], settings: Settings) -> Result<Self> {
        let (warm, hot) = records.split_at(records.len() / 2);
        let mut case = Self { name, warm: frames(warm)?, hot: frames(hot)?, settings, exchanges: 0 };
        let requests = |front: &Front| {
            let counters = front.counters();
            let exchange = counters.iter().find(|(stage, _)| *stage == "exchange");
            exchange.and_then(|(_, all)| all.iter().find(|(name, _)| *name == "requests")).map_or(0, |(_, n)| *n)
        };
        let (mut front, mut events) = (case.front(), Vec::new());
        case.warm(&mut |record| front.push(record, &mut events, |_| {}))?;
        let before = requests(&front);
        case.hot(&mut |record| front.push(record, &mut events, |_| {}))?;
        case.exchanges = requests(&front) - before;
        Ok(case)
    }

    /// Of records as the kernel delivers them.
    pub(crate) fn live(name: String, records: &[Record]) -> Result<Self> {
        Self::new(name, records, Settings { masking: MASKING, ..Settings::default() })
    }

    /// Decodes the first half.
    pub(crate) fn warm(&self, each: &mut impl FnMut(Record)) -> Result<()> {
        decode(&self.warm, each)
    }

    /// Decodes the second half.
    pub(crate) fn hot(&self, each: &mut impl FnMut(Record)) -> Result<()> {
        decode(&self.hot, each)
    }

    pub(crate) fn front(&self) -> Front {
        Front::new(&self.settings)
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        Pipeline::new(self.settings.clone())
    }

    /// A number that stands for all that is said of the case: what makes the pipeline fast must not change it.
    pub(crate) fn digest(&self) -> Result<u64> {
        use std::hash::{DefaultHasher, Hasher};
        let (mut pipeline, mut lines, mut hasher) = (self.pipeline(), Vec::new(), DefaultHasher::new());
        let mut push = |record| {
            pipeline.push(record, &mut lines);
            lines.drain(..).for_each(|line| hasher.write(line.to_json().as_bytes()));
        };
        self.warm(&mut push)?;
        self.hot(&mut push)?;
        pipeline.finish(&mut lines);
        lines.iter().for_each(|line| hasher.write(line.to_json().as_bytes()));
        Ok(hasher.finish())
    }
}

fn frames(records: &[Record]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes)?;
    records.iter().try_for_each(|record| writer.write(record))?;
    drop(writer);
    Ok(bytes)
}

fn decode(bytes: &[u8], each: &mut impl FnMut(Record)) -> Result<()> {
    let mut reader = Reader::new(bytes)?;
    while let Some(record) = reader.next_record()? {
        each(record);
    }
    Ok(())
}

/// The recordings of the repository whose names contain `only`, played until there are about so many exchanges.
pub(crate) fn recordings(root: &Path, exchanges: u64, only: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for directory in ["auditor/tests/recordings", "auditor/tests/recordings/pairing"] {
        for entry in std::fs::read_dir(root.join(directory))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|extension| extension == "rec") && name.contains(only) {
                cases.push(looped(name, &path, exchanges).with_context(|| path.display().to_string())?);
            }
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

fn looped(name: String, path: &Path, exchanges: u64) -> Result<Case> {
    let mut once = Vec::new();
    decode(&std::fs::read(path)?, &mut |record| once.push(record))?;
    let heads = once.iter().filter(|record| matches!(record, Record::Data(_))).count() as u64;
    let span = once.iter().map(Record::time).max().unwrap_or(0) - once.iter().map(Record::time).min().unwrap_or(0);
    let last = once.iter().filter_map(Record::seq).max().unwrap_or(0);
    let mut records = Vec::new();
    // An exchange has two heads; half of the records only warm up.
    for turn in 0..(exchanges * 4 / heads.max(1)).max(2) {
        let (later, further) = (turn * (span + 1_000_000), turn * last);
        for record in &once {
            match record {
                Record::Clock(_) | Record::Process(_) if turn > 0 => {}
                record => records.push(shifted(record.clone(), later, further, turn as u32)),
            }
        }
    }
    Case::new(name, &records, Settings::default().for_recording())
}

/// The same record so much later, in traces of its own.
fn shifted(mut record: Record, later: u64, further: u64, turn: u32) -> Record {
    match &mut record {
        Record::Data(data) => {
            data.time += later;
            data.seq += further;
            renew(&mut data.bytes, turn);
        }
        Record::Close(close) => {
            close.time += later;
            close.seq += further;
        }
        Record::Clock(clock) => clock.boot_ns += later,
        Record::Process(process) => process.time += later,
        Record::Blind(blind) => blind.time += later,
        Record::Tick(tick) => tick.time += later,
    }
    record
}

/// Gives every run of 16 or 32 hex digits, which is an id, another beginning.
fn renew(bytes: &mut [u8], turn: u32) {
    for run in bytes.chunk_by_mut(|a, b| a.is_ascii_hexdigit() == b.is_ascii_hexdigit()) {
        let is_id = matches!(run.len(), 16 | 32) && run.iter().all(|byte| byte.is_ascii_hexdigit());
        let beginning = if is_id { run.get_mut(..8) } else { None };
        let Some(beginning) = beginning else { continue };
        let old = std::str::from_utf8(beginning).ok().and_then(|text| u32::from_str_radix(text, 16).ok()).unwrap_or(0);
        beginning.copy_from_slice(format!("{:08x}", old ^ turn.wrapping_mul(0x9e37_79b1)).as_bytes());
    }
}

/// What the service does with the context.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    Forwards,
    Drops,
}

impl Service {
    /// Of the case with so many requests open at once.
    pub(crate) fn name(self, open: u64) -> String {
        let does = match self {
            Self::Forwards => "forwards",
            Self::Drops => "drops",
        };
        format!("{does} with {open} open")
    }
}

/// A service with so many requests open at once.
pub(crate) fn generated(service: Service, open: u64, requests: u64) -> Result<Case> {
    Case::live(service.name(open), &records(service, open, requests))
}

/// Requests on connections of their own thread, `open` at a time on one thread as in an event loop; each makes a call
/// when half of the others that are open with it have come, and is answered when all of them have.
fn records(service: Service, open: u64, requests: u64) -> Vec<Record> {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
    const CALLS: u64 = 1 << 20;
    let mut script = Script::new();
    script.process = ProcessId { tgid: 100, start_ns: 1 };
    let traceparent = |trace: u64, span: u64| {
        format!("traceparent: 00-{:032x}-{:016x}-01\r\n", u128::from(trace) + (1 << 100), span + 1)
    };
    for n in 0..requests + open {
        // A millisecond apart.
        script.time += 990_000;
        if n < requests {
            let head = format!(
                "GET /cart HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nCookie: session={n:016x}\r\n{}\r\n",
                traceparent(n, 0)
            );
            script.recv(n % open, head);
        }
        if let Some(caller) = n.checked_sub(open / 2).filter(|caller| *caller < requests) {
            let context = match service {
                Service::Forwards => traceparent(caller, 1),
                Service::Drops => String::new(),
            };
            let head = format!(
                "POST /charge HTTP/1.1\r\nHost: backend:8080\r\nUser-Agent: bench/1.0\r\nContent-Length: 0\r\n{context}\r\n"
            );
            script.time += 100_000;
            script.send(CALLS, head);
            script.time += 100_000;
            script.recv(CALLS, OK);
        }
        // Before the connection is used again.
        if let Some(answered) = n.checked_sub(open - 1).filter(|answered| *answered < requests) {
            script.send(answered % open, OK);
        }
        if n % 1000 == 999 {
            script.tick();
        }
    }
    script.records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_are_what_they_claim_to_be() {
        for (service, forwarded) in [(Service::Forwards, 100), (Service::Drops, 0)] {
            let mut pipeline = Pipeline::new(Settings::default());
            let mut lines = Vec::new();
            for record in records(service, 10, 100) {
                pipeline.push(record, &mut lines);
            }
            pipeline.finish(&mut lines);
            let totals = pipeline.totals();
            assert_eq!((totals.requests, totals.hops.values().sum::<u64>(), totals.lost), (100, 100, 0));
            assert_eq!(totals.info().hops.get("continued").copied().unwrap_or(0), forwarded);
        }
    }

    #[test]
    fn ids_are_renewed_and_nothing_else() {
        let mut bytes =
            *b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nhost: 0123456789\r\n";
        let before = bytes;
        renew(&mut bytes, 0);
        assert_eq!(bytes, before);
        renew(&mut bytes, 1);
        assert_ne!((&bytes[16..24], &bytes[49..57]), (&before[16..24], &before[49..57]));
        assert_eq!((&bytes[24..49], &bytes[57..]), (&before[24..49], &before[57..]));
    }
}
