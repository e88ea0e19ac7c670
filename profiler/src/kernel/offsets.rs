//! Where the kernel's fields lie: looked up in the running kernel's BTF, once, at start.
//!
//! A field that this kernel does not have is [`MISSING`]: the programs skip the figure, and
//! `profiler doctor` names it. Nothing is ever read at a guessed offset.

use profiler_common::field::{MISSING, ROWS};

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
        &[$(Field { global: stringify!($name), structure: $structure, path: $path },)*]
    };
}

/// Every member of whole bytes of the table that both halves share.
const FIELDS: &[Field] = profiler_common::kernel_fields!(list);
/// Every member of one bit.
const BITS: &[Field] = profiler_common::kernel_bits!(list);

/// The offsets of all fields in the running kernel.
#[derive(Debug)]
pub struct Offsets(Vec<(Field, u64)>);

impl Offsets {
    /// Looks every field up.
    #[must_use]
    pub fn of(btf: &Btf) -> Self {
        let place = |field: &Field| btf.member(field.structure, field.path);
        let bytes = FIELDS.iter().map(|field| match place(field) {
            Some(Place { bit, bits: 0 }) if bit % 8 == 0 => (*field, u64::from(bit / 8)),
            _ => (*field, MISSING),
        });
        let bits = BITS.iter().map(|field| match place(field) {
            Some(Place { bit, bits: 1 }) => (*field, u64::from(bit)),
            _ => (*field, MISSING),
        });
        let mut found = Self(bytes.chain(bits).collect());
        for row in ROWS {
            found.keep_row(row);
        }
        found
    }

    /// Takes all fields of a row for missing unless they follow each other.
    fn keep_row(&mut self, row: &[&str]) {
        let offset_of = |global: &str| {
            self.0.iter().find(|(field, _)| field.global == global).map_or(MISSING, |found| found.1)
        };
        let first = offset_of(row[0]);
        let expected = (0..).map(|index| first.wrapping_add(index * size_of::<u64>() as u64));
        if !row.iter().map(|global| offset_of(global)).eq(expected.take(row.len())) {
            for (_, offset) in self.0.iter_mut().filter(|(field, _)| row.contains(&field.global)) {
                *offset = MISSING;
            }
        }
    }

    /// Each field with the value of its global: the offset in bytes, of a single bit in bits, or
    /// [`MISSING`].
    pub fn iter(&self) -> impl Iterator<Item = &(Field, u64)> {
        self.0.iter()
    }

    /// Whether this kernel has all fields of these globals.
    #[must_use]
    pub fn has(&self, globals: &[&str]) -> bool {
        globals.iter().all(|global| !self.missing().any(|field| field.global == *global))
    }

    /// The fields that this kernel does not have, and has no other for.
    pub fn missing(&self) -> impl Iterator<Item = Field> {
        let is_there = |global: &str| {
            self.0.iter().any(|(field, offset)| field.global == global && *offset != MISSING)
        };
        let absent =
            self.0.iter().filter(|(_, offset)| *offset == MISSING).map(|(field, _)| *field);
        // Counters of pages came in two shapes: `…_OLD`, and the one of today with `…_PENDING`.
        absent.filter(move |field| {
            let name = field.global.trim_end_matches("_OLD").trim_end_matches("_PENDING");
            let is_other = |name: String| name != field.global && is_there(&name);
            !is_other(format!("{name}_OLD")) && !is_other(name.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three fields that make a row, and one of no row, at these offsets.
    fn found(row: [u64; 3]) -> Vec<u64> {
        let named = |name: &str| *FIELDS.iter().find(|field| field.global == name).unwrap();
        let fields = ROWS[1].iter().map(|name| named(name)).zip(row);
        let mut offsets = Offsets(fields.chain([(named("TASK_TID"), 100)]).collect());
        offsets.keep_row(ROWS[1]);
        offsets.iter().map(|(_, offset)| *offset).collect()
    }

    #[test]
    fn fields_that_do_not_follow_each_other_are_not_read_as_a_row() {
        assert_eq!(found([40, 48, 56]), [40, 48, 56, 100]);
        for row in [[40, 56, 64], [48, 40, 56], [40, 48, MISSING], [MISSING, 48, 56]] {
            assert_eq!(found(row), [MISSING, MISSING, MISSING, 100], "{row:?}");
        }
    }

    #[test]
    fn every_field_of_a_row_has_a_global() {
        for global in ROWS.iter().copied().flatten() {
            assert!(FIELDS.iter().any(|field| field.global == *global), "{global}");
        }
    }
}
