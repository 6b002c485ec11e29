//! What `--metrics-addr` accepts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `PORT` (on loopback), `ADDRESS:PORT`, `[ADDRESS]:PORT` or `localhost:PORT`; port 0: a free one.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    if let Ok(port) = text.parse() {
        return Ok(loopback(port));
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(loopback(port));
    }
    // Elsewhere it means every address of the machine, which is not to happen by mistake. `::1` is loopback's address.
    let port = text.strip_prefix("::").filter(|port| *port != "1").or_else(|| text.strip_prefix(':'));
    if let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) {
        return Err(format!("say {port} for loopback alone, or 0.0.0.0:{port} or [::]:{port} for every address"));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let such = SocketAddr::new(address, 9464);
        return Err(format!("{text:?} is an address without a port, such as {such}"));
    }
    text.parse().map_err(|_| format!("{text:?} is not a port, nor an address with one, such as 9464 or 10.0.0.7:9464"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, expected) in [
            ("9464", "127.0.0.1:9464"),
            ("0", "127.0.0.1:0"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()), Ok(expected.to_owned()));
        }
        for wrong in ["", "65536", "-1", ":9464", "example.com:9464", "10.0.0.7", "::1", "9464/metrics"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let every = "say 9464 for loopback alone, or 0.0.0.0:9464 or [::]:9464 for every address";
        for (wrong, told) in [
            (":9464", every),
            ("::9464", every),
            ("::1", "\"::1\" is an address without a port, such as [::1]:9464"),
            ("::", "\"::\" is an address without a port, such as [::]:9464"),
            ("10.0.0.7", "\"10.0.0.7\" is an address without a port, such as 10.0.0.7:9464"),
            (":x", "\":x\" is not a port, nor an address with one, such as 9464 or 10.0.0.7:9464"),
        ] {
            assert_eq!(address(wrong), Err(told.to_owned()));
        }
    }
}
