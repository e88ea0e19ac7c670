//! What a section of the configuration is: one definition gives the typed structure, the list of
//! known keys, their checks and their documentation.

use super::merged::Merged;
use super::raw::Raw;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// When the configuration is read again.
    Reload,
    /// When the agent starts again.
    Restart,
}

/// One setting that exists.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The section: `connectors.*.sources.*`, where `*` stands for a name that the user chose.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
    /// What it does, and why its default is what it is.
    pub summary: &'static [&'static str],
    /// When a change of it takes effect.
    pub effect: Effect,
    /// What it must be.
    pub(super) expected: fn() -> String,
    /// Whether a value will do.
    pub(super) admits: fn(&Raw) -> bool,
}

impl Key {
    /// Section and name.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.section.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.section, self.name)
        }
    }
}

/// A section of the configuration as a type.
pub(super) trait Section: Sized {
    /// The settings that it has.
    const KEYS: &'static [Key];

    /// The section with what was written, and `self`'s values where nothing was.
    fn with(self, written: &Merged, at: &super::KeyPath) -> Self;

    /// Each setting by name, and its value as TOML takes it; `None` where it is unset.
    fn written(&self) -> Vec<(&'static str, Option<String>)>;
}

/// Defines a section. Of each setting: what it is, its name and type, the limits of its values, and
/// when a change takes effect.
macro_rules! section {
    (
        $(#[$attribute:meta])*
        $name:ident in $section:literal {
            $( $(#[doc = $summary:literal])+ $field:ident: $type:ty, $limits:expr, $effect:ident; )+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $summary])+ pub $field: $type, )+
        }

        $crate::config::section::settings! {
            $name in $section {
                $( $(#[doc = $summary])+ $field: $type, $limits, $effect; )+
            }
        }
    };
}
pub(super) use section;

/// Makes a section of a structure that exists already.
macro_rules! settings {
    (
        $name:ident in $section:literal {
            $( $(#[doc = $summary:literal])+ $field:ident: $type:ty, $limits:expr, $effect:ident; )+
        }
    ) => {
        impl $crate::config::section::Section for $name {
            const KEYS: &'static [$crate::config::section::Key] = &[$(
                $crate::config::section::Key {
                    section: $section,
                    name: stringify!($field),
                    summary: &[$($summary),+],
                    effect: $crate::config::section::Effect::$effect,
                    expected: || <$type as $crate::config::setting::Setting>::expected(&$limits),
                    admits: |raw| {
                        <$type as $crate::config::setting::Setting>::read(raw, &$limits).is_some()
                    },
                },
            )+];

            fn with(
                mut self,
                written: &$crate::config::merged::Merged,
                at: &$crate::config::KeyPath,
            ) -> Self {
                $(
                    let raw = written.raw(at, stringify!($field));
                    let value = raw.and_then(|raw| {
                        <$type as $crate::config::setting::Setting>::read(raw, &$limits)
                    });
                    if let Some(value) = value {
                        self.$field = value;
                    }
                )+
                self
            }

            fn written(&self) -> Vec<(&'static str, Option<String>)> {
                vec![$((
                    stringify!($field),
                    $crate::config::setting::Setting::written(&self.$field),
                )),+]
            }
        }
    };
}
pub(super) use settings;
