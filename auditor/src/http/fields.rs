//! What becomes of the values of header fields: a few stay readable, some are replaced so that they can be compared,
//! every other is masked before anything else looks at it.

/// Fields whose lines travel on in `RequestHead::fields`; lower case.
pub const AUDITED: [&str; 2] = ["traceparent", "tracestate"];

/// Fields that framing and the description of an exchange need; lower case.
pub const STRUCTURAL: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "user-agent", "expect"];

/// Fields whose values travel from a request to the calls made for it; lower case. See [`super::Masking`].
pub const AFFINE: [&str; 20] = [
    "authorization",
    COOKIE,
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "correlation-id",
    "x-transaction-id",
    "x-client-request-id",
    "idempotency-key",
    "x-api-key",
    "x-auth-token",
    "x-session-id",
    "x-tenant-id",
    "x-tenant",
    "x-org-id",
    "x-scope-orgid",
    "x-account-id",
    "x-customer-id",
    "x-user-id",
    "x-user",
];

/// Those of them that name one request.
const NAME_REQUEST: [&str; 4] = ["x-request-id", "request-id", "x-client-request-id", "idempotency-key"];

/// Its value is pairs of name and value.
const COOKIE: &str = "cookie";

/// The longest name above.
pub(super) const LONGEST: usize = "x-client-request-id".len();

/// What becomes of the value of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It stays readable.
    Keep,
    /// Nothing of it stays.
    #[default]
    Mask,
    /// Its words can be compared.
    Words,
    /// So can the values of its pairs, with this byte between two pairs.
    Pairs(u8),
}

/// Whether the lines of this field travel on.
pub fn is_audited(name: &[u8]) -> bool {
    is_one_of(&AUDITED, name)
}

/// Whether the value of this field stays readable.
pub fn is_kept(name: &[u8]) -> bool {
    is_audited(name) || is_one_of(&STRUCTURAL, name)
}

/// Whether anything of the value of this field stays.
pub(super) fn is_listed(name: &[u8]) -> bool {
    treatment(name) != Treatment::Mask
}

/// Whether the value of this field names one request.
pub(super) fn names_request(name: &[u8]) -> bool {
    is_one_of(&NAME_REQUEST, name)
}

/// What becomes of the value of this field in a request.
pub(super) fn treatment(name: &[u8]) -> Treatment {
    if is_kept(name) {
        Treatment::Keep
    } else if name.eq_ignore_ascii_case(COOKIE.as_bytes()) {
        Treatment::Pairs(b';')
    } else if is_one_of(&AFFINE, name) {
        Treatment::Words
    } else {
        Treatment::Mask
    }
}

/// Whether the name of a field of the lists above can begin with these bytes.
pub(super) fn can_begin(name: &[u8]) -> bool {
    let Some((last, before)) = name.split_last() else { return true };
    let last = last.to_ascii_lowercase();
    // The last byte first: it is asked for every byte of every name, and that alone rules out most.
    let begins = |field: &&str| match field.as_bytes().split_at_checked(before.len()) {
        Some((part, rest)) => rest.first() == Some(&last) && part.eq_ignore_ascii_case(before),
        None => false,
    };
    AUDITED.iter().chain(&STRUCTURAL).chain(&AFFINE).any(begins)
}

/// Whether a line that is not a field line could still have been meant, and read by a lenient server, as an audited one.
pub(super) fn mentions_audited(line: &[u8]) -> bool {
    AUDITED.iter().any(|field| line.windows(field.len()).any(|part| part.eq_ignore_ascii_case(field.as_bytes())))
}

fn is_one_of(fields: &[&str], name: &[u8]) -> bool {
    fields.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_longer_than_the_longest() {
        let longest = AUDITED.iter().chain(&STRUCTURAL).chain(&AFFINE).map(|name| name.len()).max();
        assert_eq!(longest, Some(LONGEST));
    }
}
