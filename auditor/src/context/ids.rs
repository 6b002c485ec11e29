//! Ids of requests, and headers that the user names: they are to arrive as they were received.
//!
//! Envoy writes its sampling decision into the digit of a UUID that says which version it is:
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/request_id/uuid/v3/uuid.proto>. That is the same id. So
//! is one to which a further value was added.

use super::evidence::{Show, evidence};
use super::format::{Cargo, Comparison, Fault, Fields, Format, Level, Reading, Status};
use super::trace::first;
use crate::rule::{Rule, Severity};

/// Length of a UUID as text.
const UUID: usize = 36;
/// Where the version of a UUID stands, and Envoy its decision.
const VERSION: usize = 14;

/// One header whose value is to stay the same.
#[derive(Debug)]
pub struct Header {
    name: &'static [&'static str; 1],
    show: Show,
    /// For its loss and for another value of it.
    rules: &'static [&'static Rule; 2],
}

/// `x-request-id`.
pub static REQUEST_ID: Header = Header::request_id(&["x-request-id"]);
/// `x-correlation-id`.
pub static CORRELATION_ID: Header = Header::request_id(&["x-correlation-id"]);

static REQUEST_ID_RULES: [&Rule; 2] = [&REQUEST_ID_DROPPED, &REQUEST_ID_CHANGED];
static HEADER_RULES: [&Rule; 2] = [&HEADER_DROPPED, &HEADER_CHANGED];

impl Header {
    const fn request_id(name: &'static [&'static str; 1]) -> Self {
        Self { name, show: Show::Ids, rules: &REQUEST_ID_RULES }
    }

    /// A header that the user wants to be audited, for the life of the process: its name is never freed. What it carries
    /// is not known, so its values are never shown.
    pub fn named(name: &str) -> Self {
        let name = Box::leak(Box::new([&*name.to_ascii_lowercase().leak()]));
        Self { name, show: Show::Name, rules: &HEADER_RULES }
    }
}

/// Whether a value that was sent is this one, or has it among others.
fn contains(sent: &[u8], value: &[u8]) -> bool {
    same(sent, value) || sent.split(|&byte| byte == b',').any(|part| same(part.trim_ascii(), value))
}

fn same(sent: &[u8], value: &[u8]) -> bool {
    let mut different = sent.iter().zip(value).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    sent.len() == value.len()
        && match (different.next(), different.next()) {
            (None, _) => true,
            (at, None) => at == Some(VERSION) && value.len() == UUID,
            _ => false,
        }
}

static REQUEST_ID_DROPPED: Rule = Rule {
    name: "request_id_dropped",
    severity: Severity::Info,
    spec: "envoy §x-request-id",
    on_call: "{who} received {format} on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with an id and made a call on its behalf without it. Nothing requires it to \
              be sent on, but log lines of the services behind cannot be found by it.",
    looks_like: "Traces are not affected; a search of the logs for the id ends at this service.",
    causes: &["The application does not copy the header", "A middleware keeps the id for logging only"],
    fix: &[
        "Copy the header from the request to the calls that it causes; most HTTP clients have an interceptor or hook for it",
        "Istio, Envoy: applications have to copy x-request-id in any case, sampling depends on it",
        "Or log the trace id instead, and propagate that",
    ],
};

static REQUEST_ID_CHANGED: Rule = Rule {
    name: "request_id_changed",
    severity: Severity::Info,
    spec: "envoy §x-request-id",
    on_call: "{who} received {format} on {from} but sent another on {call}",
    on_request: "",
    meaning: "The service received a request with an id and made a call on its behalf with another. Legal where each hop \
              has an id of its own; otherwise log lines of one request have two ids. The one digit of a UUID that Envoy \
              rewrites does not count, and neither does a value that was added.",
    looks_like: "Traces are not affected; a search of the logs for either id finds half of the request.",
    causes: &[
        "A client library or proxy makes up an id for every request that it sends",
        "A middleware replaces ids that come from outside",
    ],
    fix: &[
        "Send the id that was received, and make one up only where there is none",
        "nginx: $http_x_request_id if it is set, else $request_id",
        "Envoy: preserve_external_request_id at the edge",
    ],
};

/// A header that the user named did not go on.
pub static HEADER_DROPPED: Rule = Rule {
    name: "header_dropped",
    severity: Severity::Info,
    spec: "",
    on_call: "{who} received {format} on {from} but sent none on {call}",
    on_request: "",
    meaning: "The service received a request with a header that you asked to be audited (--header) and made a call on its \
              behalf without it. Whether it has to be sent on is for you to say; its value is never shown.",
    looks_like: "Traces are not affected; what the header stands for is unknown behind this service.",
    causes: &["The application does not copy the header", "A gateway or proxy removes it"],
    fix: &["Copy the header from the request to the calls that it causes", "Or carry the value as W3C Baggage"],
};

/// A header that the user named went on with another value.
pub static HEADER_CHANGED: Rule = Rule {
    name: "header_changed",
    severity: Severity::Info,
    spec: "",
    on_call: "{who} received {format} on {from} but sent another value of it on {call}",
    on_request: "",
    meaning: "The service received a request with a header that you asked to be audited (--header) and made a call on its \
              behalf with another value of it. Whether it has to stay the same is for you to say; values are never shown.",
    looks_like: "Traces are not affected; services behind this one see another value.",
    causes: &["The application or a library sets the header anew", "A gateway rewrites it"],
    fix: &["Set the header only where none was received"],
};

impl Format for Header {
    fn name(&self) -> &'static str {
        let [name] = self.name;
        name
    }

    fn cargo(&self) -> Cargo {
        Cargo::Id
    }

    fn fields(&self) -> &'static [&'static str] {
        self.name
    }

    fn read(&self, head: Fields<'_>, _: Level) -> Option<Reading> {
        first(head, self.name()).map(|_| Reading::default())
    }

    fn evidence(&self, head: Fields<'_>) -> String {
        evidence(head, self.name, |_| self.show)
    }

    fn compare(&self, received: Fields<'_>, sent: Fields<'_>, _: Level) -> Comparison {
        let status = match (first(received, self.name()), first(sent, self.name())) {
            (None, None) => Status::Absent,
            (None, Some(_)) => Status::Started,
            (Some(_), None) => Status::Dropped,
            (Some(received), Some(sent)) if received == sent => Status::PassedThrough,
            (Some(value), Some(_)) if sent.values(self.name()).any(|sent| contains(sent, value)) => Status::Continued,
            (Some(_), Some(_)) => Status::Restarted,
        };
        let [_, changed] = self.rules;
        let faults = if status == Status::Restarted {
            vec![Fault { rule: changed, reason: None, detail: None }]
        } else {
            Vec::new()
        };
        Comparison { status, faults }
    }

    fn dropped(&self) -> Option<&'static Rule> {
        let [dropped, _] = self.rules;
        Some(dropped)
    }

    fn rules(&self) -> &'static [&'static Rule] {
        self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{compare, names, read, shown, status};
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";

    fn of(received: &str, sent: &str) -> Status {
        status(&REQUEST_ID, &[("X-Request-ID", received)], &[("x-request-id", sent)])
    }

    #[test]
    fn what_becomes_of_it() {
        assert_eq!(of(ID, ID), Status::PassedThrough);
        for envoy in ["9", "a", "b"] {
            assert_eq!(of(ID, &ID.replace("-4da6", &format!("-{envoy}da6"))), Status::Continued);
        }
        assert_eq!(of(ID, &format!("edge, {ID}")), Status::Continued);
        assert_eq!(
            status(&REQUEST_ID, &[("x-request-id", ID)], &[("x-request-id", "a"), ("x-request-id", ID)]),
            Status::Continued
        );
        assert_eq!(of("a, b", "a, b"), Status::PassedThrough);
        assert_eq!(of(ID, ""), Status::Dropped);
        assert_eq!(of("", ID), Status::Started);
        assert_eq!(of("", ""), Status::Absent);
    }

    #[test]
    fn another_value_is_another_id() {
        for sent in ["x", &ID[1..], &ID.replace("-4da6", "-4da7"), &ID.replace("-4da6", "-9da7"), &ID.to_uppercase()] {
            for (format, code) in
                [(&REQUEST_ID, "request_id_changed"), (&Header::named("X-Request-Id"), "header_changed")]
            {
                let compared = compare(format, &[("x-request-id", ID)], &[("x-request-id", sent)]);
                assert_eq!(
                    (compared.status, names(&compared.faults)),
                    (Status::Restarted, vec![(code, None)]),
                    "{sent}"
                );
            }
        }
        // Nobody but Envoy rewrites a digit, and only of a UUID.
        let compared =
            compare(&REQUEST_ID, &[("x-request-id", "00000000000000-4")], &[("x-request-id", "00000000000000-9")]);
        assert_eq!(compared.status, Status::Restarted);
    }

    #[test]
    fn values_of_unknown_headers_are_not_shown() {
        let tenant = Header::named("X-Tenant");
        assert_eq!((tenant.name(), tenant.fields()), ("x-tenant", &["x-tenant"][..]));
        assert_eq!(shown(&tenant, &[("x-tenant", "jane")]), "x-tenant");
        assert_eq!(shown(&REQUEST_ID, &[("x-request-id", ID)]), format!("x-request-id: {ID}"));
        assert_eq!(shown(&REQUEST_ID, &[("x-request-id", "jane-1")]), "x-request-id: xxxx-1");
        assert_eq!(read(&REQUEST_ID, &[("x-request-id", "")]), None);
    }

    proptest! {
        #[test]
        fn a_value_is_the_same_as_itself(value in "[!-+.-~]{1,40}", other in "[!-~]{1,40}") {
            prop_assert_eq!(of(&value, &value), Status::PassedThrough);
            let added = format!("{other}, {value}");
            prop_assert!(contains(added.as_bytes(), value.as_bytes()));
        }
    }
}
