//! Whatever bytes stand in the fields of a format: nobody panics, what is shown is short, and who passes everything on is
//! never at fault.
//!
//! Heads are those of a corpus, mutated as a fuzzer would, and ones of any bytes. `PROPTEST_CASES` runs it for longer.

use auditor::context::FORMATS;
use auditor::context::format::{Fields, Format, Level, Status};
use auditor::exchange::FieldLines;
use auditor::rule::Severity;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

const CORPUS: &str = include_str!("corpus/contexts.txt");
/// What users keep for themselves.
const SECRET: &str = "hunter2";
/// Bytes that mean something to some format.
const TELLING: &[u8] = b"-,=;:/%@ \t\"\\0fF1dA?_.~\x00\x7f\x80\xff";
/// Most that a format may show of a head, in bytes.
const EVIDENCE: usize = 512;
/// Most faults that a format may find in one head, or between two.
const FAULTS: usize = 16;

type Head = Vec<(Bytes, Bytes)>;

/// What a fuzzer does to the bytes of a value.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    /// What is between two places once more, so often.
    Repeat(Index, Index, usize),
    /// What stands in another field of the corpus.
    Splice(Index, Index),
    SwapCase,
    Twice,
}

fn lines(head: &Head) -> FieldLines {
    head.iter().map(|(name, value)| (name, value)).collect()
}

fn heads() -> Vec<Head> {
    let lines = CORPUS.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let field = |line: &&str| {
        let (name, value) = line.split_once(':').unwrap();
        (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.trim().as_bytes()))
    };
    let heads = lines.split(|line| line.is_empty()).map(|head| head.iter().map(field).collect::<Head>());
    heads.filter(|head| !head.is_empty()).collect()
}

fn mutate(head: &mut Head, field: Index, mutation: &Mutation) {
    let corpus: Vec<_> = heads().concat();
    if head.is_empty() {
        return;
    }
    let field = field.index(head.len());
    let mut value = head[field].1.to_vec();
    let place = |index: &Index, value: &Vec<u8>| index.index(value.len() + 1);
    match mutation {
        Mutation::Set(at, byte) if !value.is_empty() => {
            let at = at.index(value.len());
            value[at] = *byte;
        }
        Mutation::Set(..) => {}
        Mutation::Insert(at, byte) => value.insert(place(at, &value), *byte),
        Mutation::Remove(from, to) => {
            let (from, to) = (place(from, &value), place(to, &value));
            value.drain(from.min(to)..from.max(to));
        }
        Mutation::Repeat(from, to, times) => {
            let (from, to) = (place(from, &value), place(to, &value));
            let part = value[from.min(to)..from.max(to)].repeat(*times);
            value.splice(to..to, part);
        }
        Mutation::Splice(at, other) => {
            let at = place(at, &value);
            value.splice(at..at, corpus[other.index(corpus.len())].1.to_vec());
        }
        Mutation::SwapCase => {
            let name = head[field].0.iter().map(|b| if b.is_ascii_lowercase() { b.to_ascii_uppercase() } else { *b });
            head[field].0 = name.collect();
        }
        Mutation::Twice => head.push(head[field].clone()),
    }
    // A head has a limit, too.
    value.truncate(8192);
    head[field].1 = value.into();
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(TELLING)];
    prop_oneof![
        (index(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (index(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        (index(), index()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        (index(), index(), 1usize..80).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        (index(), index()).prop_map(|(at, other)| Mutation::Splice(at, other)),
        Just(Mutation::SwapCase),
        Just(Mutation::Twice),
    ]
}

fn head() -> impl Strategy<Value = Head> {
    let mutated = (prop::sample::select(heads()), prop::collection::vec((any::<Index>(), mutation()), 0..6));
    let mutated = mutated.prop_map(|(mut head, mutations)| {
        mutations.iter().for_each(|(field, mutation)| mutate(&mut head, *field, mutation));
        head
    });
    let names = FORMATS.iter().flat_map(|format| format.fields()).map(|name| name.as_bytes());
    let names: Vec<_> = names.chain([&b"uberctx-user"[..], b"Uberctx-", b"uberctx-\xff"]).collect();
    let field = (prop::sample::select(names), any::<Vec<u8>>());
    let field = field.prop_map(|(name, value)| (Bytes::from_static(name), Bytes::from(value)));
    prop_oneof![4 => mutated, 1 => prop::collection::vec(field, 0..8)]
}

/// The same head as a sloppier sender writes it.
fn padded(head: &Head) -> Head {
    let pad = |value: &Bytes| Bytes::from([b" \t", &**value, b"\t "].concat());
    head.iter().map(|(name, value)| (name.clone(), pad(value))).collect()
}

fn holds_for(format: &dyn Format, received: &Head, sent: &Head, level: Level) -> Result<(), TestCaseError> {
    let name = format.name();
    let reading = format.read(Fields(&lines(received)), level);
    if let Some(reading) = &reading {
        let evidence = format.evidence(Fields(&lines(received)));
        prop_assert!(!evidence.is_empty() || !reading.faults.is_empty(), "{name} says nothing");
        prop_assert!(evidence.len() <= EVIDENCE, "{name} shows {} bytes", evidence.len());
        prop_assert!(reading.faults.len() <= FAULTS, "{name}: {:?}", reading.faults);
        prop_assert!(reading.identity.is_none_or(|identity| identity.trace_id != 0), "{name}");
    }
    prop_assert_eq!(&format.read(Fields(&lines(&padded(received))), level), &reading, "{}", name);

    let compared = format.compare(Fields(&lines(received)), Fields(&lines(sent)), level);
    prop_assert!(compared.faults.len() <= FAULTS, "{name}: {:?}", compared.faults);
    prop_assert!(compared.status != Status::Dropped || reading.is_some(), "{name} lost what was not there");
    for same in [received, &padded(received)] {
        let compared = format.compare(Fields(&lines(received)), Fields(&lines(same)), level);
        prop_assert!(matches!(compared.status, Status::PassedThrough | Status::Absent), "{name}: {compared:?}");
        prop_assert!(compared.faults.iter().all(|f| f.rule.severity == Severity::Info), "{name}: {compared:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(5000), ..ProptestConfig::default() })]

    #[test]
    fn every_format_holds_whatever_comes(received in head(), sent in head(), level_two: bool) {
        let level = if level_two { Level::Two } else { Level::One };
        for format in FORMATS {
            holds_for(format, &received, &sent, level)?;
        }
    }
}

#[test]
fn what_users_put_there_is_not_shown() {
    let heads = heads();
    assert!(heads.iter().flatten().any(|(_, value)| value.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())));
    for format in FORMATS {
        for received in &heads {
            let reading = format.read(Fields(&lines(received)), Level::Two).unwrap_or_default();
            let compared = heads
                .iter()
                .flat_map(|sent| format.compare(Fields(&lines(received)), Fields(&lines(sent)), Level::Two).faults);
            for fault in compared.chain(reading.faults) {
                assert!(!fault.detail.as_deref().unwrap_or_default().contains(SECRET), "{}: {fault:?}", format.name());
            }
            let evidence = format.evidence(Fields(&lines(received)));
            assert!(!evidence.contains(SECRET), "{}: {evidence}", format.name());
        }
    }
}
