//! Services in Python: a thread a request, a new connection a call.

use auditor_tests::fleet::{Treatment, audit_service, interpreted};
use auditor_tests::process::Service;

fn python(hooks: &str, client: &str, treatment: Treatment) {
    let backend = Service::backend();
    let port = backend.addr.port().to_string();
    let service = interpreted("python3", "server.py", &[treatment.name(), client, &port]);
    audit_service(hooks, &service, &backend, treatment);
}

macro_rules! python_tests {
    ($($name:ident: $client:literal, $treatment:ident;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn sock() {
                python("sock", $client, Treatment::$treatment);
            }

            #[test]
            fn syscall() {
                python("syscall", $client, Treatment::$treatment);
            }
        }
    )+};
}

python_tests! {
    http_client_that_forwards: "http.client", Forwards;
    http_client_that_drops: "http.client", Drops;
    urllib_that_forwards: "urllib", Forwards;
    urllib_that_drops: "urllib", Drops;
    what_is_printed_is_no_call: "logs", Forwards;
}
