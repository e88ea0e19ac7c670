//! Where the kernel's fields lie: looked up in the running kernel's BTF, once, at start.
//!
//! A field that this kernel does not have is [`MISSING`]: the programs skip the figure, and
//! `profiler doctor` names it. Nothing is ever read at a guessed offset.

use std::collections::BTreeMap;

use btfparse::{Offset, Readable, TypeInformation};
use profiler_common::field::MISSING;

use super::LoadError;

/// The running kernel's type information.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// A kernel field that the programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// The read-only global that takes the offset.
    pub global: &'static str,
    /// The structure, `task_struct` for instance.
    pub structure: &'static str,
    /// The member's path in it.
    pub path: &'static str,
}

macro_rules! list {
    ($($name:ident: $structure:literal $path:literal,)*) => {
        /// Every field of the table that both halves share.
        pub const FIELDS: &[Field] = &[
            $(Field { global: stringify!($name), structure: $structure, path: $path },)*
        ];
    };
}
profiler_common::kernel_fields!(list);

/// Byte offsets of all [`FIELDS`] in the running kernel, in their order.
#[derive(Debug)]
pub struct Offsets(Vec<(Field, u64)>);

impl Offsets {
    /// Looks every field up.
    ///
    /// # Errors
    /// [`LoadError::Btf`] if the kernel shows no BTF or it cannot be parsed.
    pub fn of_running_kernel() -> Result<Self, LoadError> {
        let bytes = std::fs::read(BTF_PATH).map_err(|error| LoadError::Btf(error.to_string()))?;
        Self::of(&bytes)
    }

    fn of(btf: &[u8]) -> Result<Self, LoadError> {
        let types = TypeInformation::new(&InMemory(btf))
            .map_err(|error| LoadError::Btf(format!("{error:?}")))?;
        let mut structures = BTreeMap::new();
        let offsets = FIELDS.iter().map(|&field| {
            let structure =
                *structures.entry(field.structure).or_insert_with(|| types.id_of(field.structure));
            (field, structure.and_then(|id| byte_offset(&types, id, field.path)).unwrap_or(MISSING))
        });
        Ok(Self(offsets.collect()))
    }

    /// Each field with its offset in bytes, or [`MISSING`].
    pub fn iter(&self) -> impl Iterator<Item = &(Field, u64)> {
        self.0.iter()
    }

    /// The fields that this kernel does not have.
    pub fn missing(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter(|(_, offset)| *offset == MISSING).map(|(field, _)| *field)
    }
}

fn byte_offset(types: &TypeInformation, structure: u32, path: &str) -> Option<u64> {
    match types.offset_of(structure, path).ok()?.1 {
        Offset::ByteOffset(bytes) => Some(u64::from(bytes)),
        // The programs read whole fields only.
        Offset::BitOffsetAndSize(..) => None,
    }
}

/// The whole file at once: the parser asks for a few bytes at a time.
struct InMemory<'a>(&'a [u8]);

impl Readable for InMemory<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> btfparse::Result<()> {
        let past_end = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| past_end())?;
        let bytes = self.0.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or_else(past_end)?);
        Ok(())
    }
}
