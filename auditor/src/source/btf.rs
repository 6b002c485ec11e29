//! Reads struct layouts from the running kernel's BTF.
//!
//! Just enough of the format (`Documentation/bpf/btf.rst` in the kernel tree) to find where a field is: aya keeps its
//! own reader to itself, and the crates that offer one have licences or dependencies that do not fit.

use std::collections::HashMap;

/// Where the kernel publishes its own types.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why a layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file is not there or not readable.
    #[error("cannot read {VMLINUX}: {0}")]
    Read(#[from] std::io::Error),
    /// The bytes are not BTF as this reader knows it.
    #[error("{VMLINUX} is damaged or of an unknown format: {0}")]
    Format(&'static str),
    /// No such struct or field.
    #[error("this kernel has no field {0}")]
    NoField(String),
}

const MAGIC: u16 = 0xeb9f;

/// Kinds of BTF types that are told apart here.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
    pub(super) const LARGEST: u32 = ENUM64;
}

/// The kernel's types.
pub struct Btf {
    data: Vec<u8>,
    strings: usize,
    /// Offset of each type's header in `data`, by id - 1.
    types: Vec<usize>,
    structs: HashMap<Vec<u8>, u32>,
    typedefs: std::collections::HashSet<Vec<u8>>,
}

impl Btf {
    /// The running kernel's.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    pub fn of_kernel() -> Result<Self, BtfError> {
        Self::parse(std::fs::read(VMLINUX)?)
    }

    /// Parses BTF.
    ///
    /// # Errors
    /// When the bytes are not BTF.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let header = |at| word(&data, at).ok_or(BtfError::Format("short header"));
        if header(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Format("magic"));
        }
        let header_length = header(4)? as usize;
        let types_at = header_length + header(8)? as usize;
        let types_end = types_at + header(12)? as usize;
        let strings = header_length + header(16)? as usize;
        let mut btf = Self { data, strings, types: Vec::new(), structs: HashMap::new(), typedefs: Default::default() };
        let mut at = types_at;
        while at < types_end {
            let info = word(&btf.data, at + 4).ok_or(BtfError::Format("short type"))?;
            let (kind, members) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
            let extra = match kind {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * members,
                kind::ENUM | kind::FUNC_PROTO => 8 * members,
                1..=kind::LARGEST => 0,
                _ => return Err(BtfError::Format("unknown kind of type")),
            };
            btf.types.push(at);
            let id = btf.types.len() as u32;
            let name = btf.name(at);
            match kind {
                // The first of a name is the core kernel's; others come from files that reuse it.
                kind::STRUCT if !name.is_empty() => drop(btf.structs.entry(name).or_insert(id)),
                kind::TYPEDEF => drop(btf.typedefs.insert(name)),
                _ => {}
            }
            at += 12 + extra;
        }
        Ok(btf)
    }

    /// Whether the kernel has a BTF-typed tracepoint of this name.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.typedefs.contains(format!("btf_trace_{name}").as_bytes())
    }

    /// Byte offset of a field: `path` is `struct.field[.field…]`; anonymous structs and unions are looked through.
    ///
    /// # Errors
    /// When the kernel has no such struct or field.
    pub fn offset(&self, path: &str) -> Result<u32, BtfError> {
        let missing = || BtfError::NoField(path.to_owned());
        let mut parts = path.split('.');
        let first = parts.next().ok_or_else(missing)?;
        let mut id = *self.structs.get(first.as_bytes()).ok_or_else(missing)?;
        let mut offset = 0;
        for field in parts {
            let (bits, member_type) = self.member(id, field.as_bytes(), 0).ok_or_else(missing)?;
            offset += bits / 8;
            id = member_type;
        }
        Ok(offset)
    }

    /// Bit offset and type of a member, looking through anonymous members (bounded depth: the file is data).
    fn member(&self, id: u32, field: &[u8], depth: u32) -> Option<(u32, u32)> {
        let at = self.resolve(id)?;
        let info = word(&self.data, at + 4)?;
        if !matches!((info >> 24) & 0x1f, kind::STRUCT | kind::UNION) || depth > 8 {
            return None;
        }
        let bitfields = info >> 31 != 0;
        for i in 0..(info & 0xffff) as usize {
            let member = at + 12 + 12 * i;
            let (name, type_id, bits) =
                (self.name(member), word(&self.data, member + 4)?, word(&self.data, member + 8)?);
            let bits = if bitfields { bits & 0x00ff_ffff } else { bits };
            if name == field {
                return Some((bits, type_id));
            }
            if name.is_empty()
                && let Some((inner, found)) = self.member(type_id, field, depth + 1)
            {
                return Some((bits + inner, found));
            }
        }
        None
    }

    /// Follows typedefs and qualifiers to the type itself.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        for _ in 0..32 {
            let at = *self.types.get(id.checked_sub(1)? as usize)?;
            match (word(&self.data, at + 4)? >> 24) & 0x1f {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = word(&self.data, at + 8)?;
                }
                _ => return Some(at),
            }
        }
        None
    }

    /// The name whose string offset stands at `at`.
    fn name(&self, at: usize) -> Vec<u8> {
        let Some(offset) = word(&self.data, at) else { return Vec::new() };
        let bytes = self.data.get(self.strings + offset as usize..).unwrap_or_default();
        bytes.iter().copied().take_while(|&byte| byte != 0).collect()
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bytes_are_an_error_not_a_panic() {
        assert!(matches!(Btf::parse(vec![]), Err(BtfError::Format(_))));
        assert!(matches!(Btf::parse(vec![0xff; 64]), Err(BtfError::Format(_))));
        let mut short = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        short.extend([0; 16]);
        assert!(Btf::parse(short).is_err());
    }

    #[test]
    fn fields_of_the_running_kernel() {
        let btf = Btf::of_kernel().expect("these tests run on a kernel with BTF");
        assert_eq!(btf.offset("iovec.iov_len").expect("iovec"), 8);
        // Through an anonymous union and an anonymous struct.
        assert_eq!(btf.offset("sock.__sk_common.skc_daddr").expect("sock_common"), 0);
        assert_eq!(btf.offset("sock.__sk_common.skc_rcv_saddr").expect("sock_common"), 4);
        assert!(btf.has_tracepoint("sys_exit"));
        assert!(!btf.has_tracepoint("no_such_tracepoint"));
        assert_eq!(
            btf.offset("sock.no_such").expect_err("absent").to_string(),
            "this kernel has no field sock.no_such"
        );
    }
}
