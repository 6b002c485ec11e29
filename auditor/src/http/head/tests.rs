use super::super::{Masking, NAMES_REQUEST};
use super::*;
use crate::testing::policy;

fn parse_request(bytes: &[u8], whole: bool) -> Result<ParsedRequest, Unparsable> {
    super::parse_request(bytes, whole, false, None, &policy(Masking::Blank))
}

fn fields(text: &str) -> Vec<(String, String)> {
    let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let parsed = parse_request(text.as_bytes(), true).unwrap();
    parsed.head.fields.iter().map(|(name, value)| (text_of(name), text_of(value))).collect()
}

#[test]
fn sloppy_lines_are_read() {
    let text = "GET  /p  HTTP/1.1\nHost:h\nTRACEPARENT:00-a\ntraceparent \t:\t00-b \t\r\ntracestate: a=1,\r\n\tb=2\n\
                X@y: z\nno colon here\nBad\0: b\nuser-agent: c\x01\r\n\r\n";
    let expected = [("TRACEPARENT", "00-a"), ("traceparent", "00-b"), ("tracestate", "a=1, b=2")];
    assert_eq!(fields(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let head = parse_request(text.as_bytes(), true).unwrap().head;
    assert_eq!((&*head.method, &*head.path, head.minor_version), ("GET", "/p", 1));
    assert_eq!((head.host.as_deref(), head.user_agent.as_deref()), (Some("h"), Some("c?")));
}

#[test]
fn folds_leave_no_white_space_around_host_and_agent() {
    for fold in ["\r\n h", " h\r\n ", "\r\n\th\r\n \t", "h"] {
        let text = format!("GET / HTTP/1.1\r\nHost:{fold}\r\nUser-Agent:{fold}\r\n\r\n");
        let head = parse_request(text.as_bytes(), true).unwrap().head;
        assert_eq!((head.host.as_deref(), head.user_agent.as_deref()), (Some("h"), Some("h")), "{text:?}");
    }
}

#[test]
fn what_could_be_an_audited_field_is_never_skipped() {
    for line in ["traceparent 00-a", "x traceparent: 00-a", "b3 1", "x SW8: 1"] {
        let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        assert_eq!(parse_request(text.as_bytes(), true), Err(Unparsable::Ambiguous), "{line}");
        let text = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        assert!(parse_response(text.as_bytes(), None, &policy(Masking::Blank)).is_ok(), "{line}");
    }
    assert_eq!(parse_request(b"GET / HTTP/1.1\r\n traceparent: 00-a\r\n\r\n", true), Err(Unparsable::Ambiguous));
}

/// Strangers send what they like, and must not be able to hide a service; what is sent may be what a program prints.
#[test]
fn a_line_that_is_no_field_is_no_part_of_a_request_that_is_sent() {
    for line in ["web3 1", "charged 3 EUR", "2026/11/30 12:00:01 INFO done", "Bad\0: b", "X Client: 1", ":"] {
        let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        let parse = |sent| super::parse_request(text.as_bytes(), true, sent, None, &policy(Masking::Blank));
        assert_eq!((parse(true), parse(false).is_ok()), (Err(Unparsable::Ambiguous), true), "{line}");
    }
    let odd = b"GET / HTTP/1.1\r\nX@y: z\r\n\r\n";
    assert!(super::parse_request(odd, true, true, None, &policy(Masking::Blank)).is_ok());
}

#[test]
fn an_audited_id_travels_on_as_it_is_and_can_be_compared() {
    let of = |name: &str| {
        let text = format!("GET / HTTP/1.1\r\n{name}: 4bf92f35\r\n\r\n");
        parse_request(text.as_bytes(), true).unwrap().head
    };
    let (one, other) = (of("x-request-id"), of("X-Correlation-ID"));
    assert_eq!((one.fields.len(), one.affinity.len()), (1, 1));
    assert_eq!(one.affinity[0] & !NAMES_REQUEST, other.affinity[0]);
}

#[test]
fn a_header_can_be_framing_and_audited() {
    let policy = Policy::new(Masking::Blank, ["host", "content-length"], []);
    let text = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    let parsed = super::parse_request(text, true, false, None, &policy).unwrap();
    assert_eq!(
        (parsed.head.fields.len(), parsed.head.host.as_deref(), parsed.framing),
        (2, Some("a"), Framing::Length(5))
    );
}

#[test]
fn values_to_compare_travel_as_hashes() {
    let text = "GET /u/4bf92f35-77b3?xxxx=abcd&x HTTP/1.1\r\nX-User: efgh\r\nCookie: x=ijkl;\r\n x=mnop\r\n\r\n";
    let head = parse_request(text.as_bytes(), true).unwrap().head;
    // Each, and both cookies together.
    assert_eq!((&*head.path, head.fields.len(), head.affinity.len()), ("/u/4bf92f35-77b3", 0, 6));
    let other = parse_request(b"GET / HTTP/1.1\nx-tenant-id: abcd\n\n", true).unwrap().head;
    assert!(head.affinity.contains(&other.affinity[0]));
}

#[test]
fn hundreds_of_fields_are_read() {
    let mut text = String::from("GET / HTTP/1.1\r\n");
    for n in 0..300 {
        text += &format!("x-{n}: v\r\ntracestate: a={n}\r\n");
    }
    text += "\r\n";
    assert_eq!(fields(&text).len(), 300);
}

#[test]
fn thousands_of_fields_are_too_many() {
    for (lines, crowded) in [(MOST_FIELDS, false), (4000, true)] {
        let text = format!("GET / HTTP/1.1\n{}Host: h\n\n", "b3:\n".repeat(lines));
        let parsed = parse_request(text.as_bytes(), true).unwrap();
        assert_eq!((parsed.head.fields.len(), parsed.crowded), (MOST_FIELDS, crowded));
        assert_eq!(parsed.head.host.as_deref(), Some("h"));
    }
}

#[test]
fn a_cut_head_gives_its_complete_lines() {
    let parsed = parse_request(b"GET /a HTTP/1.1\r\ntraceparent: 1\r\ntracestate: a", false).unwrap();
    assert_eq!((&*parsed.head.path, parsed.head.fields.len()), ("/a", 1));
}

#[test]
fn body_lengths() {
    let of = |fields: &str| {
        let text = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        parse_request(text.as_bytes(), true).unwrap().framing
    };
    assert_eq!(of(""), Framing::Unsaid);
    assert_eq!(of("Content-Length: 5\r\n"), Framing::Length(5));
    assert_eq!(of("Content-Length: 5, 5\r\nContent-Length:5\r\n"), Framing::Length(5));
    assert_eq!(of("Content-Length: 5\r\nContent-Length: 6\r\n"), Framing::Unclear);
    assert_eq!(of("Content-Length: +5\r\n"), Framing::Unclear);
    assert_eq!(of("Content-Length: 99999999999999999999999\r\n"), Framing::Unclear);
    assert_eq!(of("Content-Length: 5\r\nTransfer-Encoding: gzip, Chunked\r\n"), Framing::Chunked);
    assert_eq!(of("Transfer-Encoding: gzip\r\n"), Framing::Unclear);
}

#[test]
fn responses_without_body() {
    let of = |status, framing, to_head| ParsedResponse { status, framing }.body(to_head);
    assert_eq!(of(204, Framing::Unsaid, Some(false)), Body::Length(0));
    assert_eq!(of(304, Framing::Length(9), None), Body::Length(0));
    assert_eq!(of(200, Framing::Length(9), Some(true)), Body::Length(0));
    assert_eq!(of(200, Framing::Length(9), Some(false)), Body::Length(9));
    assert_eq!(of(200, Framing::Length(9), None), Body::Unknown);
    assert_eq!(of(200, Framing::Unsaid, Some(false)), Body::Unknown);
}

#[test]
fn targets() {
    let path = |target: &str| {
        let text = format!("GET {target} HTTP/1.1\r\n\r\n");
        parse_request(text.as_bytes(), true).unwrap().head.path
    };
    assert_eq!(&*path("/a?xx"), "/a");
    assert_eq!(&*path("http://xxx/a/b?x"), "/a/b");
    assert_eq!(&*path("http://xxx"), "/");
    assert_eq!(&*path("/a://b/c"), "/a://b/c");
    assert_eq!(&*path("/a;xxx/b;x;x/;x?x"), "/a/b/");
}
