//! Conversations and the exchanges they are: one test per behaviour of the framing and exchange stages.

use auditor::context::format::Level;
use auditor::context::{FORMATS, Selection};
use auditor::exchange::{End, Event, Exchanges, Limits, Visibility};
use auditor::pipeline::{Front, Settings};
use auditor::record::{BlindReason, Direction, Record};
use auditor::stream::Ordered;
use auditor::testing::{MASKING, Script, policy, run};
use auditor_ebpf::wire;

const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// One line per event, without times.
fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Request(r) => {
            let fields: String = r.head.fields.iter().map(|(_, v)| format!(" [{}]", v.escape_ascii())).collect();
            format!("{} {:?} {:?} {} {}{fields}", r.id.0, r.role, r.visibility, r.head.method, r.head.path)
        }
        Event::Response { id, status: Some(status), .. } => format!("{} {status}", id.0),
        Event::Response { id, status: None, .. } => format!("{} ???", id.0),
        Event::End { id, end, .. } => format!("{} {end:?}", id.0),
        Event::Lost { count, .. } => format!("lost {count}"),
        Event::Blind(blind) => format!("blind {:?}", blind.reason),
        Event::Unseen { what, .. } => format!("unseen {what:?}"),
        other => format!("{other:?}"),
    };
    events.iter().map(line).collect()
}

#[track_caller]
fn gives(script: &Script, expected: &[&str]) {
    assert_eq!(lines(&script.events()), expected);
}

#[test]
fn keep_alive_both_roles() {
    let mut s = Script::new();
    s.recv(1, GET).send(2, GET).recv(2, OK).send(1, OK).recv(1, GET).send(1, OK).close(1).close(2);
    gives(
        &s,
        &[
            "1 Server Whole GET /a",
            "2 Client Whole GET /a",
            "2 200",
            "2 Complete",
            "1 200",
            "1 Complete",
            "3 Server Whole GET /a",
            "3 200",
            "3 Complete",
        ],
    );
}

#[test]
fn pipelined_in_one_operation() {
    let mut s = Script::new();
    s.recv(1, format!("{GET}\r\n{GET}")).send(1, format!("{OK}{OK}"));
    gives(&s, &["1 Server Whole GET /a", "2 Server Whole GET /a", "1 200", "1 Complete", "2 200", "2 Complete"]);
}

#[test]
fn every_split_of_a_head_and_short_body() {
    let request = "POST /p?q=1 HTTP/1.1\nHost: h\r\ntraceparent : 00-ab\r\nContent-Length: 3\n\r\nabc";
    let response = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
    let expected = ["1 Server Whole POST /p [00-ab]", "1 201", "1 Complete"];
    for at in 1..request.len() {
        for counted in [false, true] {
            let mut s = Script::new();
            s.counted = counted;
            s.recv(1, &request[..at]).recv(1, &request[at..]).send(1, response).recv(1, GET);
            assert_eq!(lines(&s.events())[..3], expected, "split at {at}");
            assert_eq!(lines(&s.events())[3], "2 Server Whole GET /a", "split at {at}");
        }
    }
    for at in 1..response.len() {
        let mut s = Script::new();
        s.recv(1, request).send(1, &response[..at]).send(1, &response[at..]).recv(1, GET);
        let lines = lines(&s.events());
        assert_eq!(lines[..3], expected, "split at {at}");
        assert_eq!(lines[3], "2 Server Whole GET /a", "split at {at}");
    }
    let mut s = Script::new();
    for byte in request.bytes() {
        s.recv(1, [byte]);
    }
    for byte in response.bytes() {
        s.send(1, [byte]);
    }
    s.close(1);
    gives(&s, &expected);
}

#[test]
fn responses_without_body_and_interim_ones() {
    let mut s = Script::new();
    s.send(1, "HEAD /h HTTP/1.1\r\n\r\n").recv(1, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    s.send(1, GET).recv(1, "HTTP/1.1 100 Continue\r\n\r\n").recv(1, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n");
    s.recv(1, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    s.send(1, GET).recv(1, "HTTP/1.1 204 No\r\n\r\n").send(1, GET).recv(1, OK);
    gives(
        &s,
        &[
            "1 Client Whole HEAD /h",
            "1 200",
            "1 Complete",
            "2 Client Whole GET /a",
            "2 304",
            "2 Complete",
            "3 Client Whole GET /a",
            "3 204",
            "3 Complete",
            "4 Client Whole GET /a",
            "4 200",
            "4 Complete",
        ],
    );
}

#[test]
fn a_length_body_hides_a_fake_request() {
    let mut s = Script::new();
    s.recv(1, format!("POST /p HTTP/1.1\r\nContent-Length: {}\r\n\r\n", GET.len() + 1000));
    s.skip(1, Direction::Recv, 400).recv(1, GET).skip(1, Direction::Recv, 600);
    s.send(1, OK).recv(1, GET).send(1, OK);
    gives(&s, &["1 Server Whole POST /p", "1 200", "1 Complete", "2 Server Whole GET /a", "2 200", "2 Complete"]);
}

#[test]
fn a_body_longer_than_the_numbering() {
    let mut s = Script::new();
    s.recv(1, format!("PUT /p HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 5_u64 << 30));
    s.skip(1, Direction::Recv, 5 << 30).send(1, OK).recv(1, GET).send(1, OK);
    let lines = lines(&s.events());
    assert_eq!(lines[3], "2 Server Whole GET /a");
}

#[test]
fn a_chunked_body_hides_a_fake_request() {
    let head = "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let size = format!("{:x};ext=secret\r\n", GET.len());
    for whole in [false, true] {
        let mut s = Script::new();
        if whole {
            s.recv(1, format!("{head}{size}{GET}\r\n0\r\nTrailer: x\r\n\r\n"));
        } else {
            s.recv(1, head).recv(1, &size).recv(1, GET).recv(1, "\r\n0\r\n\r\n");
        }
        s.send(1, OK).recv(1, GET).send(1, OK);
        let expected =
            ["1 Server Whole POST /p", "1 200", "1 Complete", "2 Server Whole GET /a", "2 200", "2 Complete"];
        assert_eq!(lines(&s.events()), expected, "whole: {whole}");
    }
}

#[test]
fn a_response_before_the_request_body_ended() {
    let mut s = Script::new();
    s.recv(1, "POST /p HTTP/1.1\r\nContent-Length: 50\r\n\r\n").send(1, OK).recv(1, GET);
    s.skip(1, Direction::Recv, 50 - GET.len() as u64).recv(1, GET);
    gives(&s, &["1 Server Whole POST /p", "1 200", "1 Complete", "2 Server Whole GET /a", "2 OutOfSight"]);
}

#[test]
fn chunked_response_in_sight_and_out_of_sight() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut s = Script::new();
    s.send(1, GET).recv(1, format!("{head}3\r\nabc\r\n0\r\n\r\n"));
    s.send(1, GET).recv(1, head).recv(1, "3\r\nabc\r\n").recv(1, "HTTP/1.1 500 fake\r\n\r\n").recv(1, "0\r\n\r\n");
    s.send(1, GET).recv(1, OK);
    gives(
        &s,
        &[
            "1 Client Whole GET /a",
            "1 200",
            "1 Complete",
            "2 Client Whole GET /a",
            "2 200",
            "2 Complete",
            "3 Client Whole GET /a",
            "3 200",
            "3 Complete",
        ],
    );
}

#[test]
fn until_close() {
    let response = "HTTP/1.0 200 OK\r\n\r\nbody";
    let mut s = Script::new();
    s.send(1, GET).recv(1, response).eof(1).close(1);
    s.recv(2, GET).send(2, response).close(2);
    s.send(3, GET).recv(3, response).close(3);
    s.send(4, GET).eof(4).close(4);
    s.recv(5, GET).eof(5).send(5, OK).close(5);
    s.recv(6, GET).close(6);
    let ends: Vec<_> = lines(&s.events()).into_iter().filter(|line| line.ends_with(char::is_alphabetic)).collect();
    assert_eq!(
        ends.iter().filter(|line| !line.contains("Whole")).collect::<Vec<_>>(),
        [
            "1 Complete",
            "2 Complete",
            "3 ClosedAfterResponse",
            "4 ClosedWithoutResponse",
            "5 Complete",
            "6 ClosedWithoutResponse"
        ]
    );
}

#[test]
fn a_known_length_out_of_sight_is_complete_by_what_follows() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let mut s = Script::new();
    s.send(1, GET).recv(1, response).skip(1, Direction::Recv, 100_000).send(1, GET).recv(1, response).close(1);
    gives(&s, &["1 Client Whole GET /a", "1 200", "1 Complete", "2 Client Whole GET /a", "2 200", "2 Complete"]);
}

#[test]
fn tunnels_and_http2() {
    let upgrade = |to: &str| format!("GET /u HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: {to}\r\n\r\n");
    let switch = "HTTP/1.1 101 Switching\r\n\r\nraw";
    let mut s = Script::new();
    s.recv(1, upgrade("websocket")).send(1, switch).recv(1, GET).send(1, OK).close(1);
    s.recv(2, "CONNECT h:1 HTTP/1.1\r\n\r\n").send(2, "HTTP/1.1 200 OK\r\n\r\n").recv(2, GET);
    s.recv(3, upgrade("h2c")).send(3, switch);
    s.recv(4, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").recv(4, GET).close(4);
    s.send(7, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").close(7);
    s.data(8, Direction::Recv, wire::FLAG_SERVES_TLS, b"", 300);
    s.data(8, Direction::Send, wire::FLAG_SERVES_TLS, b"", 500);
    s.data(8, Direction::Recv, wire::FLAG_SERVES_FRAMES, b"", 500);
    s.recv(5, "CONNECT h:1 HTTP/1.1\r\n\r\n").send(5, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").recv(5, GET);
    s.recv(6, upgrade("h2c")).send(6, OK).recv(6, GET);
    gives(
        &s,
        &[
            "1 Server Whole GET /u",
            "1 101",
            "1 Tunnel",
            "unseen Opened",
            "unseen Closed",
            "2 Server Whole CONNECT *",
            "2 200",
            "2 Tunnel",
            "3 Server Whole GET /u",
            "3 101",
            "3 Tunnel",
            "blind Http2",
            "unseen Opened",
            "blind Http2",
            "unseen Opened",
            "unseen Closed",
            "blind Http2",
            "unseen Tls(Recv)",
            "unseen Tls(Send)",
            "unseen Something",
            "4 Server Whole CONNECT *",
            "4 403",
            "4 Complete",
            "5 Server Whole GET /a",
            "6 Server Whole GET /u",
            "6 200",
            "6 Complete",
            "7 Server Whole GET /a",
            "5 OutOfSight",
            "7 OutOfSight",
        ],
    );
    let is_one = |event: &Event| matches!(event, Event::Blind(blind) if blind.reason == BlindReason::Http2 && blind.connections == 1);
    assert_eq!(s.events().iter().filter(|event| is_one(event)).count(), 3);
}

/// Whatever is in front of the first request of a connection, of which no byte is a head's.
#[test]
fn behind_a_load_balancer() {
    let second = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &[10; 12][..]].concat();
    for header in [b"PROXY TCP4 10.1.2.3 10.1.2.4 5 80\r\n", &second[..]] {
        let with = |request: &str| [header, request.as_bytes()].concat();
        let mut s = Script::new();
        s.recv(1, with(GET)).send(1, OK).recv(1, GET).send(1, OK).close(1);
        s.recv(2, with("GET /b HTTP/1.1\r\nHo")).recv(2, "st: h\r\n\r\n").send(2, OK).recv(2, GET).send(2, OK);
        let post = "POST /c HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
        s.recv(3, with(post)).send(3, OK).recv(3, with(GET));
        gives(
            &s,
            &[
                "1 Server Whole GET /a",
                "1 200",
                "1 Complete",
                "2 Server Whole GET /a",
                "2 200",
                "2 Complete",
                "3 Server Whole GET /b",
                "3 200",
                "3 Complete",
                "4 Server Whole GET /a",
                "4 200",
                "4 Complete",
                "5 Server Whole POST /c",
                "5 200",
                "5 Complete",
                // Only the first one.
                "6 Server Lost  ",
                "6 OutOfSight",
            ],
        );
    }
}

/// A proxy passes on a WebSocket; and what is served on a Unix socket ends when the peer does, if that is HTTP/2.
#[test]
fn ends_of_what_nobody_can_see() {
    let upgrade = "GET /u HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching\r\n\r\nraw";
    let unseen = |s: &Script| -> Vec<String> {
        lines(&s.events()).into_iter().filter(|line| line.starts_with("unseen")).collect()
    };
    // One that it asked for before anybody asked for it, and one for two of the three that are asked for.
    let mut s = Script::new();
    s.send(9, upgrade).recv(9, switch);
    s.recv(1, upgrade).send(2, upgrade).recv(2, switch).send(1, switch);
    s.recv(3, upgrade).recv(4, upgrade).send(5, upgrade).recv(5, switch).send(4, switch).send(3, switch);
    s.close(3).close(2).close(1);
    assert_eq!(unseen(&s), ["unseen Opened", "unseen Closed"]);
    for counted in [false, true] {
        let mut s = Script::new();
        s.counted = counted;
        s.recv(1, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").eof(1);
        assert_eq!(unseen(&s), ["unseen Opened", "unseen Closed"][..if counted { 2 } else { 1 }]);
        let mut s = Script::new();
        s.counted = counted;
        s.recv(1, upgrade).send(1, switch).eof(1);
        assert_eq!(unseen(&s), [if counted { "unseen OpenedForLong" } else { "unseen Opened" }]);
    }
}

#[test]
fn a_lost_request_is_a_candidate_and_the_next_ones_work() {
    let post = "POST /lost HTTP/1.1\r\nContent-Length: 28\r\n\r\n";
    let mut s = Script::new();
    s.recv(1, GET).send(1, OK);
    // Its body holds a fake request: nothing may be believed until the response.
    s.skip(1, Direction::Recv, post.len() as u64).lose().recv(1, GET).send(1, OK);
    s.recv(1, GET).send(1, OK);
    gives(
        &s,
        &[
            "1 Server Whole GET /a",
            "1 200",
            "1 Complete",
            "lost 1",
            "2 Server Lost  ",
            "2 200",
            "2 Complete",
            "3 Server Whole GET /a",
            "3 200",
            "3 Complete",
        ],
    );
}

#[test]
fn a_lost_request_that_was_answered() {
    let mut s = Script::new();
    s.recv(1, GET).send(1, OK).skip(1, Direction::Recv, 40).lose().send(1, OK).recv(1, GET).send(1, OK);
    let lines = lines(&s.events());
    assert_eq!(
        lines[3..],
        ["lost 1", "2 Server Lost  ", "2 OutOfSight", "3 Server Whole GET /a", "3 200", "3 Complete"]
    );
}

#[test]
fn unreadable_and_stray_bytes_may_hide_a_request() {
    let mut s = Script::new();
    s.unreadable(1, Direction::Recv, 50).send(1, OK).recv(1, GET);
    s.recv(2, GET).send(2, OK).unreadable(2, Direction::Recv, 50).send(2, OK).recv(2, GET);
    s.recv(3, GET).send(3, OK).skip(3, Direction::Recv, 20);
    s.data(3, Direction::Recv, wire::FLAG_CONTINUES, b"lf: x\r\n\r\n", 9).send(3, OK).recv(3, GET);
    let requests: Vec<_> = lines(&s.events()).into_iter().filter(|line| line.contains("Server")).collect();
    assert_eq!(
        requests,
        [
            "1 Server Lost  ",
            "2 Server Whole GET /a",
            "3 Server Whole GET /a",
            "4 Server Lost  ",
            "5 Server Whole GET /a",
            "6 Server Whole GET /a",
            "7 Server Lost  ",
            "8 Server Whole GET /a",
        ]
    );
}

#[test]
fn a_gap_among_responses_gives_no_status() {
    let mut s = Script::new();
    s.send(1, GET).recv(1, OK).send(1, GET).send(1, GET).skip(1, Direction::Recv, OK.len() as u64).recv(1, OK);
    s.send(1, GET).recv(1, OK);
    gives(
        &s,
        &[
            "1 Client Whole GET /a",
            "1 200",
            "1 Complete",
            "2 Client Whole GET /a",
            "3 Client Whole GET /a",
            "2 ???",
            "3 ???",
            "2 Complete",
            "3 Complete",
            "4 Client Whole GET /a",
            "4 200",
            "4 Complete",
        ],
    );
}

#[test]
fn open_before_attach() {
    let mut s = Script::new();
    s.send(1, OK).recv(1, GET).send(1, OK);
    s.recv(2, OK).send(2, GET).recv(2, OK);
    gives(&s, &["1 Server Whole GET /a", "1 200", "1 Complete", "2 Client Whole GET /a", "2 200", "2 Complete"]);
}

#[test]
fn a_response_that_overtook_its_request() {
    let mut s = Script::new();
    s.send(1, GET).recv(1, OK).recv(1, OK).send(1, GET).send(1, GET).recv(1, OK);
    let lines = lines(&s.events());
    assert_eq!(
        lines[3..],
        ["2 Client Whole GET /a", "2 200", "2 Complete", "3 Client Whole GET /a", "3 200", "3 Complete"]
    );
}

#[test]
fn a_response_on_an_idle_connection_answers_no_later_request() {
    let mut s = Script::new();
    s.recv(1, GET).send(1, OK).send(1, "HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n");
    s.time += 1_000_000_000;
    s.recv(1, GET).send(1, OK);
    assert_eq!(lines(&s.events())[3..], ["2 Server Whole GET /a", "2 200", "2 Complete"]);
}

#[test]
fn a_truncated_head() {
    let head = format!("GET /t HTTP/1.1\r\ntraceparent: 1\r\ncookie: {}\r\ntraceparent: 2\r\n\r\n", "c".repeat(20_000));
    for split in [20_000_usize, 9_000, 16_384, 16_383, 40] {
        let (first, second) = head.split_at(split.min(head.len()));
        let mut s = Script::new();
        s.recv(1, first).recv(1, second).send(1, OK).recv(1, GET);
        let lines = lines(&s.events());
        assert_eq!(lines[..2], ["1 Server Truncated GET /t [1]", "1 200"], "split at {split}");
        assert_eq!(lines[3], "2 Server Whole GET /a", "split at {split}");
    }
}

#[test]
fn what_does_not_parse_is_lost_and_not_absent() {
    let mut s = Script::new();
    s.recv(1, "GET / HTTP/1.1\r\nx traceparent: 1\r\n\r\n").send(1, OK).recv(1, "GET /x HTTP/2.7\r\n\r\n").send(1, OK);
    s.recv(1, GET).send(1, "HTTP/1.1 2x0 OK\r\n\r\n").recv(1, GET);
    s.recv(2, "GET key\r\n").send(2, "VALUE\r\n");
    let lines = lines(&s.events());
    assert_eq!(
        lines,
        [
            "1 Server Lost  ",
            "1 200",
            "1 Complete",
            "2 Server Lost  ",
            "2 200",
            "2 Complete",
            "3 Server Whole GET /a",
            "3 ???",
            "3 Complete",
            "4 Server Whole GET /a",
            "4 OutOfSight",
        ]
    );
}

#[test]
fn closed_within_a_head() {
    let mut s = Script::new();
    s.recv(1, "GET /a HT").close(1);
    s.send(2, "GET /a HT").close(2);
    s.recv(3, GET).send(3, OK).recv(3, "GET /a HT").eof(3).close(3);
    gives(
        &s,
        &[
            "1 Server Lost  ",
            "1 ClosedWithoutResponse",
            "2 Server Whole GET /a",
            "2 200",
            "2 Complete",
            "3 Server Lost  ",
            "3 ClosedWithoutResponse",
        ],
    );
}

#[test]
fn a_socket_that_reappears_is_another() {
    let mut s = Script::new();
    s.recv(1, GET);
    let mut t = Script::new();
    t.recv(1, GET).send(1, OK);
    // No close was seen between the two.
    let mut records = s.records.clone();
    for mut record in t.records {
        if let Record::Data(data) = &mut record {
            data.seq += 1;
        }
        records.push(record);
    }
    let expected = ["1 Server Whole GET /a", "1 OutOfSight", "2 Server Whole GET /a", "2 200", "2 Complete"];
    assert_eq!(lines(&run(&mut records)), expected);
}

#[test]
fn identity_is_of_the_operation_that_completed_the_head() {
    let mut s = Script::new();
    s.recv(1, &GET[..10]);
    s.tid = 7;
    s.recv(1, &GET[10..]);
    let events = s.events();
    let Some(Event::Request(request)) = events.first() else { panic!("{events:?}") };
    assert_eq!((request.tid, request.visibility, request.time - request.started), (7, Visibility::Whole, 1_000));
    assert_eq!(request.head.host.as_deref(), Some("h"));
}

#[test]
fn values_are_compared_across_connections_and_records() {
    let text =
        "GET /a/1234?u=Alice-0001 HTTP/1.1\r\nX-Tenant-Id: 6f1c1c1e-9d1b-4b3a\r\nCookie: a=tea; b=6f1c1c1e\r\n\r\n";
    let values = |bytes: &[&str]| {
        let mut s = Script::new();
        bytes.iter().for_each(|bytes| _ = s.recv(1, bytes));
        let events = s.events();
        let Some(Event::Request(request)) = events.first() else { panic!("{events:?}") };
        request.head.affinity.clone()
    };
    let whole = values(&[text]);
    // Path, query, field, cookie.
    assert_eq!(whole.len(), 4);
    let call = values(&["GET /b HTTP/1.1\r\nAuthorization: Bearer 6f1c1c1e-9d1b-4b3a\r\nX-User: Alice-0001\r\n\r\n"]);
    assert_eq!(call.iter().filter(|value| whole.contains(value)).count(), 2);
    // Only a word whose hash does not lie before its end in one record is left out.
    let mut left_out = 0;
    for at in 1..text.len() {
        let split = values(&[&text[..at], &text[at..]]);
        assert!(split.iter().all(|value| whole.contains(value)));
        left_out += whole.len() - split.len();
    }
    assert_eq!(left_out, 10 + 11 + 8);
    assert_eq!(values(&[&text[..70], &text[70..]]).len(), 4, "a long word across two records");
}

/// Audited fields of the only request.
fn fields(records: &mut [Record], settings: &Settings) -> Vec<(String, String)> {
    let (mut front, mut events) = (Front::new(settings), Vec::new());
    let mut masked = Vec::new();
    for record in records.iter() {
        front.push(record.clone(), &mut events, |record| masked.push(record.clone()));
    }
    front.finish(&mut events, |record| masked.push(record.clone()));
    records.clone_from_slice(&masked);
    let Some(Event::Request(request)) = events.first() else { panic!("{events:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it was text");
    request.head.fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn what_is_audited_travels_on_live_and_on_replay() {
    let mut live = Settings { masking: MASKING, ..Settings::default() };
    live.back.selection = Selection::new(&["w3c"], &["X-Tenant"], Level::Two).expect("a selection");
    let prefixed = FORMATS.iter().flat_map(|format| format.prefixes()).map(|prefix| format!("{prefix}user"));
    let named = FORMATS.iter().flat_map(|format| format.fields()).map(|&name| name.to_owned());
    for name in named.chain(prefixed).chain(["x-tenant".to_owned()]) {
        let sent = (name.to_uppercase(), format!("Jane {name} = %2F"));
        let mut s = Script::new();
        s.recv(1, format!("GET /a HTTP/1.1\r\nAccept: a\r\n{}: {}\r\nX-User: jane\r\n\r\n", sent.0, sent.1));
        assert_eq!(fields(&mut s.records, &live), std::slice::from_ref(&sent), "{name}");
        assert_eq!(fields(&mut s.records, &live.clone().for_recording()), [sent], "{name}, replayed");
    }
}

#[test]
fn tables_are_bounded() {
    let mut s = Script::new();
    for n in 0..50 {
        s.recv(n, GET).recv(n, &GET[..20]);
    }
    for _ in 0..10 {
        s.send(99, GET);
    }
    let limits = Limits { connections: 10, bytes: 6_000, open_exchanges: 4 };
    let mut exchanges = Exchanges::new(limits, policy(MASKING));
    let mut events = Vec::new();
    for record in s.records {
        exchanges.feed(&mut Ordered::Record(record), &mut events);
        assert!(exchanges.connections() <= 10 && exchanges.held_bytes() <= 6_000);
    }
    exchanges.finish(0, &mut events);
    assert_eq!((exchanges.connections(), exchanges.held_bytes()), (0, 0));
    let counters = exchanges.counters();
    assert!(counters.evicted_connections >= 40);
    assert_eq!((counters.evicted_exchanges, counters.requests), (6, 60));
    let out_of_sight = |event: &&Event| matches!(event, Event::End { end: End::OutOfSight, .. });
    assert_eq!(events.iter().filter(out_of_sight).count(), 60);
}
