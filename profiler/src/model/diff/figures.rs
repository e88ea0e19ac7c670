//! Each figure of a usage record by name, in the record's order, with its unit.

use serde::Serialize;

use crate::model::Usage;

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
    /// Things that are counted.
    Count,
}

/// One figure of a usage record.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in the record; that of a part has a point in it.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: Unit,
    value: fn(&Usage) -> Option<u64>,
}

impl Figure {
    /// The figure in a record; `None` if the record does not know it.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Option<u64> {
        (self.value)(usage)
    }
}

macro_rules! figures {
    ($($unit:ident: $($field:ident $(. $part:ident)?),+;)+) => {
        &[$($(Figure {
            name: concat!(stringify!($field) $(, ".", stringify!($part))?),
            unit: Unit::$unit,
            value: |usage| usage.$field $(.map(|parts| parts.$part))?,
        }),+),+]
    };
}

/// Every figure that runs are compared by, in the record's order.
pub const FIGURES: &[Figure] = figures! {
    Nanoseconds: wall_ns, life_ns, cpu_ns, run_queue_ns, run_queue_throttled_ns,
        run_queue_managed_ns, run_queue_self_ns, run_queue_external_ns, block_wait_ns, other_wait_ns;
    Count: voluntary_switches, involuntary_switches;
    Bytes: read_bytes, write_bytes, cancelled_write_bytes, logical_read_bytes, logical_write_bytes;
    Count: read_calls, write_calls;
    Bytes: device_read_bytes, device_write_bytes;
    Count: device_read_ops, device_write_ops;
    Microseconds: device_latency_us.p50, device_latency_us.p95, device_latency_us.p99,
        device_latency_us.max;
    Bytes: net_rx_bytes, net_tx_bytes;
    Count: net_rx_ops, net_tx_ops;
    Bytes: local_rx_bytes, local_tx_bytes;
    Count: minor_faults, major_faults;
    Bytes: memory_peak_bytes, memory_mean_bytes, memory_file_peak_bytes;
    Count: tasks, tasks_peak, processes;
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Source;

    /// Fields of a record that are no figures: they say how it came about.
    const NO_FIGURES: [&str; 3] = ["exit_status", "source", "lost"];

    #[test]
    fn no_figure_of_the_record_is_left_out() {
        let record = serde_json::to_value(Usage::unknown(Source::Ebpf)).unwrap();
        let fields = record.as_object().unwrap().keys().map(String::as_str);
        let fields: BTreeSet<&str> = fields.filter(|name| !NO_FIGURES.contains(name)).collect();
        let named = FIGURES.iter().map(|figure| figure.name.split('.').next().unwrap());
        assert_eq!(named.collect::<BTreeSet<&str>>(), fields);
    }

    #[test]
    fn units_are_those_in_the_names() {
        for figure in FIGURES {
            let name = figure.name.split('.').next().unwrap();
            let unit = match name.rsplit('_').next().unwrap() {
                "ns" => Unit::Nanoseconds,
                "us" => Unit::Microseconds,
                "bytes" => Unit::Bytes,
                _ => Unit::Count,
            };
            assert_eq!(figure.unit, unit, "{}", figure.name);
        }
    }
}
