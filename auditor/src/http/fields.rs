//! Which header fields keep their values. Every other value is masked before anything else looks at it.

/// Fields whose lines travel on in `RequestHead::fields`; lower case.
pub const AUDITED: [&str; 2] = ["traceparent", "tracestate"];

/// Fields that framing and the description of an exchange need; lower case.
pub const STRUCTURAL: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "user-agent", "expect"];

/// The longest name above.
pub(super) const LONGEST: usize = "transfer-encoding".len();

/// Whether the lines of this field travel on.
pub fn is_audited(name: &[u8]) -> bool {
    AUDITED.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// Whether the value of this field stays readable.
pub fn is_kept(name: &[u8]) -> bool {
    is_audited(name) || STRUCTURAL.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

/// Whether the name of a field whose value stays readable can begin with these bytes.
pub(super) fn can_begin(name: &[u8]) -> bool {
    let begins = |field: &&str| field.as_bytes().get(..name.len()).is_some_and(|part| part.eq_ignore_ascii_case(name));
    AUDITED.iter().chain(&STRUCTURAL).any(begins)
}

/// Whether a line that is not a field line could still have been meant, and read by a lenient server, as an audited one.
pub(super) fn mentions_audited(line: &[u8]) -> bool {
    AUDITED.iter().any(|field| line.windows(field.len()).any(|part| part.eq_ignore_ascii_case(field.as_bytes())))
}
