//! The bar: how the threads' life splits into four parts.

use crate::model::Usage;
use crate::ui::paint::{Paint, Style};

/// One part of the threads' life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) glyph: char,
    pub(super) style: Style,
    pub(super) of: fn(&Usage) -> Option<u64>,
}

/// The four parts that add up to `life_ns`, in the bar's order.
pub(super) const PARTS: [Part; 4] = [
    Part { name: "on CPU", glyph: '█', style: Style::Cpu, of: |usage| usage.cpu_ns },
    Part {
        name: "run queue", glyph: '▓', style: Style::RunQueue, of: |usage| usage.run_queue_ns
    },
    Part {
        name: "block I/O", glyph: '▒', style: Style::BlockIo, of: |usage| usage.block_wait_ns
    },
    Part { name: "other wait", glyph: '░', style: Style::Quiet, of: |usage| usage.other_wait_ns },
];

/// The four parts; `None` unless all are known, and they add up to something.
pub(super) fn parts(usage: &Usage) -> Option<[u64; 4]> {
    let mut parts = [0; 4];
    for (value, part) in parts.iter_mut().zip(&PARTS) {
        *value = (part.of)(usage)?;
    }
    parts.iter().any(|part| *part > 0).then_some(parts)
}

/// The bar over `parts`, `width` characters long.
pub(super) fn bar(parts: [u64; 4], width: u64, paint: Paint) -> String {
    let lengths = split(parts, width);
    let segment = |(part, length): (&Part, u64)| {
        let glyphs: String = (0..length).map(|_| part.glyph).collect();
        paint.text(part.style, &glyphs)
    };
    PARTS.iter().zip(lengths).map(segment).collect()
}

/// `whole` in the proportion of `parts`, to whole numbers: each gets what it has in full, and the
/// rest goes to those with the greatest remainders.
fn split(parts: [u64; 4], whole: u64) -> [u64; 4] {
    let all: u128 = parts.iter().map(|part| u128::from(*part)).sum::<u128>().max(1);
    let exact = parts.map(|part| u128::from(part) * u128::from(whole));
    // A part of `whole` is no more than `whole`.
    let mut lengths = exact.map(|part| u64::try_from(part / all).unwrap_or(whole));
    let mut by_remainder = [0, 1, 2, 3];
    by_remainder.sort_by_key(|place| std::cmp::Reverse(exact[*place] % all));
    let left = whole.saturating_sub(lengths.iter().sum());
    for place in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        lengths[place] += 1;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_remains_goes_where_most_is_missing() {
        assert_eq!(split([1, 1, 1, 0], 10), [4, 3, 3, 0]);
        assert_eq!(split([995, 5, 0, 0], 10), [10, 0, 0, 0]);
        assert_eq!(split([u64::MAX; 4], 8), [2; 4]);
    }

    #[test]
    fn parts_must_be_known_and_there() {
        let unknown = Usage::unknown(crate::model::Source::Procfs);
        assert_eq!(parts(&unknown), None);
        let nothing = Usage {
            cpu_ns: Some(0),
            run_queue_ns: Some(0),
            block_wait_ns: Some(0),
            other_wait_ns: Some(0),
            ..unknown
        };
        assert_eq!(parts(&nothing), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_bar_is_as_long_as_asked(parts: [u64; 4], width in 0..200_u64) {
            prop_assume!(parts.iter().any(|part| *part > 0));
            let bar = bar(parts, width, Paint::default());
            prop_assert_eq!(bar.chars().count() as u64, width);
        }
    }
}
