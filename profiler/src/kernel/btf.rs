//! The running kernel's type information (BTF), as far as we need it: where a member lies in a
//! structure, and whether a type exists.
//!
//! Format: the kernel's `Documentation/bpf/btf.rst`. Ours because the libraries at hand build an
//! object for each of the 150,000 types: 85 ms and 55 MiB to find two dozen offsets, where one pass
//! over the bytes takes 3 ms (docs/adr/0003).

use std::path::Path;

/// Where the kernel shows its type information.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;

/// Kinds of types, as the format numbers them.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    /// After it come volatile, const and restrict, which all only refer to another type.
    pub(super) const TYPEDEF_TO_RESTRICT: std::ops::RangeInclusive<u32> = TYPEDEF..=11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// A type's common header of three words.
#[derive(Clone, Copy, Debug)]
struct Type {
    /// Offset of the header in the file.
    at: usize,
    name: u32,
    kind: u32,
    /// How many members, values or parameters follow.
    length: u32,
    /// Whether members carry a bit-field size next to their offset.
    has_bit_sizes: bool,
    /// The type that it refers to, for kinds that do.
    target: u32,
}

/// Where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the begin of the outermost structure, in bits.
    pub bit: u32,
    /// Size in bits of a bit field; 0 for an ordinary member.
    pub bits: u32,
}

/// Parsed type information.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of each type's header; type ids begin at 1.
    types: Vec<u32>,
    strings: usize,
}

impl Btf {
    /// Reads and checks type information.
    ///
    /// # Errors
    /// One line on what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::parse(std::fs::read(path).map_err(|error| error.to_string())?)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let word = |at| word(&bytes, at).ok_or("it is too short");
        if word(0)? & 0xffff != u32::from(MAGIC) {
            return Err("it is not BTF of this host's byte order".into());
        }
        let header = word(4)? as usize;
        let (type_start, type_length) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let mut types = Vec::new();
        let mut at = type_start;
        while at < type_start + type_length {
            let header = type_at(&bytes, at).ok_or("it ends inside a type")?;
            types.push(at as u32);
            at += size(&header).ok_or_else(|| format!("it has a type of kind {}", header.kind))?;
        }
        Ok(Self { bytes, types, strings })
    }

    /// Where a member lies in a structure, by its path: `se.sum_exec_runtime`, `rss_stat[1].count`.
    /// `None` if this kernel has no such structure or member.
    #[must_use]
    pub fn member(&self, structure: &str, path: &str) -> Option<Place> {
        let mut within = self.find(structure, |found| found == kind::STRUCT)?;
        let mut place = Place { bit: 0, bits: 0 };
        for step in path.split('.') {
            let (name, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                Some((name, index)) => (name, Some(index.parse::<u32>().ok()?)),
                None => (step, None),
            };
            let (member, target) = self.member_of(within, name)?;
            place = Place { bit: place.bit.checked_add(member.bit)?, bits: member.bits };
            within = self.resolved(target)?;
            if let Some(index) = index {
                let (element, bytes) = self.element(within)?;
                let skipped = bytes.checked_mul(index)?.checked_mul(8)?;
                place.bit = place.bit.checked_add(skipped)?;
                within = element;
            }
        }
        Some(place)
    }

    /// The type of an array's elements, and their size in bytes.
    fn element(&self, array: Type) -> Option<(Type, u32)> {
        if array.kind != kind::ARRAY {
            return None;
        }
        let element = self.resolved(word(&self.bytes, array.at + 12)?)?;
        match element.kind {
            // Of these the third word is the size.
            kind::INT | kind::STRUCT | kind::UNION => Some((element, element.target)),
            _ => None,
        }
    }

    /// Whether there is a type definition of this name. Each tracepoint has one, `btf_trace_…`,
    /// and each kind of iterator a function, see [`Btf::has_function`].
    #[must_use]
    pub fn has_typedef(&self, name: &str) -> bool {
        self.find(name, |found| found == kind::TYPEDEF).is_some()
    }

    /// Whether there is a function of this name.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.find(name, |found| found == kind::FUNC).is_some()
    }

    fn find(&self, name: &str, is_kind: impl Fn(u32) -> bool) -> Option<Type> {
        let mut types = self.types.iter().filter_map(|&at| type_at(&self.bytes, at as usize));
        types.find(|found| is_kind(found.kind) && self.is_named(found.name, name))
    }

    /// A member of a structure or union, looked for in its unnamed members too.
    fn member_of(&self, within: Type, name: &str) -> Option<(Place, u32)> {
        if within.kind != kind::STRUCT && within.kind != kind::UNION {
            return None;
        }
        for index in 0..within.length as usize {
            let at = within.at + 12 + 12 * index;
            let (member, target) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?);
            let offset = word(&self.bytes, at + 8)?;
            let place = if within.has_bit_sizes {
                Place { bit: offset & 0x00ff_ffff, bits: offset >> 24 }
            } else {
                Place { bit: offset, bits: 0 }
            };
            if self.is_named(member, name) {
                return Some((place, target));
            }
            if self.is_named(member, "")
                && let Some((inner, target)) = self.member_of(self.resolved(target)?, name)
            {
                let bit = place.bit.checked_add(inner.bit)?;
                return Some((Place { bit, bits: inner.bits }, target));
            }
        }
        None
    }

    /// The type behind names and qualifiers.
    fn resolved(&self, mut id: u32) -> Option<Type> {
        loop {
            let at = *self.types.get((id as usize).checked_sub(1)?)?;
            let found = type_at(&self.bytes, at as usize)?;
            let refers = kind::TYPEDEF_TO_RESTRICT.contains(&found.kind);
            if !refers && found.kind != kind::TYPE_TAG {
                return Some(found);
            }
            id = found.target;
        }
    }

    fn is_named(&self, name: u32, expected: &str) -> bool {
        let start = self.strings + name as usize;
        let end = start + expected.len();
        self.bytes.get(start..end) == Some(expected.as_bytes()) && self.bytes.get(end) == Some(&0)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn type_at(bytes: &[u8], at: usize) -> Option<Type> {
    let info = word(bytes, at + 4)?;
    Some(Type {
        at,
        name: word(bytes, at)?,
        kind: (info >> 24) & 0x1f,
        length: info & 0xffff,
        has_bit_sizes: info >> 31 == 1,
        target: word(bytes, at + 8)?,
    })
}

/// How many bytes a type takes; `None` for a kind that is not known.
fn size(header: &Type) -> Option<usize> {
    let length = header.length as usize;
    let rest = match header.kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * length,
        kind::ENUM | kind::FUNC_PROTO => 8 * length,
        1..=19 => 0,
        _ => return None,
    };
    Some(12 + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { u32 first; struct { u32 flag : 1; u64 deep; }; struct inner named[4]; }` with
    /// `typedef struct inner { u64 a; u64 b; } inner_t`, by hand.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0first\0flag\0deep\0named\0inner\0a\0b\0inner_t\0";
        let name = |text: &str| {
            let text = [b"\0", text.as_bytes(), b"\0"].concat();
            strings.windows(text.len()).position(|window| window == text).unwrap() as u32 + 1
        };
        let structure = |members: u32, bits: u32| bits << 31 | kind::STRUCT << 24 | members;
        let types: Vec<u32> = [
            vec![name("a"), kind::INT << 24, 8, 0],
            vec![name("inner"), structure(2, 0), 16, name("a"), 1, 0, name("b"), 1, 64],
            vec![name("inner_t"), kind::TYPEDEF << 24, 2],
            vec![0, structure(2, 1), 16, name("flag"), 1, 1 << 24 | 3, name("deep"), 1, 64],
            vec![0, kind::ARRAY << 24, 0, 3, 1, 4],
            [
                [name("outer"), structure(3, 0), 96],
                [name("first"), 1, 0],
                [0, 4, 64],
                [name("named"), 5, 192],
            ]
            .concat(),
        ]
        .concat();
        let length = 4 * types.len() as u32;
        let header = [0x0001_0000 | u32::from(MAGIC), 24, 0, length, length, strings.len() as u32];
        let words = header.into_iter().chain(types).flat_map(u32::to_ne_bytes);
        words.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn members_are_found_through_names_and_unnamed_structures() {
        let btf = Btf::parse(sample()).unwrap();
        let bit = |path| btf.member("outer", path).map(|place| (place.bit, place.bits));
        assert_eq!(bit("first"), Some((0, 0)));
        assert_eq!(bit("deep"), Some((128, 0)));
        assert_eq!(bit("flag"), Some((67, 1)));
        assert_eq!(bit("named[0].b"), Some((256, 0)));
        assert_eq!(bit("named[2].a"), Some((192 + 2 * 128, 0)));
        assert_eq!(bit("named[0].c"), None);
        assert_eq!(bit("named.b"), None);
        assert_eq!(bit("first[1]"), None);
        assert_eq!(bit("first.a"), None);
        assert_eq!(btf.member("nothing", "first"), None);
        assert!(btf.has_typedef("inner_t") && !btf.has_typedef("inner"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_panic() {
        let sample = sample();
        for length in 0..sample.len() {
            if let Ok(btf) = Btf::parse(sample[..length].to_vec()) {
                let _ = btf.member("outer", "named[1].b");
            }
        }
        for at in 0..sample.len() {
            let mut damaged = sample.clone();
            damaged[at] ^= 0xff;
            if let Ok(btf) = Btf::parse(damaged) {
                let _ = btf.member("outer", "named[1].b");
            }
        }
    }
}
