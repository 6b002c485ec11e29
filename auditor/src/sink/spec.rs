//! What a user says of an output: on the command line as text with options behind a `?`, in a configuration as a table.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::units;

/// Lines that wait for an output, unless it says otherwise.
const QUEUE: usize = 8192;
/// The longest queue; a line has at most 8 KiB.
const MAX_QUEUE: usize = 1 << 20;
/// Rotated files that stay, unless an output says otherwise.
const KEEP: u32 = 5;
/// The most rotated files: each rotation renames them all.
const MAX_KEEP: u32 = 1000;
/// The smallest file that is worth a rotation: the longest line.
const MIN_ROTATE_SIZE: u64 = 8 * 1024;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// As CONTRACT has it: JSON with dotted names.
    Json,
    /// The same, dotted names as objects in each other.
    JsonNested,
    /// Elastic Common Schema.
    Ecs,
    /// OpenTelemetry's log data model, one `resourceLogs` a line.
    OtlpJson,
    /// A line for people.
    Text,
}

impl Format {
    const ALL: [Self; 5] = [Self::Json, Self::JsonNested, Self::Ecs, Self::OtlpJson, Self::Text];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonNested => "json-nested",
            Self::Ecs => "ecs",
            Self::OtlpJson => "otlp-json",
            Self::Text => "text",
        }
    }
}

impl FromStr for Format {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            SpecError::Option { name: "format".into(), why: format!("{text:?} is not one of {all}") }
        })
    }
}

/// Facility of syslog messages, RFC 5424, table 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are those of syslog")]
pub enum Facility {
    User = 1,
    #[default]
    Daemon = 3,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

impl Facility {
    const ALL: [(Self, &str); 10] = [
        (Self::User, "user"),
        (Self::Daemon, "daemon"),
        (Self::Local0, "local0"),
        (Self::Local1, "local1"),
        (Self::Local2, "local2"),
        (Self::Local3, "local3"),
        (Self::Local4, "local4"),
        (Self::Local5, "local5"),
        (Self::Local6, "local6"),
        (Self::Local7, "local7"),
    ];
}

impl FromStr for Facility {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(facility, _)| facility).ok_or_else(|| {
            let all = Self::ALL.map(|(_, name)| name).join(", ");
            SpecError::Option { name: "facility".into(), why: format!("{text:?} is not one of {all}") }
        })
    }
}

/// How a syslog message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 5424.
    Rfc5424,
    /// RFC 3164 without time and host: what listens at `/dev/log` expects that, and knows both by itself.
    Rfc3164,
}

impl Protocol {
    const ALL: [(Self, &str); 2] = [(Self::Rfc5424, "rfc5424"), (Self::Rfc3164, "rfc3164")];
}

impl FromStr for Protocol {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(protocol, _)| protocol).ok_or_else(|| SpecError::Option {
            name: "protocol".into(),
            why: format!("{text:?} is not one of {}", Self::ALL.map(|(_, name)| name).join(", ")),
        })
    }
}

/// An output: where lines go, and how.
///
/// As text (`--output`): [`Target`] and, behind a `?`, `format`, `rotate` (a size), `rotate-age`, `keep`, `queue`,
/// `facility` and `protocol`, with `&` between them. As a table (`[[output]]`): the fields of this structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Spec {
    /// Where.
    pub to: Target,
    /// How a line is written.
    pub format: Format,
    /// A file begins anew before it gets longer than this many bytes.
    pub rotate_size: Option<u64>,
    /// A file begins anew when it is this old.
    pub rotate_age: Option<Duration>,
    /// How many earlier files stay.
    pub keep: u32,
    /// Lines that wait for this output; what finds no room is dropped and counted.
    pub queue: usize,
    /// Facility of syslog messages.
    pub facility: Facility,
    /// How syslog messages begin: on Unix sockets as RFC 3164, else as RFC 5424.
    pub protocol: Protocol,
}

/// What is wrong with an output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It cannot go there.
    #[error("{text:?} {why}")]
    Target {
        /// What was said.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// An option cannot be so.
    #[error("{name}: {why}")]
    Option {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// As it is written in a configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_age: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facility: Option<Facility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
}

impl Spec {
    /// To there, all else as by default.
    pub fn new(to: Target) -> Self {
        let format = match to {
            Target::Otlp(_) => Format::OtlpJson,
            Target::Journald(_) => Format::Text,
            _ => Format::Json,
        };
        let local = matches!(to, Target::SyslogUnix(_));
        Self {
            to,
            format,
            rotate_size: None,
            rotate_age: None,
            keep: KEEP,
            queue: QUEUE,
            facility: Facility::default(),
            protocol: if local { Protocol::Rfc3164 } else { Protocol::Rfc5424 },
        }
    }

    /// Lines of the contract on stdout.
    pub fn stdout() -> Self {
        Self::new(Target::Stdout)
    }
}

impl TryFrom<Table> for Spec {
    type Error = SpecError;

    fn try_from(table: Table) -> Result<Self, SpecError> {
        let wrong = |name: &str, why: String| SpecError::Option { name: name.to_owned(), why };
        let mut spec = Self::new(Target::parse(&table.to)?);
        let rotates = table.rotate_size.is_some() || table.rotate_age.is_some();
        if (rotates || table.keep.is_some()) && !matches!(spec.to, Target::File(_)) {
            return Err(wrong("rotate", "only files are rotated".to_owned()));
        }
        if table.keep.is_some() && !rotates {
            return Err(wrong("keep", "needs a size or an age at which the file is rotated".to_owned()));
        }
        let syslog = matches!(spec.to, Target::SyslogUnix(_) | Target::SyslogUdp(..) | Target::SyslogTcp(..));
        if table.facility.is_some() && !syslog {
            return Err(wrong("facility", "only syslog has one".to_owned()));
        }
        if table.protocol.is_some() && !syslog {
            return Err(wrong("protocol", "only syslog has several".to_owned()));
        }
        if let Some(format) = table.format {
            let fits = match spec.to {
                Target::Otlp(_) => format == Format::OtlpJson,
                Target::Journald(_) => format != Format::OtlpJson,
                _ => true,
            };
            if !fits {
                return Err(wrong("format", format!("{} does not take {}", spec.to, format.as_str())));
            }
            spec.format = format;
        }
        if let Some(text) = table.rotate_size {
            let bytes = units::size(&text).map_err(|why| wrong("rotate", why))?;
            if bytes < MIN_ROTATE_SIZE {
                return Err(wrong("rotate", format!("{text} is less than {}", units::size_text(MIN_ROTATE_SIZE))));
            }
            spec.rotate_size = Some(bytes);
        }
        if let Some(text) = table.rotate_age {
            let age = units::duration(&text).map_err(|why| wrong("rotate-age", why))?;
            if age < Duration::from_secs(1) {
                return Err(wrong("rotate-age", format!("{text} is less than a second")));
            }
            spec.rotate_age = Some(age);
        }
        if let Some(keep) = table.keep {
            if !(1..=MAX_KEEP).contains(&keep) {
                return Err(wrong("keep", format!("{keep} is not from 1 to {MAX_KEEP}")));
            }
            spec.keep = keep;
        }
        if let Some(queue) = table.queue {
            if !(1..=MAX_QUEUE).contains(&queue) {
                return Err(wrong("queue", format!("{queue} is not from 1 to {MAX_QUEUE}")));
            }
            spec.queue = queue;
        }
        spec.facility = table.facility.unwrap_or_default();
        spec.protocol = table.protocol.unwrap_or(spec.protocol);
        Ok(spec)
    }
}

impl From<Spec> for Table {
    fn from(spec: Spec) -> Self {
        let usual = Spec::new(spec.to.clone());
        Self {
            to: spec.to.to_string(),
            format: Some(spec.format).filter(|format| *format != usual.format),
            rotate_size: spec.rotate_size.map(units::size_text),
            rotate_age: spec.rotate_age.map(units::duration_text),
            keep: Some(spec.keep).filter(|keep| *keep != usual.keep),
            queue: Some(spec.queue).filter(|queue| *queue != usual.queue),
            facility: Some(spec.facility).filter(|facility| *facility != usual.facility),
            protocol: Some(spec.protocol).filter(|protocol| *protocol != usual.protocol),
        }
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (to, options) = text.split_once('?').unwrap_or((text, ""));
        let mut table = Table { to: to.to_owned(), ..Table::default() };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = || {
                value
                    .parse::<u32>()
                    .map_err(|_| SpecError::Option { name: name.to_owned(), why: format!("{value:?} is not a number") })
            };
            match name {
                "format" => table.format = Some(value.parse()?),
                "rotate" | "rotate-size" => table.rotate_size = Some(value.to_owned()),
                "rotate-age" => table.rotate_age = Some(value.to_owned()),
                "keep" => table.keep = Some(number()?),
                "queue" => table.queue = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
                "facility" => table.facility = Some(value.parse()?),
                "protocol" => table.protocol = Some(value.parse()?),
                _ => {
                    return Err(SpecError::Option {
                        name: name.to_owned(),
                        why: "is no option of an output; they are format, rotate, rotate-age, keep, queue, facility and protocol"
                            .to_owned(),
                    });
                }
            }
        }
        Self::try_from(table)
    }
}

impl Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = Table::from(self.clone());
        let facility = table.facility.and_then(|wanted| Facility::ALL.into_iter().find(|(one, _)| *one == wanted));
        let protocol = table.protocol.and_then(|wanted| Protocol::ALL.into_iter().find(|(one, _)| *one == wanted));
        let options = [
            ("format", table.format.map(|format| format.as_str().to_owned())),
            ("rotate", table.rotate_size),
            ("rotate-age", table.rotate_age),
            ("keep", table.keep.map(|keep| keep.to_string())),
            ("queue", table.queue.map(|queue| queue.to_string())),
            ("facility", facility.map(|(_, name)| name.to_owned())),
            ("protocol", protocol.map(|(_, name)| name.to_owned())),
        ];
        // A path that has these characters itself.
        let to = match &self.to {
            Target::File(path) if table.to.contains(['?', '%']) => {
                format!("file:{}", path.display().to_string().replace('%', "%25").replace('?', "%3F"))
            }
            _ => table.to,
        };
        f.write_str(&to)?;
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (at, (name, value)) in given.enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text_and_as_a_table() {
        for (text, json) in [
            ("-", r#"{"to":"-"}"#),
            ("-?format=text", r#"{"to":"-","format":"text"}"#),
            ("out.jsonl", r#"{"to":"out.jsonl"}"#),
            (
                "/p?format=ecs&rotate=100MiB&rotate-age=1d&keep=7",
                r#"{"to":"/p","format":"ecs","rotate-size":"100MiB","rotate-age":"1d","keep":7}"#,
            ),
            (
                "syslog+udp://127.0.0.1:514?queue=10&facility=local0",
                r#"{"to":"syslog+udp://127.0.0.1:514","queue":10,"facility":"local0"}"#,
            ),
            ("syslog+unix:/dev/log?protocol=rfc5424", r#"{"to":"syslog+unix:/dev/log","protocol":"rfc5424"}"#),
            ("journald:?format=json", r#"{"to":"journald:","format":"json"}"#),
            ("otlp+http://127.0.0.1:4318/v1/logs", r#"{"to":"otlp+http://127.0.0.1:4318/v1/logs"}"#),
        ] {
            let spec: Spec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(serde_json::to_string(&spec).unwrap(), json);
            assert_eq!(serde_json::from_str::<Spec>(json).unwrap(), spec);
        }
        let odd: Spec = "file:/a%3Fb".parse().unwrap();
        assert_eq!(odd.to, Target::File("/a?b".into()));
        assert_eq!(odd.to_string().parse::<Spec>().unwrap(), odd);
    }

    #[test]
    fn wrong_options_are_refused() {
        for wrong in [
            "-?rotate=1MiB",
            "/p?keep=3",
            "/p?rotate=1",
            "/p?rotate=1MiB&keep=0",
            "/p?rotate-age=1ms",
            "/p?format=xml",
            "/p?colour=red",
            "/p?queue=0",
            "/p?facility=local0",
            "otlp+http://127.0.0.1?format=text",
            "syslog+udp://127.0.0.1?facility=kern",
        ] {
            assert!(wrong.parse::<Spec>().is_err(), "{wrong}");
        }
        let unknown = serde_json::from_str::<Spec>(r#"{"to":"-","fromat":"text"}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `fromat`"), "{unknown}");
    }
}
