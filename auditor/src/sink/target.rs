//! Where an output goes, as text: `-`, a path, or an URL.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::spec::SpecError;

/// The native socket of journald.
pub(super) const JOURNALD: &str = "/run/systemd/journal/socket";
/// Kinds of outputs by their schemes, for error messages.
const SCHEMES: &str = "file:, syslog+unix:, syslog+udp://, syslog+tcp://, journald:, otlp+http://";
/// What may come behind a `?`, and holds no secret.
const OPTIONS: [&str; 8] = ["format", "rotate", "rotate-size", "rotate-age", "keep", "queue", "facility", "protocol"];
/// Stands for what may be a secret.
const MASK: &str = "***";
/// Where OTLP/HTTP has its logs.
const OTLP_LOGS: &str = "/v1/logs";

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Stdout.
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
    /// Syslog on a Unix socket, of datagrams or of a stream.
    SyslogUnix(PathBuf),
    /// Syslog in UDP datagrams; host and port.
    SyslogUdp(String, u16),
    /// Syslog over TCP with octet counting; host and port.
    SyslogTcp(String, u16),
    /// The native socket of journald.
    Journald(PathBuf),
    /// OTLP/HTTP with JSON: the whole `http://` URL.
    Otlp(String),
}

impl Target {
    /// Reads it from a text without options.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: &str| SpecError::Target { text: without_credentials(text), why: why.to_owned() };
        if text.is_empty() {
            return Err(wrong("is empty"));
        }
        if text == "-" {
            return Ok(Self::Stdout);
        }
        let Some((scheme, rest)) = scheme(text) else { return Ok(Self::File(text.into())) };
        match scheme {
            "file" => Ok(Self::File(path(rest).ok_or_else(|| wrong("names no file"))?)),
            "syslog+unix" => {
                Ok(Self::SyslogUnix(path(rest).ok_or_else(|| wrong("names no socket, such as /dev/log"))?))
            }
            "syslog+udp" => authority(rest, 514).map(|(host, port)| Self::SyslogUdp(host, port)).map_err(wrong),
            "syslog+tcp" => authority(rest, 601).map(|(host, port)| Self::SyslogTcp(host, port)).map_err(wrong),
            "journald" => Ok(Self::Journald(path(rest).unwrap_or_else(|| JOURNALD.into()))),
            "otlp+http" => otlp(rest).map(Self::Otlp).map_err(wrong),
            "otlp+https" => Err(wrong("needs TLS: send to a collector on this node, which can")),
            _ => Err(wrong(&format!("is no output: it is `-`, a path, or one of {SCHEMES}"))),
        }
    }

    /// What people call it: `stdout`, else as it was written.
    pub fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(path) => path.display().to_string(),
            other => other.to_string(),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("-"),
            // One that looks like an URL or an option stays a path.
            Self::File(path) if scheme(&path.to_string_lossy()).is_some() || path == Path::new("-") => {
                write!(f, "./{}", path.display())
            }
            Self::File(path) => write!(f, "{}", path.display()),
            Self::SyslogUnix(path) => write!(f, "syslog+unix:{}", path.display()),
            Self::SyslogUdp(host, port) => write!(f, "syslog+udp://{}", join(host, *port)),
            Self::SyslogTcp(host, port) => write!(f, "syslog+tcp://{}", join(host, *port)),
            Self::Journald(path) if path == Path::new(JOURNALD) => f.write_str("journald:"),
            Self::Journald(path) => write!(f, "journald:{}", path.display()),
            Self::Otlp(url) => write!(f, "otlp+{url}"),
        }
    }
}

/// An output as a message may show it, also one that is none: nobody knows where in it a secret is.
pub fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = scheme(text) else { return text.to_owned() };
    let (slashes, rest) = rest.split_at(rest.len() - rest.trim_start_matches('/').len());
    let shown = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => MASK.to_owned(),
        Some((_, host)) => format!("{MASK}@{}", without_options(host)),
        None => without_options(&without_password(rest)),
    };
    format!("{scheme}:{slashes}{shown}")
}

/// `user:password` is what is left of a password with a comma in it: that ends an output.
fn without_password(rest: &str) -> String {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.split_once(':') {
        Some((user, port)) if !user.starts_with('[') && port.parse::<u16>().is_err() => format!("{user}:{MASK}{path}"),
        _ => rest.to_owned(),
    }
}

/// A key or a token in a query is none of ours.
fn without_options(place: &str) -> String {
    let Some((place, options)) = place.split_once('?') else { return place.to_owned() };
    let options = options.split('&').map(|option| match option.split_once('=') {
        Some((name, _)) if !OPTIONS.contains(&name) => format!("{name}={MASK}"),
        _ => option.to_owned(),
    });
    format!("{place}?{}", options.collect::<Vec<_>>().join("&"))
}

/// What looks like the scheme of an URL, and the rest. A path with a colon in it is written `./a:b`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '+' || rest.starts_with("//") && "-._".contains(c);
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits)).then_some((scheme, rest))
}

/// `/path` and `///path`.
fn path(rest: &str) -> Option<PathBuf> {
    let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest);
    (!path.is_empty()).then(|| PathBuf::from(percent_decode_str(path).decode_utf8_lossy().into_owned()))
}

/// `//host:port`, `//host`, `//[::1]:514`.
fn authority(rest: &str, default: u16) -> Result<(String, u16), &'static str> {
    let rest = rest.strip_prefix("//").ok_or("needs // before the host")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("has no ] after the address")?;
            (host, rest.strip_prefix(':'))
        }
        None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
        return Err("names no host");
    }
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("has no port from 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn otlp(rest: &str) -> Result<String, &'static str> {
    let (host, path) =
        rest.strip_prefix("//").map_or((rest, ""), |rest| rest.split_at(rest.find('/').unwrap_or(rest.len())));
    if host.contains('@') {
        return Err("must not hold credentials");
    }
    let (host, port) = authority(&format!("//{host}"), 4318)?;
    let path = if matches!(path, "" | "/") { OTLP_LOGS } else { path };
    if path.contains(|c: char| !c.is_ascii_graphic()) {
        return Err("is no URL");
    }
    Ok(format!("http://{}{path}", join(&host, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_shown_alike() {
        for (text, shown) in [
            ("-", "-"),
            ("/var/log/a.jsonl", "/var/log/a.jsonl"),
            ("out", "out"),
            ("file:/a%20b", "/a b"),
            ("file:///a", "/a"),
            ("./a:b", "./a:b"),
            ("syslog+unix:/dev/log", "syslog+unix:/dev/log"),
            ("syslog+udp://[::1]", "syslog+udp://[::1]:514"),
            ("syslog+tcp://logs.example:6514", "syslog+tcp://logs.example:6514"),
            ("journald:", "journald:"),
            ("journald:/run/test/socket", "journald:/run/test/socket"),
            ("otlp+http://127.0.0.1:4318", "otlp+http://127.0.0.1:4318/v1/logs"),
            ("otlp+http://collector/otlp/v1/logs", "otlp+http://collector:4318/otlp/v1/logs"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.to_string(), shown);
            assert_eq!(Target::parse(shown).unwrap(), target);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for wrong in [
            "",
            "file:",
            "syslog+unix:",
            "syslog+udp:127.0.0.1",
            "syslog+udp://127.0.0.1:0",
            "syslog+udp://:514",
            "syslog+tcp://host:port",
            "otlp+http://",
            "otlp+http://user:secret@host/",
            "otlp+https://host/",
            "kafka://host",
            "sylog+udp://127.0.0.1",
        ] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_refused_is_shown_without_credentials() {
        for wrong in [
            "otlp+http://u:SECRET@127.0.0.1:1/",
            "otlp+http://SECRET@h/",
            "otlp+https://u:SECRET@h/",
            "otlp+http://u:SEC/SECRET@h/",
            "otlp+http:/u:SECRET@h/",
            "otlp-http://u:SECRET@h",
            "http_x://u:SECRET@h",
            "syslog+tcp://u:SECRET@h:1",
            // A comma ends an output: the rest of the password is another one.
            "otlp+http://u:SECRET",
            "u:SECRET@h",
            "kafka://h/x?key=SECRET",
        ] {
            let error = Target::parse(wrong).unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{wrong}: {error}");
        }
        for (wrong, shown) in [
            ("otlp+http://u:SECRET@127.0.0.1:1/x", "otlp+http://***@127.0.0.1:1/x"),
            ("syslog+udp://host:0", "syslog+udp://host:0"),
            ("syslog+tcp://[::1:601", "syslog+tcp://[::1:601"),
            ("kafka:x", "kafka:x"),
            ("/var/log/a@b", "/var/log/a@b"),
            ("otlp+http://h?format=text&key=SECRET", "otlp+http://h?format=text&key=***"),
        ] {
            assert_eq!(without_credentials(wrong), shown);
        }
    }
}
