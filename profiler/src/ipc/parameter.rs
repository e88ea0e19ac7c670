//! Which parameter of a call is wrong: what a typed error names.

use std::fmt;

use profiler_client::protocol::Text;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The name of the parameter that `error` is about; empty if it is about none in particular.
pub(super) fn at_fault(parameters: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The messages of `serde` quote the names of fields like this.
    let quoted = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|begin| text.strip_prefix(begin)?.split_once('`'));
    if let Some((name, _)) = quoted {
        return name.to_owned();
    }
    let Ok(Entries(entries)) = serde_json::from_str(parameters) else { return String::new() };
    let at = offset(parameters, error);
    let begin = |value: &RawValue| value.get().as_ptr().addr() - parameters.as_ptr().addr();
    let entry = entries.iter().find(|(_, value)| at <= begin(value) + value.get().len());
    entry.map(|(name, _)| name.to_string()).unwrap_or_default()
}

/// Bytes before the place that the error names.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// The fields of an object, as they stand in the text.
struct Entries<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

#[cfg(test)]
mod tests {
    use profiler_client::protocol::WorkerCall;

    use super::*;

    fn at_fault_in(method: &str, parameters: &str) -> String {
        match WorkerCall::parse(method, parameters) {
            Some(Err(error)) => at_fault(parameters, &error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_parameter_that_is_wrong_is_named() {
        let acquire =
            |rest: &str| at_fault_in("Acquire", &format!("{{\"connector\":\"a\"{rest}}}"));
        assert_eq!(acquire(",\"colour\":1"), "colour");
        assert_eq!(acquire(",\"tid\":\"x\",\"label\":\"y\""), "tid");
        assert_eq!(acquire(",\n \"scope\":\n\"galaxy\",\"tid\":1"), "scope");
        assert_eq!(acquire(",\"label\":\"y\",\"tid\":-1"), "tid");
        assert_eq!(acquire(",\"tid\":1.5"), "tid");
        assert_eq!(acquire(",\"memory_bytes\":123456789012345678901234567890"), "memory_bytes");
        assert_eq!(acquire(",\"providers\":[\"a\",7],\"label\":\"y\""), "providers");
        assert_eq!(acquire(",\"label\":{}"), "label");
        assert_eq!(acquire(",\"tid\":1,\"tid\":1"), "tid");
        assert_eq!(at_fault_in("Acquire", "{}"), "connector");
    }
}
