//! Where a call goes: the name the client used and the address it reached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::texts::Texts;
use crate::exchange::Request;
use crate::record::Endpoints;

/// Longest host name that is kept; DNS allows 253 bytes.
const HOST_CAP: usize = 255;
/// `http` without a port in `Host`.
const DEFAULT_PORT: u16 = 80;

/// The server end of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Name from `Host`, else the peer's address or the socket path.
    pub address: Arc<str>,
    /// Port, for TCP.
    pub port: Option<u16>,
}

impl Destination {
    /// Of an outbound request.
    pub(crate) fn of(request: &Request, texts: &mut Texts) -> Self {
        let named = request.head.host.as_deref().map(split_host).filter(|(host, _)| !host.is_empty());
        match (named, &request.endpoints) {
            // Over a Unix socket `Host` is whatever the client made up ("localhost", an upstream's name); the path is
            // what is reached.
            (_, Endpoints::Unix { path, .. }) => Self { address: path.clone(), port: None },
            (Some((host, port)), Endpoints::Tcp { .. }) => {
                let host = cut(host, HOST_CAP);
                let is_upper = host.bytes().any(|byte| byte.is_ascii_uppercase());
                let address = if is_upper { texts.share(&host.to_ascii_lowercase()) } else { texts.share(host) };
                Self { address, port: Some(port.unwrap_or(DEFAULT_PORT)) }
            }
            (None, Endpoints::Tcp { remote, .. }) => {
                Self { address: remote.ip().to_string().into(), port: Some(remote.port()) }
            }
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) if self.address.contains(':') => write!(f, "[{}]:{port}", self.address),
            Some(port) => write!(f, "{}:{port}", self.address),
            None if self.address.is_empty() => f.write_str("an unnamed socket"),
            None => f.write_str(&self.address),
        }
    }
}

/// Host and port of a `Host` value; brackets around IPv6 are not part of the address.
pub fn split_host(value: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = value.strip_prefix('[').and_then(|v| v.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match value.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (value, None),
    }
}

/// The other end of a TCP connection.
pub fn peer(endpoints: &Endpoints) -> Option<SocketAddr> {
    match endpoints {
        Endpoints::Tcp { remote, .. } => Some(*remote),
        Endpoints::Unix { .. } => None,
    }
}

/// Its address alone.
pub fn peer_ip(endpoints: &Endpoints) -> Option<IpAddr> {
    peer(endpoints).map(|peer| peer.ip())
}

/// At most `limit` bytes of `text`, never half a character.
pub fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_values_split() {
        assert_eq!(split_host("payments"), ("payments", None));
        assert_eq!(split_host("payments:8080"), ("payments", Some(8080)));
        assert_eq!(split_host("[::1]:81"), ("::1", Some(81)));
        assert_eq!(split_host("[::1]"), ("::1", None));
        assert_eq!(split_host("::1"), ("::1", None));
        assert_eq!(split_host("a:"), ("a", None));
        assert_eq!(cut("aé", 2), "a");
    }
}
