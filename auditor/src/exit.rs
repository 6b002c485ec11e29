//! Exit codes, and the errors behind them. The numbers are those of `sysexits.h`.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use auditor::context::SelectionError;
use auditor::sink::OutputsError;
use auditor::source::kernel::AttachError;
use auditor::source::recording::RecordingError;

/// `check` found something at or above `--fail-on`.
pub(crate) const FOUND: u8 = 1;
/// `check` could conclude nothing.
pub(crate) const INCONCLUSIVE: u8 = 3;
/// Wrong usage.
pub(crate) const USAGE: u8 = 64;
/// The kernel cannot do it.
pub(crate) const UNAVAILABLE: u8 = 69;
/// Input or output failed.
const IO: u8 = 74;
/// What is configured cannot be.
pub(crate) const CONFIG: u8 = 78;
/// Missing privilege.
pub(crate) const NO_PERMISSION: u8 = 77;

/// How long a reader of stderr that stands still is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says something on stderr. It may be closed, or its reader may stand still: the exit code still tells.
pub(crate) fn stderr(text: impl Display) {
    let text = text.to_string();
    let (done, said) = mpsc::channel();
    let speaker = thread::Builder::new().spawn(move || {
        let _ = writeln!(io::stderr(), "{text}");
        let _ = done.send(());
    });
    if speaker.is_ok() {
        let _ = said.recv_timeout(PATIENCE);
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("{path}: {error}")]
    Recording { path: String, error: RecordingError },
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Outputs(#[from] OutputsError),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error(
        "CAP_BPF and CAP_PERFMON must be held in the initial user namespace, and this process is in another one: run on \
         the host, or in a container without a user namespace"
    )]
    UserNamespace,
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Config(String),
}

impl Failure {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    /// Says what went wrong on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        stderr(format_args!("auditor: {self}"));
        if let Self::Attach(AttachError::Refused { detail, .. }) = &self {
            log::debug!("{detail}");
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Attach(AttachError::Privilege { .. }) | Self::UserNamespace => NO_PERMISSION,
            Self::Attach(AttachError::Selection(_)) | Self::Selection(_) | Self::Usage(_) => USAGE,
            Self::Config(_) => CONFIG,
            Self::Outputs(OutputsError::Twice(_) | OutputsError::Read(_)) => USAGE,
            Self::Attach(_) => UNAVAILABLE,
            Self::Recording { .. } | Self::Input(_) | Self::Outputs(_) | Self::Io { .. } => IO,
        }
    }
}
