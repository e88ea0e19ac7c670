//! The whole configuration as a file that would give it, with where each value comes from.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::key_path::KeyPath;
use super::problem::Origin;
use super::profiles::{CONNECTORS, PROVIDERS, SOURCES, effective};
use super::resolved::{Config, Values};
use super::section::Section;
use crate::model::ResourceProfile;

impl Config {
    /// As TOML, each value with its origin in a comment. Reading it gives the same configuration.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (section, values) in self.sections() {
            self.show_section(&mut text, &KeyPath::of_name(section), values, "default");
        }
        for (name, provider) in &self.providers {
            self.show_section(
                &mut text,
                &KeyPath::new([PROVIDERS, name]),
                provider.written(),
                "default",
            );
        }
        let built_in = ResourceProfile::BUILTIN.map(str::to_owned);
        let names: BTreeSet<_> = built_in.iter().chain(self.connectors.keys()).collect();
        for name in names {
            let at = KeyPath::new([CONNECTORS, name]);
            let values = effective(name, &self.stated(name, None)).written();
            self.show_section(&mut text, &at, values, "built in");
            for (source, profile) in self.connectors.get(name).iter().flat_map(|own| &own.sources) {
                // What a source does not say it has from its connector.
                let all = effective(name, &self.stated(name, Some(source))).written();
                let stated = profile.written().into_iter().map(|(_, value)| value.is_some());
                let values = all.into_iter().zip(stated).filter(|(_, is_stated)| *is_stated);
                let values = values.map(|(value, _)| value).collect();
                self.show_section(&mut text, &at.with(SOURCES).with(source), values, "");
            }
        }
        text
    }

    fn show_section(&self, text: &mut String, at: &KeyPath, values: Values, otherwise: &str) {
        // Writing to a string does not fail.
        if at.parts().next().is_some() {
            let _ = writeln!(text, "\n[{at}]");
        }
        for (name, value) in values {
            let origin = match self.origin(&at.with(name)) {
                Origin::Default => otherwise.to_owned(),
                origin => one_line(&origin.to_string()),
            };
            let _ = match value {
                Some(value) => writeln!(text, "{name} = {value}  # {origin}"),
                None => writeln!(text, "# {name} is unset"),
            };
        }
    }
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
