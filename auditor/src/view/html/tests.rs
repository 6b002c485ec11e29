use super::*;
use crate::view::Lines;

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

#[test]
fn the_policy_names_what_runs() {
    use sha2::{Digest, Sha256};
    let hash = |text: &str| base64(&Sha256::digest(text));
    assert_eq!((STYLE_HASH, SCRIPT_HASH), (hash(STYLE).as_str(), hash(SCRIPT).as_str()));
    assert!(!SCRIPT.contains("</") && !STYLE.contains("</"), "they would end there");
    for word in
        ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "http:", "https:", "url(", "@import"]
    {
        assert!(!SCRIPT.contains(word) && !STYLE.contains(word), "{word}");
    }
}

/// Every text field that a line has, hostile.
const HOSTILE: &str = "</script></title></style><img src=//x.test onerror=alert(1)>\\\"'&\\u001b[2J\\u202e\\t";

fn hostile() -> Report {
    let mut report = Report::default();
    let lines = [
        r#"{"record_type":"summary","timestamp":"X","interval_start":"X","edge":{"calls":2,"dropped":2},"inbound":{"http.request.method":"X","http.route":"X"},"attributes":{"http.request.method":"X","http.route":"X","server.address":"X","service.peer.name":"X"},"resource":{"service.name":"X","host.name":"X"}}"#,
        r#"{"record_type":"finding","timestamp":"X","level":"X","message":"X","trace_id":"X","finding":{"code":"X","direction":"outbound","reason":"X","detail":"X","fingerprint":"X","count":2,"first_seen":"X","last_seen":"X","received":"X","sent":"X","correlation":{"method":"X","confidence":1},"inbound":{"http.request.method":"X","http.route":"X"}},"attributes":{"http.request.method":"X","http.route":"X","server.address":"X","error.type":"X"},"resource":{"service.name":"X","host.name":"X"}}"#,
        r#"{"record_type":"blind_spot","timestamp":"X","message":"X","blind_spot":{"code":"X","count":1},"resource":{"service.name":"X","host.name":"X"}}"#,
    ];
    let mut input = Lines::new();
    for line in lines {
        input.push(line.replace("\"X\"", &format!("\"{HOSTILE}\"")).as_bytes(), &mut report);
        input.push(b"\n", &mut report);
    }
    assert_eq!(input.finish(&mut report), Read { records: 3, broken: 0, cut_off: false });
    report
}

#[test]
fn strangers_write_no_markup() {
    let page = page(&hostile(), Read::default());
    assert!(page.contains("&lt;img src=//x.test onerror=alert(1)&gt;&quot;&#39;&amp;\u{fffd}[2J\u{fffd}\u{fffd}"));
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img") && !page.contains("onerror=alert(1)>"));
    assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    // Outside of its own texts every quote ends an attribute that the page opened.
    let body = page.split_once("<body>").unwrap().1.split_once("<script>").unwrap().0;
    for tag in body.split('<').skip(1) {
        let tag = tag.split_once('>').unwrap_or_else(|| panic!("{tag}")).0;
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
}

#[test]
fn nothing_refers_to_elsewhere() {
    let page = page(&hostile(), Read::default());
    for part in page.split(" href=\"").skip(1) {
        assert!(part.starts_with('#'), "{part:.80}");
    }
    assert!(!page.contains(" src=\"") && !page.contains("<link") && !page.contains("style=\""));
}

#[test]
fn an_empty_report_is_a_page() {
    let page = page(&Report::default(), Read::default());
    assert!(page.contains("No hop was seen") && page.ends_with("</html>\n"));
}
