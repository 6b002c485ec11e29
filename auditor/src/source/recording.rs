//! Recording files: the records of a run, in the order the pipeline takes them.
//!
//! ```text
//! header  "AUDITREC", u32 1 in the writer's byte order, u32 WIRE_VERSION
//! frame   u32 length of what follows, u16 kind, u16 0, payload
//! ```
//!
//! Kinds below 16 are the kernel side's and hold the wire record; the others hold JSON. Header values that are not
//! audited, query strings and bodies are masked before a record is written (see [`crate::http`]); some of the values can
//! still be compared with each other (see [`crate::http::masking`]), the key for that is not in the file.

use std::io::{self, Read, Write};

use auditor_ebpf::wire;
use serde::{Serialize, de::DeserializeOwned};

use crate::record::{DecodeError, Record};

const MAGIC: &[u8; 8] = b"AUDITREC";
const BYTE_ORDER: u32 = 1;
const KIND_CLOCK: u16 = 16;
const KIND_PROCESS: u16 = 17;
const KIND_BLIND: u16 = 18;
const KIND_TICK: u16 = 19;
/// No frame is longer: a head at its cap with everything around it is a third of this.
const FRAME_CAP: u32 = 64 * 1024;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not a recording.
    #[error("not a recording of auditor")]
    Magic,
    /// Of a machine with the other byte order.
    #[error("recorded on a machine with another byte order")]
    ByteOrder,
    /// Of another version.
    #[error("recorded with format version {found}; this auditor reads version {}", wire::WIRE_VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// The file ends inside a frame: what came before has been read.
    #[error("the recording ends in the middle of a record (at byte {at}): it was cut off")]
    Truncated {
        /// Offset of the unfinished frame.
        at: u64,
    },
    /// A frame is damaged.
    #[error("the record at byte {at} is damaged: {reason}")]
    Damaged {
        /// Offset of the frame.
        at: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Writes a recording.
pub struct Writer<W> {
    out: W,
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&BYTE_ORDER.to_ne_bytes())?;
        out.write_all(&wire::WIRE_VERSION.to_ne_bytes())?;
        Ok(Self { out, frame: Vec::new() })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        fn json(value: &impl Serialize, frame: &mut Vec<u8>) -> io::Result<()> {
            serde_json::to_writer(frame, value).map_err(io::Error::from)
        }
        self.frame.clear();
        let kind = match record {
            Record::Data(data) => {
                data.to_wire(&mut self.frame);
                wire::KIND_DATA
            }
            Record::Close(close) => {
                close.to_wire(&mut self.frame);
                wire::KIND_CLOSE
            }
            Record::Clock(clock) => json(clock, &mut self.frame).map(|()| KIND_CLOCK)?,
            Record::Process(process) => json(process, &mut self.frame).map(|()| KIND_PROCESS)?,
            Record::Blind(blind) => json(blind, &mut self.frame).map(|()| KIND_BLIND)?,
            Record::Tick(tick) => json(tick, &mut self.frame).map(|()| KIND_TICK)?,
        };
        let length = u32::try_from(self.frame.len() + 4).map_err(io::Error::other)?;
        self.out.write_all(&length.to_ne_bytes())?;
        self.out.write_all(&kind.to_ne_bytes())?;
        self.out.write_all(&[0, 0])?;
        self.out.write_all(&self.frame)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// When writing fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a recording, record by record.
pub struct Reader<R> {
    input: R,
    at: u64,
    frame: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When this is not a recording that can be replayed here.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut magic = [0; 8];
        let mut word = [0; 4];
        let start = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RecordingError::Magic,
            _ => RecordingError::Io(error),
        };
        input.read_exact(&mut magic).map_err(start)?;
        if &magic != MAGIC {
            return Err(RecordingError::Magic);
        }
        input.read_exact(&mut word).map_err(start)?;
        if u32::from_ne_bytes(word) != BYTE_ORDER {
            return Err(RecordingError::ByteOrder);
        }
        input.read_exact(&mut word).map_err(start)?;
        let found = u32::from_ne_bytes(word);
        if found != wire::WIRE_VERSION {
            return Err(RecordingError::Version { found });
        }
        Ok(Self { input, at: 16, frame: Vec::new() })
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When the file is cut off or damaged; what came before stays valid.
    pub fn next_record(&mut self) -> Result<Option<Record>, RecordingError> {
        let at = self.at;
        let mut head = [0u8; 4];
        match self.input.read(&mut head[..1])? {
            0 => return Ok(None),
            _ => self.fill(at, &mut head[1..])?,
        }
        let length = u32::from_ne_bytes(head);
        if !(4..=FRAME_CAP).contains(&length) {
            return Err(RecordingError::Damaged { at, reason: format!("length {length}") });
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame.resize(length as usize, 0);
        self.fill(at, &mut frame)?;
        self.at += 4 + u64::from(length);
        let record = decode(&frame).map_err(|reason| RecordingError::Damaged { at, reason });
        self.frame = frame;
        record.map(Some)
    }

    fn fill(&mut self, at: u64, buffer: &mut [u8]) -> Result<(), RecordingError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RecordingError::Truncated { at },
            _ => RecordingError::Io(error),
        })
    }
}

fn decode(frame: &[u8]) -> Result<Record, String> {
    fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
        serde_json::from_slice(payload).map_err(|error| error.to_string())
    }
    let kind = frame.first_chunk::<2>().map_or(0, |kind| u16::from_ne_bytes(*kind));
    let payload = frame.get(4..).unwrap_or_default();
    match kind {
        KIND_CLOCK => json(payload).map(Record::Clock),
        KIND_PROCESS => json(payload).map(Record::Process),
        KIND_BLIND => json(payload).map(Record::Blind),
        KIND_TICK => json(payload).map(Record::Tick),
        _ => Record::from_wire(payload).map_err(|error: DecodeError| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Close, SocketId, Tick};

    fn recording() -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file).expect("memory");
        writer.write(&Record::Tick(Tick { time: 5, counters: [9; wire::COUNTERS] })).expect("memory");
        let close = Close { seq: 1, time: 6, socket: SocketId { sock: 1, inode: 2 }, eof: true };
        writer.write(&Record::Close(close)).expect("memory");
        file
    }

    #[test]
    fn round_trip() {
        let file = recording();
        let mut reader = Reader::new(file.as_slice()).expect("header");
        assert!(matches!(reader.next_record(), Ok(Some(Record::Tick(Tick { time: 5, .. })))));
        assert!(matches!(reader.next_record(), Ok(Some(Record::Close(Close { eof: true, .. })))));
        assert!(matches!(reader.next_record(), Ok(None)));
    }

    #[test]
    fn a_cut_or_damaged_file_is_a_clear_error() {
        let file = recording();
        for cut in 17..file.len() {
            let mut reader = Reader::new(&file[..cut]).expect("header");
            let error = loop {
                match reader.next_record() {
                    Ok(Some(_)) => {}
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert!(matches!(error, None | Some(RecordingError::Truncated { .. })), "cut at {cut}: {error:?}");
        }
        for cut in 0..16 {
            assert!(matches!(Reader::new(&file[..cut]), Err(RecordingError::Magic)));
        }
        let mut damaged = file.clone();
        damaged[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
        let mut reader = Reader::new(damaged.as_slice()).expect("header");
        assert!(matches!(reader.next_record(), Err(RecordingError::Damaged { at: 16, .. })));
        let mut newer = file;
        newer[12] = 99;
        assert!(matches!(Reader::new(newer.as_slice()), Err(RecordingError::Version { found: 99 })));
    }
}
