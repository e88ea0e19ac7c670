//! What keys are that a plant leaves out.

use toml::Spanned;

use super::quantity::{Amount, Count, Positive, Share};
use crate::model::Partial;

/// The defaults of keys that a plant may leave out.
macro_rules! defaults {
    ($($name:ident: $quantity:ident = $value:literal;)*) => {
        $(pub(super) fn $name() -> $quantity {
            $quantity::new($value)
        })*
    };
}

defaults! {
    nothing: Share = 0.0;
    half: Share = 0.5;
    whole: Share = 1.0;
    smt_gain: Share = 0.3;
    none: Amount = 0.0;
    tenth: Amount = 0.1;
    reserve: Amount = 500.0;
    once: Positive = 1.0;
    second: Positive = 1.0;
    five: Positive = 5.0;
    minute: Positive = 60.0;
    ten_minutes: Positive = 600.0;
    plenty: Positive = 65_536.0;
}

pub(super) fn nothing_declared() -> Spanned<Partial> {
    Spanned::new(0..0, Partial::default())
}

pub(super) const fn one() -> Count {
    Count::ONE
}

pub(super) const fn eight() -> Count {
    Count::saturating(8)
}

pub(super) const fn most() -> Count {
    Count::saturating(Count::MOST)
}
