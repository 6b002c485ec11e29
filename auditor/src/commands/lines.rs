//! Where lines go: stdout, files. A closed pipe ends the run quietly, anything else is an error.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Several destinations for the same lines.
pub(crate) struct Outputs {
    outputs: Vec<Output>,
}

struct Output {
    name: String,
    writer: io::BufWriter<Box<dyn Write>>,
}

/// What became of a batch of lines.
#[derive(Debug)]
pub(crate) enum Written {
    /// All of them are where they belong.
    Yes,
    /// Every reader has gone away.
    Closed,
}

impl Outputs {
    /// Opens them: `-` is stdout, anything else a file that is appended to.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        let outputs = paths
            .iter()
            .map(|path| {
                let name = path.display().to_string();
                let writer: Box<dyn Write> = if name == "-" {
                    Box::new(io::stdout())
                } else {
                    Box::new(append(path).map_err(Failure::io(&name))?)
                };
                Ok(Output { name, writer: io::BufWriter::new(writer) })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { outputs })
    }

    /// Stdout alone.
    pub(crate) fn stdout() -> Self {
        Self { outputs: vec![Output { name: "-".into(), writer: io::BufWriter::new(Box::new(io::stdout())) }] }
    }

    /// Writes lines and hands them to the operating system at once. An output whose reader has gone is dropped.
    pub(crate) fn write<'a>(&mut self, lines: impl Iterator<Item = &'a str> + Clone) -> Result<Written, Failure> {
        let mut failure = None;
        self.outputs.retain_mut(|output| {
            let written = lines.clone().try_for_each(|line| {
                output.writer.write_all(line.as_bytes())?;
                output.writer.write_all(b"\n")
            });
            match written.and_then(|()| output.writer.flush()) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
                Err(error) => {
                    failure.get_or_insert((output.name.clone(), error));
                    false
                }
            }
        });
        match failure {
            Some((name, error)) => Err(Failure::io(if name == "-" { "stdout".to_owned() } else { name })(error)),
            None if self.outputs.is_empty() => Ok(Written::Closed),
            None => Ok(Written::Yes),
        }
    }
}

/// Findings name internals of the audited services: for the owner's eyes only.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Prints text on stdout; a closed pipe is fine.
pub(crate) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("stdout")(error)),
        _ => Ok(()),
    }
}
