//! A CGI script in shell that calls curl: the process that calls is a grandchild of the one that was asked.

use auditor_tests::auditor::{Auditor, auditor_command};
use auditor_tests::fleet::{Treatment, interpreted, judge, loads};
use auditor_tests::kernel::comm;
use auditor_tests::process::Service;

fn cgi(hooks: &str, treatment: Treatment) {
    let backend = Service::backend();
    let port = backend.addr.port().to_string();
    let service = interpreted("python3", "server.py", &[treatment.name(), "cgi", &port]);
    for load in loads(&service.addr) {
        let mut command = auditor_command();
        // The callers are processes that do not exist yet: chosen by their name.
        command.args(["run", "--hooks", hooks, "--comm", &comm(service.pid()), "--comm", "curl"]);
        command.args(["--aggregation-window", "3600s", "--summary-interval", "3600s"]);
        let auditor = Auditor::start(&mut command);
        let calls = load.run().all();
        judge(&auditor.stop(), None, &backend, treatment, calls);
    }
}

macro_rules! cgi_tests {
    ($($name:ident: $treatment:ident;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn sock() {
                cgi("sock", Treatment::$treatment);
            }

            #[test]
            fn syscall() {
                cgi("syscall", Treatment::$treatment);
            }
        }
    )+};
}

cgi_tests! {
    script_that_forwards: Forwards;
    script_that_drops: Drops;
}
