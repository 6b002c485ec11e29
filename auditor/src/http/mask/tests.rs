use proptest::prelude::*;

use super::*;
use crate::http::{Key, Masking, parse_request, parse_response};
use crate::testing::policy;

fn mask(text: &str) -> (String, Option<Verdict>) {
    mask_with(text, &Masking::Blank)
}

/// However the bytes come, they become the same.
fn mask_with(text: &str, masking: &Masking) -> (String, Option<Verdict>) {
    let at_once = mask_in_steps(text, masking, text.len());
    assert_eq!(mask_in_steps(text, masking, 1), at_once);
    at_once
}

/// With so many bytes in sight at a time, of which those before stay within reach.
fn mask_in_steps(text: &str, masking: &Masking, step: usize) -> (String, Option<Verdict>) {
    let Masked { bytes, end, .. } = masked(text.as_bytes(), masking, &|seen| seen % step == 0);
    (String::from_utf8(bytes).unwrap(), end)
}

struct Masked {
    bytes: Vec<u8>,
    end: Option<Verdict>,
    mask: HeadMask,
    noted: Noted,
    /// The head, after empty lines.
    head: std::ops::Range<usize>,
}

/// Where a record ends, as `is_end` says, and after the last byte.
fn masked(bytes: &[u8], masking: &Masking, is_end: &dyn Fn(usize) -> bool) -> Masked {
    let policy = policy(*masking);
    let (mut mask, mut noted) = (HeadMask::new(), Noted::default());
    let mut bytes = bytes.to_vec();
    let (mut begin, mut at, mut end) = (0, 0, None);
    let last = bytes.len();
    for seen in (1..=last).filter(|seen| *seen == last || is_end(*seen)) {
        while at < seen && end.is_none() {
            let verdict = mask.walk(&mut bytes[..seen], &mut at, &policy, &mut noted);
            end = Some(verdict).filter(|verdict| matches!(verdict, Verdict::Complete | Verdict::NotHttp));
            begin = if verdict == Verdict::Before { at } else { begin };
        }
    }
    Masked { bytes, end, mask, noted, head: begin..at }
}

fn masks_to(text: &str, expected: &str, end: Verdict) {
    assert_eq!(mask(text), (expected.to_owned(), Some(end)), "{text:?}");
    assert_eq!(mask(expected), (expected.to_owned(), Some(end)), "again: {expected:?}");
    assert_eq!(mask_with(expected, &Masking::Done), (expected.to_owned(), Some(end)), "replayed: {expected:?}");
    let keyed = Masking::Keyed(Key::new([1; 16]));
    let (masked, ended) = mask_with(text, &keyed);
    assert_eq!((masked.len(), ended), (expected.len(), Some(end)), "{masked:?}");
    assert_eq!(mask_with(&masked, &Masking::Done), (masked, ended), "keyed, then replayed");
}

#[test]
fn only_listed_values_stay() {
    masks_to(
        "GET /a/b?key=1&t HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer abc\r\nTraceParent : 00-aa\r\n\r\n",
        "GET /a/b?xxx=x&x HTTP/1.1\r\nHost: h:1\r\nAuthorization: xxxxxx xxx\r\nTraceParent : 00-aa\r\n\r\n",
        Verdict::Complete,
    );
}

#[test]
fn parameters_of_a_path_do_not_stay() {
    for (target, masked) in [
        ("/do;jsessionid=SECRET", "/do;xxxxxxxxxxxxxxxxx"),
        ("/a;b/c;d=1;e/f?g", "/a;x/c;xxxxx/f?x"),
        ("http://shop/a;b=c/d", "http://xxxx/a;xxx/d"),
    ] {
        let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        masks_to(&head(target), &head(masked), Verdict::Complete);
    }
}

#[test]
fn every_format_stays_readable() {
    for field in crate::context::FORMATS.iter().flat_map(|format| format.fields()) {
        let head = format!("GET / HTTP/1.1\r\n{field}: Jane-1; a=b, c\r\n\r\n");
        masks_to(&head, &head, Verdict::Complete);
    }
    // Its values are not compared with anything.
    masks_to(
        "HTTP/1.1 200 OK\nb3: 0\nX-Request-ID: a\n\n",
        "HTTP/1.1 200 xx\nb3: x\nX-Request-ID: x\n\n",
        Verdict::Complete,
    );
}

#[test]
fn folded_lines_share_the_fate_of_their_field() {
    masks_to(
        "GET / HTTP/1.1\n odd\nCookie: a\n\tb: c\ntracestate: a=1,\n b=2\n\n",
        "GET / HTTP/1.1\n xxx\nCookie: x\n\txx x\ntracestate: a=1,\n b=2\n\n",
        Verdict::Complete,
    );
}

#[test]
fn a_line_folded_onto_the_first_one_is_no_query() {
    let (masked, _) = mask("GET /?a=b HTTP/1.1\n c=d&e\n\n");
    assert_eq!(masked, "GET /?x=x HTTP/1.1\n xxxxx\n\n");
}

#[test]
fn targets() {
    masks_to("GET http://u:p@h/p?q HTTP/1.1\n\r\n", "GET http://xxxxx/p?x HTTP/1.1\n\r\n", Verdict::Complete);
    masks_to("CONNECT u:p/@h:443 HTTP/1.1\n\n", "CONNECT xxxxxxxxxx HTTP/1.1\n\n", Verdict::Complete);
    masks_to("CONNECT /a HTTP/1.1\n\n", "CONNECT xx HTTP/1.1\n\n", Verdict::Complete);
    masks_to("OPTIONS * HTTP/1.0\n\n", "OPTIONS * HTTP/1.0\n\n", Verdict::Complete);
    masks_to("GET hunter2 HTTP/1.1\n", "GET hxxxxxx HTTP/1.1\n", Verdict::NotHttp);
    masks_to("P4", "P\0", Verdict::NotHttp);
    masks_to("GET /?a secret HTTP/1.1\n", "GET /?x xxxxxx xxxxxxxx\n", Verdict::NotHttp);
}

#[test]
fn responses_keep_their_status_only() {
    masks_to(
        "HTTP/1.1 404 Not You\r\nSet-Cookie: s=1\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 404 xxx xxx\r\nS_________: xxx\r\nContent-Length: 3\r\n\r\n",
        Verdict::Complete,
    );
    masks_to("HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 2\x000 OK\r\n\r\n", Verdict::NotHttp);
}

#[test]
fn no_word_of_a_body_passes_as_a_method() {
    // The framer blanks what follows.
    masks_to("SEC", "SE\0", Verdict::NotHttp);
    masks_to("GETS", "GET\0", Verdict::NotHttp);
    assert_eq!(mask("UPDATE").0, "UPDATE");
}

#[test]
fn a_line_without_a_colon_keeps_nothing() {
    masks_to(
        "GET / HTTP/1.1\nhunter2\nHost hunter2 hunter2\n\n",
        "GET / HTTP/1.1\nh______\nHost h______ h______\n\n",
        Verdict::Complete,
    );
    let long = "z".repeat(100);
    masks_to(
        &format!("GET / HTTP/1.1\n{long}\nevil: a\n\n"),
        &format!("GET / HTTP/1.1\n{}\ne___: x\n\n", "_".repeat(100)),
        Verdict::Complete,
    );
}

#[test]
fn what_a_lenient_server_may_read_as_an_audited_field_stays() {
    masks_to(
        "GET / HTTP/1.1\nx traceparent: a\ntraceparent 00-a\na@tracestate b\n\n",
        "GET / HTTP/1.1\nx traceparent: x\ntraceparent ____\na\0tracestate b\n\n",
        Verdict::Complete,
    );
}

#[test]
fn names_that_only_resemble_a_kept_one_are_masked() {
    let (masked, _) = mask("GET / HTTP/1.1\r\nhost x: s\r\nhos: s\r\nhostx: s\r\n: s\r\nho@st: s\r\n\r\n");
    assert!(!masked.contains(": s"), "{masked}");
}

/// Heads as they should be, and all that can be wrong with them.
fn head() -> impl Strategy<Value = Vec<u8>> {
    const FIRST: [&str; 12] = [
        "GET /a/b HTTP/1.1",
        "POST /a?b=hunter2&c HTTP/1.0",
        "HEAD /a#b HTTP/1.1",
        "GET  /a  HTTP/1.1",
        "GET http://u:p@h/a?b HTTP/1.1",
        "CONNECT h:1 HTTP/1.1",
        "PRI * HTTP/2.0",
        "GET /\u{e4}?a=\u{e4} HTTP/1.1",
        "HTTP/1.1 200 OK then",
        "HTTP/1.0 404",
        "HTTP/1.1 20",
        "HTTP/1.1  200\tOK",
    ];
    const PIECES: [&str; 34] = [
        "Host",
        "traceparent",
        "Cookie",
        "X-Request-Id",
        "Authorization",
        "uberctx-a",
        "Accept",
        "Content-Length",
        "Transfer-Encoding",
        "User-Agent",
        "x-user",
        "trace",
        ":",
        ": ",
        ":",
        ": ",
        " ",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "=",
        ";",
        "&",
        "5",
        "chunked",
        "Bearer",
        "hunter2hunter2hunter2",
        "abcde",
        "\0",
        "\x7f",
        "\u{e4}",
    ];
    let first = (prop::sample::select(&FIRST[..]), prop::sample::select(&["\r\n", "\n", "\r", " \r\n", ""][..]));
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40);
    let odd = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (0..3_usize, first, pieces, odd).prop_map(|(empty, (first, end), pieces, odd)| {
        let text = [&*"\r\n".repeat(empty / 2), first, end, &pieces.concat(), "\r\n\r\n"].concat();
        let mut bytes = text.into_bytes();
        for (at, byte) in odd {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// The parser that is asked about odd lines decides what is odd: it may change its mind.
#[test]
fn first_lines_are_read_as_the_parser_reads_them() {
    let policy = policy(Masking::Blank);
    for byte in (0..=u8::MAX).filter(|byte| !matches!(byte, b'\n')) {
        for (before, after) in [("GET /a", "b HTTP/1.1"), ("GET /a?b", "c HTTP/1.1"), ("HTTP/1.1 200 O", "K")] {
            let bytes = [before.as_bytes(), &[byte], after.as_bytes(), b"\r\nHost: h\r\n\r\n"].concat();
            let Masked { bytes, end, mask, noted, head } = masked(&bytes, &Masking::Blank, &|_| false);
            if end != Some(Verdict::Complete) || !mask.is_straight() {
                continue;
            }
            let head = &bytes[head];
            if mask.kind() == Kind::Request {
                let asked = parse_request(head, true, true, None, &policy);
                assert_eq!(parse_request(head, true, true, Some(&noted), &policy), asked, "{}", head.escape_ascii());
            } else {
                let asked = parse_response(head, None, &policy);
                assert_eq!(parse_response(head, Some(&noted), &policy), asked, "{}", head.escape_ascii());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whole_lines_become_what_their_bytes_become(bytes in head(), cuts: [u8; 3]) {
        let maskings = [Masking::Blank, Masking::Keyed(Key::new([1; 16])), Masking::Done];
        for masking in maskings {
            let whole = masked(&bytes, &masking, &|_| false);
            let each = masked(&bytes, &masking, &|_| true);
            let cut = masked(&bytes, &masking, &|seen| cuts.iter().any(|cut| usize::from(*cut) == seen));
            for other in [each, cut] {
                prop_assert_eq!((&other.bytes, other.end), (&whole.bytes, whole.end), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_noted_is_what_is_read(bytes in head()) {
        let masking = Masking::Keyed(Key::new([1; 16]));
        let Masked { bytes, end, mask, noted, head } = masked(&bytes, &masking, &|_| false);
        if end != Some(Verdict::Complete) || !mask.is_straight() {
            return Ok(());
        }
        let (head, policy) = (&bytes[head], policy(masking));
        match mask.kind() {
            Kind::Request => prop_assert_eq!(
                parse_request(head, true, true, Some(&noted), &policy),
                parse_request(head, true, true, None, &policy),
                "{}", head.escape_ascii()
            ),
            Kind::Response => prop_assert_eq!(
                parse_response(head, Some(&noted), &policy),
                parse_response(head, None, &policy),
                "{}", head.escape_ascii()
            ),
        }
    }
}
