//! What holds for every conversation, every split of it, every loss, and for bytes that are none.

use std::collections::{HashMap, HashSet};

use auditor::exchange::{Event, Exchanges, Limits, RequestHead, Visibility};
use auditor::http::Masking;
use auditor::record::{Close, Direction, Record, SocketId};
use auditor::stream::{self, Ordered, Stream};
use auditor::testing::{MASKING, Script, policy, run, run_with};
use auditor_ebpf::wire;
use proptest::prelude::*;

/// A secret consists of this byte, which stands nowhere else.
const SECRET: u8 = b'!';

#[derive(Clone, Copy, Debug)]
enum Payload {
    None,
    Length,
    Chunked,
    /// A response until the close; for a request as `None`.
    Unsaid,
}

#[derive(Clone, Debug)]
struct Turn {
    request: Payload,
    response: Payload,
    head: bool,
    interim: bool,
    traced: bool,
    newline: &'static str,
    /// Where the messages are split, in 1/256 of their length.
    cuts: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Talk {
    server: bool,
    counted: bool,
    turns: Vec<Turn>,
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![Just(Payload::None), Just(Payload::Length), Just(Payload::Chunked), Just(Payload::Unsaid)]
}

fn turn() -> impl Strategy<Value = Turn> {
    let newline = prop_oneof![Just("\r\n"), Just("\n")];
    let cuts = prop::collection::vec(any::<u8>(), 0..5);
    (payload(), payload(), any::<bool>(), any::<bool>(), any::<bool>(), newline, cuts).prop_map(
        |(request, response, head, interim, traced, newline, cuts)| Turn {
            request,
            response,
            head,
            interim,
            traced,
            newline,
            cuts,
        },
    )
}

fn talks() -> impl Strategy<Value = Vec<Talk>> {
    let talk = (any::<bool>(), any::<bool>(), prop::collection::vec(turn(), 1..5))
        .prop_map(|(server, counted, turns)| Talk { server, counted, turns });
    prop::collection::vec(talk, 1..4)
}

/// A body that holds a whole request and a whole response.
fn body(payload: Payload, newline: &str) -> String {
    let fake = "GET /fake?a=!!!! HTTP/1.1\r\nauthorization: !!!!\r\n\r\nHTTP/1.1 200 OK\r\n\r\n!!!";
    match payload {
        Payload::None | Payload::Unsaid => String::new(),
        Payload::Length => format!("content-length: {}{newline}{newline}!!{fake}", fake.len() + 2),
        Payload::Chunked => format!(
            "Transfer-Encoding : chunked{newline}{newline}{:x};e=!!\r\n{fake}\r\n2\r\n!!\r\n0\r\nT: !!\r\n\r\n",
            fake.len()
        ),
    }
}

fn request(turn: &Turn, n: usize) -> Vec<u8> {
    let nl = turn.newline;
    let method = if turn.head { "HEAD" } else { "POST" };
    let traced = if turn.traced { format!("TraceParent:00-{n}{nl}") } else { String::new() };
    let payload = body(turn.request, nl);
    let end = if payload.is_empty() { nl } else { "" };
    let start = if n.is_multiple_of(2) { "http://!!:!!@h" } else { "" };
    format!(
        "{method} {start}/{n}?!!&!=!!!!-{n} HTTP/1.1{nl}Cookie: !!=!!!!;{nl}\t!=!!!!!!!!!!!!!!!{nl}{traced}\
         Authorization: !! !!!!=={nl}Request-Id: request-!!-{n}{nl}{payload}{end}"
    )
    .into_bytes()
}

fn response(turn: &Turn, n: usize) -> Vec<Vec<u8>> {
    let nl = turn.newline;
    let mut payload = body(turn.response, nl);
    if turn.head {
        // Fields of a body that does not follow.
        payload = payload.split_inclusive('\n').take(2).collect();
    } else if matches!(turn.response, Payload::None) {
        payload = format!("content-length:0{nl}{nl}");
    }
    let end = if payload.is_empty() { nl } else { "" };
    let last = format!("HTTP/1.1 {} !!{nl}Set-Cookie: !!{nl}{payload}{end}", 210 + n).into_bytes();
    let interim = format!("HTTP/1.1 100 Continue{nl}X: !!{nl}{nl}").into_bytes();
    if turn.interim { vec![interim, last] } else { vec![last] }
}

/// Operations of one connection, in order.
fn operations(talk: &Talk, split: bool) -> Vec<(Direction, Vec<u8>)> {
    let asking = if talk.server { Direction::Recv } else { Direction::Send };
    let mut operations = Vec::new();
    for (n, turn) in talk.turns.iter().enumerate() {
        let messages = std::iter::once((asking, request(turn, n)))
            .chain(response(turn, n).into_iter().map(|bytes| (asking.opposite(), bytes)));
        for (direction, bytes) in messages {
            let mut cuts: Vec<_> = turn.cuts.iter().map(|&cut| usize::from(cut) * bytes.len() / 256).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            if !split {
                cuts = vec![0, bytes.len()];
            }
            operations.extend(cuts.windows(2).map(|cut| (direction, bytes[cut[0]..cut[1]].to_vec())));
        }
    }
    operations
}

/// Whether an operation on a Unix socket within a body looks like a head.
fn is_ambiguous(talk: &Talk) -> bool {
    let mut ends = operations(talk, false).into_iter().map(|(_, message)| message.len());
    let mut left = 0;
    talk.counted
        && operations(talk, true).iter().any(|(_, bytes)| {
            let first = left == 0;
            left = if first { ends.next().unwrap_or(0) } else { left } - bytes.len();
            !first && (bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/1."))
        })
}

/// The operations of all connections; `picks` says whose is next.
fn script(talks: &[Talk], split: bool, picks: &[u8]) -> Script {
    let mut script = Script::new();
    let mut queues: Vec<_> = talks.iter().map(|talk| operations(talk, split).into_iter().peekable()).collect();
    let mut picks = picks.iter().cycle();
    loop {
        let left: Vec<_> = (0..queues.len()).filter(|&n| queues[n].peek().is_some()).collect();
        if left.is_empty() {
            break;
        }
        let n = left[picks.next().map_or(0, |&pick| usize::from(pick)) % left.len()];
        if let Some((direction, bytes)) = queues[n].next() {
            script.counted = talks[n].counted;
            script.op(n as u64, direction, bytes);
        }
    }
    for n in 0..talks.len() as u64 {
        script.close(n);
    }
    script
}

/// What happened on each connection, without times and numbers.
fn per_connection(events: &[Event]) -> HashMap<SocketId, Vec<String>> {
    let mut sockets = HashMap::new();
    let mut seen: HashMap<SocketId, Vec<String>> = HashMap::new();
    for event in events {
        match event {
            Event::Request(r) => {
                sockets.insert(r.id, r.socket);
                seen.entry(r.socket).or_default().push(format!("{:?} {:?} {}", r.role, r.visibility, plain(&r.head)));
            }
            Event::Response { id, status, .. } => seen.entry(sockets[id]).or_default().push(format!("{status:?}")),
            _ => {}
        }
    }
    seen
}

fn whole(events: &[Event]) -> HashMap<(SocketId, String), usize> {
    let mut heads = HashMap::new();
    for event in events {
        if let Event::Request(r) = event
            && r.visibility == Visibility::Whole
        {
            *heads.entry((r.socket, plain(&r.head))).or_default() += 1;
        }
    }
    heads
}

/// A head without the values that can be compared: of one that lies across two records nothing may be left.
fn plain(head: &RequestHead) -> String {
    format!("{:?}", RequestHead { affinity: Vec::new(), ..head.clone() })
}

/// Those values.
fn comparable(events: &[Event]) -> HashSet<(SocketId, u64)> {
    let requests = events.iter().filter_map(|event| match event {
        Event::Request(r) => Some(r),
        _ => None,
    });
    requests.flat_map(|r| r.head.affinity.iter().map(|value| (r.socket, *value))).collect()
}

/// Every request ends exactly once, after it began, and a response lies between.
fn check_order(events: &[Event]) {
    let mut open = HashMap::new();
    for event in events {
        match event {
            Event::Request(r) => {
                assert!(open.insert(r.id, false).is_none());
                assert!(r.visibility != Visibility::Lost || r.head == RequestHead::default());
                assert!(r.started <= r.time);
            }
            Event::Response { id, .. } => assert_eq!(open.insert(*id, true), Some(false)),
            Event::End { id, .. } => assert!(open.remove(id).is_some()),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} did not end in {events:#?}");
}

fn bytes_of(records: &[Record]) -> Vec<&[u8]> {
    records
        .iter()
        .filter_map(|record| match record {
            Record::Data(data) => Some(&data.bytes[..]),
            _ => None,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_and_interleaving_gives_the_same_exchanges(talks in talks(), picks in prop::collection::vec(any::<u8>(), 1..50)) {
        let plain = script(&talks, false, &[0]).events();
        let split = script(&talks, true, &picks).events();
        check_order(&split);
        let requests: usize = talks.iter().map(|talk| talk.turns.len()).sum();
        prop_assert_eq!(whole(&plain).values().sum::<usize>(), requests);
        // Where a body on a Unix socket looks like a head, all that may be said is that one may have crossed.
        let ambiguous = |socket: &SocketId| (0..).zip(&talks).any(|(n, talk)| Script::socket(n) == *socket && is_ambiguous(talk));
        let exact = |events| {
            let mut seen = per_connection(events);
            seen.retain(|socket, _| !ambiguous(socket));
            seen
        };
        prop_assert_eq!(exact(&plain), exact(&split));
        let known = whole(&plain);
        for (head, times) in whole(&split) {
            prop_assert!(known.get(&head).is_some_and(|&known| times <= known), "{head:?}");
        }
        // Cookies together are another value when one of them is left out.
        let (known, seen) = (comparable(&plain), comparable(&split));
        let new = seen.difference(&known).count();
        prop_assert!(known.len() >= 4 * talks.len() && new <= requests, "{new} of {seen:?}");
    }

    #[test]
    fn masking_leaves_no_secret_and_changes_nothing(talks in talks(), picks in prop::collection::vec(any::<u8>(), 1..50), drop in any::<prop::sample::Index>()) {
        let mut records = script(&talks, true, &picks).records;
        records.remove(drop.index(records.len()));
        let events = run(&mut records);
        for bytes in bytes_of(&records) {
            prop_assert!(!bytes.contains(&SECRET), "{}", bytes.escape_ascii());
        }
        let told = format!("{events:?}");
        prop_assert!(!told.contains(char::from(SECRET)), "{}", told);
        let masked = records.clone();
        prop_assert_eq!(run_with(&mut records, Masking::Done), events);
        prop_assert_eq!(records, masked);
    }

    #[test]
    fn a_lost_record_never_makes_a_request(talks in talks(), picks in prop::collection::vec(any::<u8>(), 1..50)) {
        let records = script(&talks, true, &picks).records;
        let full = whole(&script(&talks, false, &[0]).events());
        for n in 0..records.len() {
            for count in 1..4 {
                let mut left = records.clone();
                left.drain(n..(n + count).min(records.len()));
                let events = run(&mut left);
                check_order(&events);
                for (head, times) in whole(&events) {
                    prop_assert!(full.get(&head).is_some_and(|&known| times <= known), "without {n}+{count}: {head:?}");
                }
            }
        }
    }

    #[test]
    fn anything_is_survived(records in prop::collection::vec(any_record(), 0..120)) {
        let limits = Limits { connections: 3, bytes: 20_000, open_exchanges: 3 };
        let mut stream = Stream::new(stream::Limits { held_records: 4, ..Default::default() });
        let mut exchanges = Exchanges::new(limits, policy(MASKING));
        let (mut ordered, mut events, mut masked) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            stream.push(record, &mut |item| ordered.push(item));
        }
        stream.finish(&mut |item| ordered.push(item));
        for item in &mut ordered {
            exchanges.feed(item, &mut events);
            assert!(exchanges.connections() <= 3 && exchanges.held_bytes() <= 20_000);
            masked.push(item.clone());
        }
        exchanges.finish(u64::MAX, &mut events);
        check_order(&events);
        prop_assert_eq!(exchanges.held_bytes(), 0);

        let mut again = Exchanges::new(limits, policy(Masking::Done));
        let mut repeated = Vec::new();
        for item in &mut ordered {
            again.feed(item, &mut repeated);
        }
        again.finish(u64::MAX, &mut repeated);
        prop_assert_eq!(ordered, masked);
        prop_assert_eq!(repeated, events);
        prop_assert_eq!(again.counters(), exchanges.counters());
    }

    #[test]
    fn a_recording_replays_as_it_ran(talks in talks(), picks in prop::collection::vec(any::<u8>(), 1..50), lost in any::<prop::sample::Index>()) {
        let mut records = script(&talks, true, &picks).records;
        records.remove(lost.index(records.len()));
        let live = run(&mut records);
        let mut stream = Stream::new(stream::Limits::RECORDING);
        let mut exchanges = Exchanges::new(Limits::default(), policy(Masking::Done));
        let (mut events, mut time) = (Vec::new(), 0);
        for record in records {
            time = time.max(record.time());
            let mut items: Vec<Ordered> = Vec::new();
            stream.push(record, &mut |item| items.push(item));
            items.iter_mut().for_each(|item| exchanges.feed(item, &mut events));
        }
        exchanges.finish(time, &mut events);
        prop_assert_eq!(events, live);
    }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let snippets: Vec<&'static [u8]> = vec![
        b"GET /a HTTP/1.1\r\n",
        b"POST /?q HTTP/1.0\r\nContent-Length: 7\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 S\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"Upgrade: h2c\r\n",
        b"traceparent: 00\r\n",
        b"GET /?a=secret&b HTTP/1.1\r\n",
        b"cookie: a=secret; b=",
        b"x-user: secret\r\n",
        b"ffffffffffffffff\r\n",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b":",
        b"0\r\n",
        b"3\r\nabc\r\n",
    ];
    let part = prop_oneof![4 => prop::sample::select(snippets).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..9)];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn any_record() -> impl Strategy<Value = Record> {
    let seq = prop_oneof![9 => 0_u64..150, 1 => any::<u64>()];
    let position = prop_oneof![5 => 0_u64..200, 1 => any::<u64>()];
    let op_len = prop_oneof![5 => Just(None), 2 => (0_u32..100).prop_map(Some), 1 => any::<u32>().prop_map(Some)];
    (seq, any::<u16>(), 0_u64..5, any::<bool>(), position, op_len, any_bytes(), 0_u8..12).prop_map(
        |(seq, flags, n, send, position, op_len, bytes, kind)| {
            if kind == 0 {
                return Record::Close(Close { seq, time: seq, socket: Script::socket(n), eof: send });
            }
            let direction = if send { Direction::Send } else { Direction::Recv };
            let mut script = Script::new();
            script.data(n, direction, 0, &bytes, bytes.len());
            let mut record = script.records.remove(0);
            if let Record::Data(data) = &mut record {
                data.seq = seq;
                data.time = seq;
                data.position = position;
                data.flags = flags & if kind > 2 { !(wire::FLAG_FRESH | wire::FLAG_UNREADABLE) } else { !0 };
                data.op_len = op_len.unwrap_or(data.op_len);
            }
            record
        },
    )
}
