//! Services in Node: one event loop, pooled connections.

use auditor_tests::fleet::{Treatment, audit_service, interpreted};
use auditor_tests::process::Service;

fn node(hooks: &str, client: &str, treatment: Treatment) {
    let backend = Service::backend();
    let port = backend.addr.port().to_string();
    let service = interpreted("node", "server.js", &[treatment.name(), client, &port]);
    audit_service(hooks, &service, &backend, treatment);
}

macro_rules! node_tests {
    ($($name:ident: $client:literal, $treatment:ident;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn sock() {
                node("sock", $client, Treatment::$treatment);
            }

            #[test]
            fn syscall() {
                node("syscall", $client, Treatment::$treatment);
            }
        }
    )+};
}

node_tests! {
    http_request_that_forwards: "http", Forwards;
    http_request_that_drops: "http", Drops;
    fetch_that_forwards: "fetch", Forwards;
    fetch_that_drops: "fetch", Drops;
}
