//! What Unix sockets do differently: no close is seen, and positions are counted instead of known.

use auditor_ebpf::wire;

use super::{End, Event, Visibility};
use crate::record::{Direction, Record};
use crate::testing::{Script, run};

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UPLOAD: &str = "POST /up HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";

fn unix() -> Script {
    let mut script = Script::new();
    script.counted = true;
    script
}

fn tcp() -> Script {
    Script::new()
}

/// (path, visibility, end) of every exchange.
fn exchanges(script: &Script) -> Vec<(String, Visibility, Option<End>)> {
    let mut seen = Vec::new();
    for event in script.events() {
        match event {
            Event::Request(r) => seen.push((r.id, r.head.path.to_string(), r.visibility, None)),
            Event::End { id, end, .. } => {
                let exchange = seen.iter_mut().find(|(known, ..)| *known == id).expect("an end follows its request");
                assert_eq!(exchange.3.replace(end), None, "one end");
            }
            _ => {}
        }
    }
    seen.into_iter().map(|(_, path, visibility, end)| (path, visibility, end)).collect()
}

#[test]
fn the_end_of_a_unix_stream_ends_what_it_asked_for() {
    let whole = |end| vec![("/a".to_owned(), Visibility::Whole, Some(end))];
    assert_eq!(exchanges(unix().recv(1, GET).eof(1)), whole(End::ClosedWithoutResponse));
    let unclear = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n";
    assert_eq!(exchanges(unix().recv(1, GET).send(1, unclear).eof(1)), whole(End::ClosedAfterResponse));
    assert_eq!(exchanges(unix().recv(1, GET).send(1, OK).eof(1)), whole(End::Complete));
    // TCP tells when it closes.
    assert_eq!(exchanges(tcp().recv(1, GET).eof(1).send(1, OK)), whole(End::Complete));
}

#[test]
fn a_response_after_the_end_of_a_unix_stream_does_no_harm() {
    let mut s = unix();
    s.recv(1, GET).recv(2, GET).eof(1).send(1, OK).send(1, OK).eof(1).send(2, OK).recv(2, GET).send(2, OK);
    let a = |end| ("/a".to_owned(), Visibility::Whole, Some(end));
    assert_eq!(exchanges(&s), [a(End::ClosedWithoutResponse), a(End::Complete), a(End::Complete)]);
    let answers = s.events().into_iter().filter(|event| matches!(event, Event::Response { .. })).count();
    assert_eq!(answers, 2, "whoever was told of its end is not answered");
}

#[test]
fn a_head_within_a_counted_body_is_a_gap_and_what_follows_is_seen() {
    // The body crosses unseen.
    let mut s = unix();
    s.recv(1, UPLOAD).send(1, OK);
    for _ in 0..3 {
        s.recv(1, GET).send(1, OK);
    }
    let seen: Vec<_> = exchanges(&s).into_iter().map(|(path, visibility, _)| (path, visibility)).collect();
    let of = |path: &str, visibility| (path.to_owned(), visibility);
    assert_eq!(
        seen,
        [
            of("/up", Visibility::Whole),
            of("", Visibility::Lost),
            of("/a", Visibility::Whole),
            of("/a", Visibility::Whole)
        ]
    );
}

#[test]
fn a_body_that_looks_like_a_head_costs_one_exchange() {
    let mut s = unix();
    let body = format!("{GET}{}", "b".repeat(1000 - GET.len()));
    s.recv(1, UPLOAD).recv(1, &body).send(1, OK).recv(1, GET).send(1, OK).recv(1, GET).send(1, OK);
    let seen: Vec<_> = exchanges(&s).into_iter().map(|(path, visibility, _)| (path, visibility)).collect();
    let of = |path: &str, visibility| (path.to_owned(), visibility);
    assert_eq!(seen, [of("/up", Visibility::Whole), of("", Visibility::Lost), of("/a", Visibility::Whole)]);
    // A letter of a method is no head.
    let mut s = unix();
    s.recv(1, UPLOAD).recv(1, "G").recv(1, "b".repeat(999)).send(1, OK).recv(1, GET);
    assert_eq!(exchanges(&s).len(), 2);
    assert!(exchanges(&s).iter().all(|(_, visibility, _)| *visibility == Visibility::Whole));
}

#[test]
fn a_response_within_a_counted_body_is_the_next_one_only_if_one_is_due() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let answers = |s: &Script| -> Vec<_> {
        let events = s.events().into_iter();
        events.filter_map(|e| if let Event::Response { status, .. } = e { Some(status) } else { None }).collect()
    };
    // The first body crosses unseen, then a third exchange goes as it should.
    let mut s = unix();
    s.send(1, GET).recv(1, long).send(1, GET).recv(1, OK).send(1, GET).recv(1, OK);
    assert_eq!(answers(&s), [Some(200), None, Some(200)]);
    // Nobody asked: it is the body.
    let mut s = unix();
    s.send(1, GET).recv(1, long).recv(1, format!("{OK}{}", "b".repeat(1000 - OK.len()))).send(1, GET).recv(1, OK);
    assert_eq!(answers(&s), [Some(200), Some(200)]);
}

#[test]
fn on_tcp_the_body_is_believed() {
    let mut s = tcp();
    let body = format!("{GET}{}", "b".repeat(1000 - GET.len()));
    s.recv(1, UPLOAD).recv(1, &body).send(1, OK).recv(1, GET).send(1, OK);
    let seen: Vec<_> = exchanges(&s).into_iter().map(|(path, visibility, _)| (path, visibility)).collect();
    assert_eq!(seen, [("/up".to_owned(), Visibility::Whole), ("/a".to_owned(), Visibility::Whole)]);
}

#[test]
fn a_word_that_is_no_method_reaches_no_recording() {
    let mut s = tcp();
    s.recv(1, GET).send(1, OK);
    s.data(1, Direction::Recv, wire::FLAG_START, b"SECRETS", 7);
    s.recv(1, GET);
    let mut records = s.records;
    run(&mut records);
    let bytes: Vec<_> =
        records.iter().filter_map(|r| if let Record::Data(d) = r { Some(&d.bytes[..]) } else { None }).collect();
    assert_eq!(bytes[2], b"SE\0\0\0\0\0");
}

/// (thread, coroutine) of every response.
fn responders(script: &Script) -> Vec<(u32, u64)> {
    let of = |event| if let Event::Response { tid, coroutine, .. } = event { Some((tid, coroutine)) } else { None };
    script.events().into_iter().filter_map(of).collect()
}

#[test]
fn a_response_names_the_thread_and_coroutine_that_completed_its_head() {
    let mut s = tcp();
    let (begin, rest) = OK.split_at(20);
    (s.tid, s.coroutine) = (1, 0x1000);
    s.recv(1, GET);
    (s.tid, s.coroutine) = (2, 0x2000);
    s.send(1, begin);
    (s.tid, s.coroutine) = (3, 0x3000);
    s.send(1, rest);
    assert_eq!(responders(&s), [(3, 0x3000)]);
}

#[test]
fn a_response_whose_record_comes_first_keeps_its_thread() {
    let mut s = tcp();
    s.send(1, GET).recv(1, OK);
    (s.tid, s.coroutine) = (2, 0x2000);
    s.recv(1, OK);
    (s.tid, s.coroutine) = (1, 0x1000);
    s.send(1, GET);
    assert_eq!(responders(&s), [(100, 0), (2, 0x2000)]);
}

#[test]
fn an_unread_response_names_nobody() {
    let mut s = tcp();
    s.recv(1, GET);
    s.coroutine = 0x1000;
    s.unreadable(1, Direction::Send, OK.len());
    assert_eq!(responders(&s), [(0, 0)]);
}

fn of(seen: &[(String, Visibility, Option<End>)]) -> Vec<(&str, Visibility)> {
    seen.iter().map(|(path, visibility, _)| (path.as_str(), *visibility)).collect()
}

/// Mail and the like begin with a word that could be a method, and go on.
#[test]
fn a_protocol_whose_first_word_is_no_method_is_no_request() {
    for direction in [Direction::Recv, Direction::Send] {
        let mut s = tcp();
        for (n, line) in ["EHLO host1\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"].into_iter().enumerate() {
            let flags = if n == 0 { wire::FLAG_START } else { wire::FLAG_CONTINUES };
            s.data(1, direction, flags, line.as_bytes(), line.len());
        }
        assert_eq!(exchanges(&s), []);
        // Should it be HTTP after all, something was missed.
        assert_eq!(of(&exchanges(s.op(1, direction, GET))), [("", Visibility::Lost)]);
    }
}

/// The kernel side forgot the socket in the middle of a body, parts of which are requests, as in a batch.
#[test]
fn what_was_in_a_body_still_is_when_its_socket_is_new_again() {
    let parts = |s: &mut Script, forgets: bool| {
        s.send(1, UPLOAD).send(1, GET);
        let Some(Record::Data(data)) = s.records.last_mut() else { panic!("a part that looks like a head is shipped") };
        data.flags |= if forgets { wire::FLAG_FRESH } else { 0 };
        exchanges(s)
    };
    for forgets in [false, true] {
        let seen = parts(&mut tcp(), forgets);
        let whole: Vec<_> = seen.iter().filter(|(_, visibility, _)| *visibility == Visibility::Whole).collect();
        assert_eq!((whole.len(), whole[0].0.as_str()), (1, "/up"), "{seen:?}");
    }
    // Between two messages it may begin anew.
    let mut s = tcp();
    s.send(1, GET).recv(1, OK).send(1, GET);
    let Some(Record::Data(data)) = s.records.last_mut() else { panic!("a head is shipped") };
    data.flags |= wire::FLAG_FRESH;
    assert!(exchanges(&s).iter().all(|(_, visibility, _)| *visibility == Visibility::Whole));
}

/// Where positions are counted, what is lost is not.
#[test]
fn a_head_of_which_a_counted_piece_is_lost_is_not_whole() {
    let pieces = ["GET /a HTTP/1.1\r\nHost: h\r\ntraceparent: 00-4b", "f92f35", "77\r\n\r\n"];
    let mut s = unix();
    pieces.iter().for_each(|piece| _ = s.recv(1, piece));
    assert_eq!(of(&exchanges(&s)), [("/a", Visibility::Whole)]);
    let lost = s.records.remove(1);
    let Record::Data(lost) = lost else { panic!("a piece is shipped") };
    let Some(Record::Data(last)) = s.records.last_mut() else { panic!("a piece is shipped") };
    last.position -= u64::from(lost.op_len);
    assert!(exchanges(&s).iter().all(|(_, visibility, _)| *visibility == Visibility::Lost));
}
