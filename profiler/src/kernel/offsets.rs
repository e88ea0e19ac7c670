//! Where the kernel's fields lie: looked up in the running kernel's BTF, once, at start.
//!
//! A field that this kernel does not have is [`MISSING`]: the programs skip the figure, and
//! `profiler doctor` names it. Nothing is ever read at a guessed offset.

use profiler_common::field::MISSING;

use super::btf::{Btf, Place};

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
    #[must_use]
    pub fn of(btf: &Btf) -> Self {
        let offset = |field: &Field| match btf.member(field.structure, field.path) {
            // The programs read whole fields only.
            Some(Place { bit, bits: 0 }) if bit % 8 == 0 => u64::from(bit / 8),
            _ => MISSING,
        };
        Self(FIELDS.iter().map(|field| (*field, offset(field))).collect())
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
