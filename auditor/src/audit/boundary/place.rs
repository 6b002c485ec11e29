//! What a user names a place by, and whether a call goes there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::record::Endpoints;
use crate::report::address::{Destination, peer};

/// `payments`, `payments:8080`, `*.example.com`, `10.1.2.3:80`, `10.0.0.0/8`, `fd00::/8`, `/run/app.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Lower case, or the path of a Unix socket.
    Name(Box<str>),
    /// Every name that ends with this; it begins with a dot.
    Suffix(Box<str>),
    Network(IpNet),
}

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// It has a slash, and is not a network.
    #[error("it is not a network such as 10.0.0.0/8 or fd00::/8 (of a URL, write the host alone)")]
    Network,
    /// What follows the colon is not a port.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// It has characters that no host has.
    #[error("it is not a host, such as payments, payments:8080, *.example.com or 10.1.2.3")]
    Host,
}

impl FromStr for Place {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let text = text.trim();
        let network = |address: IpAddr| Host::Network(address.to_canonical().into());
        if text.starts_with('/') || text.starts_with('@') {
            return Ok(Self { host: Host::Name(text.into()), port: None });
        }
        if text.contains('/') {
            let network = text.parse().map_err(|_| BadPlace::Network)?;
            return Ok(Self { host: Host::Network(network), port: None });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: network(address.ip()), port: Some(port(address.port())?) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self { host: network(address), port: None });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, Some(port(digits.parse().map_err(|_| BadPlace::Port)?)?)),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let (suffix, labels) = match name.strip_prefix('*') {
            Some(rest) => (true, rest.strip_prefix('.').ok_or(BadPlace::Host)?),
            None => (false, &*name),
        };
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !labels.split('.').all(|label| !label.is_empty() && label.bytes().all(letter)) {
            return Err(BadPlace::Host);
        }
        let host = if suffix { Host::Suffix(format!(".{labels}").into()) } else { Host::Name(labels.into()) };
        Ok(Self { host, port })
    }
}

fn port(number: u16) -> Result<u16, BadPlace> {
    if number == 0 { Err(BadPlace::Port) } else { Ok(number) }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Name(name), _) => f.write_str(name)?,
            (Host::Suffix(suffix), _) => write!(f, "*{suffix}")?,
            (Host::Network(network), Some(_)) if network.addr().is_ipv6() => write!(f, "[{}]", network.addr())?,
            (Host::Network(network), _) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())?;
            }
            (Host::Network(network), _) => write!(f, "{network}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Place {
    /// Whether a client with this address is there.
    pub(in crate::audit) fn has_client(&self, client: IpAddr) -> bool {
        self.port.is_none() && matches!(&self.host, Host::Network(network) if network.contains(&client))
    }
}

/// Where a call goes, in every way in which a place can name it: what the client calls it, and whom it reached. The two
/// differ behind a proxy; either is enough.
pub(in crate::audit) struct Towards<'a> {
    name: &'a str,
    /// That the name is an address.
    address: Option<IpAddr>,
    port: Option<u16>,
    peer: Option<SocketAddr>,
}

impl<'a> Towards<'a> {
    pub(in crate::audit) fn new(destination: &'a Destination, endpoints: &Endpoints) -> Self {
        let name = destination.address.strip_suffix('.').unwrap_or(&destination.address);
        let address = name.parse().ok().map(|address: IpAddr| address.to_canonical());
        Self { name, address, port: destination.port, peer: peer(endpoints) }
    }

    /// The place among these.
    pub(in crate::audit) fn is_in<'p>(&self, places: &'p [Place]) -> Option<&'p Place> {
        places.iter().find(|place| self.is_at(place))
    }

    fn is_at(&self, place: &Place) -> bool {
        let ports = [self.port, self.peer.map(|peer| peer.port())];
        let addresses = [self.address, self.peer.map(|peer| peer.ip())];
        let port = place.port.is_none_or(|port| ports.contains(&Some(port)));
        port && match &place.host {
            Host::Name(name) => self.name == &**name,
            Host::Suffix(suffix) => self.name.len() > suffix.len() && self.name.ends_with(&**suffix),
            Host::Network(network) => addresses.iter().flatten().any(|address| network.contains(address)),
        }
    }

    /// It does not leave the machine, as far as the client knows: a proxy on loopback that is called by the name of
    /// somebody else hands on what it gets.
    pub(in crate::audit) fn is_local(&self) -> bool {
        let named = self.name == "localhost" || self.name.ends_with(".localhost");
        self.peer.is_none() || named || self.address.is_some_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    fn goes(host: &str, port: u16, peer: &str, place: &str) -> bool {
        let destination = Destination { address: host.into(), port: Some(port) };
        let endpoints = Endpoints::Tcp { local: "10.9.9.9:40000".parse().unwrap(), remote: peer.parse().unwrap() };
        Towards::new(&destination, &endpoints).is_at(&self::place(place))
    }

    #[test]
    fn a_call_goes_to_a_place_by_name_or_address() {
        const PEER: &str = "10.1.2.3:8443";
        for (host, port, there) in [
            ("payments", 80, "payments"),
            ("payments", 80, " Payments. "),
            ("payments.", 80, "payments"),
            ("payments", 8080, "payments:8080"),
            ("payments", 80, "payments:8443"),
            ("api.example.com", 80, "*.example.com"),
            ("a.b.example.com", 81, "*.EXAMPLE.com:81"),
            ("payments", 80, "10.1.2.3"),
            ("payments", 80, "10.1.2.3:80"),
            ("payments", 80, "10.0.0.0/8"),
            ("payments", 80, "10.9.9.9/8"),
            ("192.0.2.7", 80, "192.0.2.0/24"),
            ("::ffff:192.0.2.7", 80, "192.0.2.7"),
            ("fd00::5", 80, "fd00::/8"),
            ("fd00::5", 80, "[fd00::5]:80"),
            ("fd00::5", 80, "[fd00::5]"),
            ("payments", 80, "0.0.0.0/0"),
        ] {
            assert!(goes(host, port, PEER, there), "{host}:{port} {there}");
        }
        for (host, port, elsewhere) in [
            ("payments", 80, "payment"),
            ("payments", 80, "payments:8080"),
            ("xpayments", 80, "payments"),
            ("example.com", 80, "*.example.com"),
            ("badexample.com", 80, "*.example.com"),
            ("example.com.evil.net", 80, "*.example.com"),
            ("payments", 80, "10.2.0.0/16"),
            ("payments", 80, "10.1.2.3:81"),
            ("payments", 80, "::/0"),
            ("fd00::5", 80, "fe80::/10"),
            ("payments", 80, "/run/payments"),
        ] {
            assert!(!goes(host, port, PEER, elsewhere), "{host}:{port} {elsewhere}");
        }
        let socket = Destination { address: "/run/App.sock".into(), port: None };
        let endpoints = Endpoints::Unix { path: socket.address.clone(), peer_tgid: None };
        assert!(Towards::new(&socket, &endpoints).is_at(&place("/run/App.sock")));
        assert!(!Towards::new(&socket, &endpoints).is_at(&place("0.0.0.0/0")));
    }

    #[test]
    fn clients_are_known_by_their_address() {
        let client = "203.0.113.9".parse().unwrap();
        assert!(place("203.0.113.0/24").has_client(client) && place("203.0.113.9").has_client(client));
        for other in ["203.0.113.9:80", "203.0.114.0/24", "::/0", "partner"] {
            assert!(!place(other).has_client(client), "{other}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (text, why) in [
            ("", BadPlace::Host),
            ("*", BadPlace::Host),
            ("*example.com", BadPlace::Host),
            ("*.", BadPlace::Host),
            ("api.*.com", BadPlace::Host),
            ("a..b", BadPlace::Host),
            ("a b", BadPlace::Host),
            ("münchen.de", BadPlace::Host),
            ("[::1", BadPlace::Port),
            ("a:", BadPlace::Port),
            ("a:http", BadPlace::Port),
            ("a:0", BadPlace::Port),
            ("10.0.0.1:0", BadPlace::Port),
            ("a:65536", BadPlace::Port),
            ("http://a", BadPlace::Network),
            ("10.0.0.0/33", BadPlace::Network),
            ("10.0.0/8", BadPlace::Network),
            ("a/8", BadPlace::Network),
        ] {
            assert_eq!(text.parse::<Place>(), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_a_place_reads_as_what_it_was_written_as(text in "\\PC{0,20}|[*a1.:/\\[\\]]{0,12}|[0-9.:/]{0,16}") {
            if let Ok(place) = text.parse::<Place>() {
                prop_assert_eq!(place.to_string().parse(), Ok(place));
            }
        }

        #[test]
        fn nothing_that_a_client_sends_panics(name in ".{0,20}", port: Option<u16>) {
            let destination = Destination { address: name.into(), port };
            let endpoints = Endpoints::Unix { path: "".into(), peer_tgid: None };
            let towards = Towards::new(&destination, &endpoints);
            towards.is_in(&[place("*.a"), place("a:1"), place("::/0")]);
            prop_assert!(towards.is_local());
        }
    }
}
