//! Which ends belong together.

use super::*;
use crate::exchange::RequestHead;
use crate::testing;

const SECOND: BootNs = 1_000_000_000;

fn request(id: u64, role: Role, endpoints: Endpoints, path: &str) -> Request {
    let process = ProcessId { tgid: if role == Role::Client { 10 } else { 20 }, start_ns: 1 };
    let request = testing::request(ExchangeId(id), role, SECOND);
    let head = RequestHead { path: path.into(), host: None, ..request.head };
    Request { process, endpoints, head, ..request }
}

fn tcp(local: &str, remote: &str) -> Endpoints {
    Endpoints::Tcp { local: local.parse().expect("address"), remote: remote.parse().expect("address") }
}

fn unix(path: &str, peer_tgid: Option<u32>) -> Endpoints {
    Endpoints::Unix { path: path.into(), peer_tgid }
}

/// Whether one end finds the other, whichever is seen first.
fn meet(client: &Request, server: &Request) -> bool {
    let both = [(client, server), (server, client)].map(|(first, second)| {
        let mut ends = Ends::new();
        assert!(ends.meet(first).is_none(), "nobody is there yet");
        let met = ends.meet(second) == Some(first.id);
        let peers = (ends.peer(first.id), ends.peer(second.id));
        let expected = if met { (Some(second.process), Some(first.process)) } else { (None, None) };
        assert_eq!(peers, expected);
        met
    });
    assert_eq!(both[0], both[1]);
    both[0]
}

#[test]
fn the_ends_of_one_connection_meet() {
    let (a, b) = ("127.0.0.1:4000", "127.0.0.1:80");
    let client = request(1, Role::Client, tcp(a, b), "/x");
    let server = request(2, Role::Server, tcp(b, a), "/x");
    assert!(meet(&client, &server));
    assert!(!meet(&client, &request(2, Role::Server, tcp(b, "127.0.0.1:4001"), "/x")), "another connection");
    assert!(!meet(&client, &request(2, Role::Server, tcp(b, a), "/y")), "another request");
    assert!(!meet(&client, &Request { netns: 2, ..server.clone() }), "another loopback");
    assert!(!meet(&client, &Request { time: 3 * SECOND, ..server.clone() }), "the port was used again");
    assert!(!meet(&client, &Request { visibility: Visibility::Truncated, ..server.clone() }), "not seen whole");
    let (pod, other) = ("10.0.0.7:4000", "10.0.0.8:80");
    let client = request(1, Role::Client, tcp(pod, other), "/x");
    let server = Request { netns: 2, ..request(2, Role::Server, tcp(other, pod), "/x") };
    assert!(meet(&client, &server), "two pods on the network of the node");
    assert!(!meet(&client, &request(2, Role::Server, tcp(other, "192.168.0.1:4000"), "/x")), "behind NAT");
    let v6 = |role, local, remote| request(1 + u64::from(role == Role::Server), role, tcp(local, remote), "/");
    assert!(meet(&v6(Role::Client, "[::1]:4000", "[::1]:80"), &v6(Role::Server, "[::1]:80", "[::1]:4000")));
}

#[test]
fn the_ends_of_unix_sockets_meet_by_their_name_and_who_connected() {
    let client = request(1, Role::Client, unix("/run/app", Some(1)), "/x");
    assert!(meet(&client, &request(2, Role::Server, unix("/run/app", Some(10)), "/x")));
    assert!(!meet(&client, &request(2, Role::Server, unix("/run/app", Some(11)), "/x")), "another client");
    assert!(!meet(&client, &request(2, Role::Server, unix("/run/app", None), "/x")), "nobody knows which client");
    let unnamed = request(1, Role::Client, unix("", Some(20)), "/x");
    assert!(!meet(&unnamed, &request(2, Role::Server, unix("", Some(10)), "/x")));
}

#[test]
fn requests_that_look_the_same_meet_one_by_one() {
    let (a, b) = ("127.0.0.1:4000", "127.0.0.1:80");
    let mut ends = Ends::new();
    for id in 0..10 {
        assert!(ends.meet(&request(2 * id, Role::Client, tcp(a, b), "/x")).is_none());
        let met = ends.meet(&request(2 * id + 1, Role::Server, tcp(b, a), "/x"));
        assert_eq!(met, Some(ExchangeId(2 * id)));
    }
}
