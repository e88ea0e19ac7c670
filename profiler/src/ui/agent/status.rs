//! The whole at a glance.

use profiler_client::protocol::{ConnectorsList, Provider, Source, StatusReply};

use super::{duration_ms, name, slots};
use crate::model::units::{bytes, counted};
use crate::ui::table::Table;
use crate::ui::text::plain;

/// Host, agent, connectors and providers.
#[must_use]
pub fn status(status: &StatusReply) -> String {
    let mut text = host(status) + &agent(status);
    for missing in &status.missing {
        text += &format!("Missing: {}\n", plain(missing));
    }
    for (cause, count) in &status.lost {
        text += &format!("Lost: {} {}\n", plain(cause), crate::model::units::count(*count));
    }
    text += "\n";
    text += &slots(&ConnectorsList { connectors: status.connectors.clone() });
    if !status.providers.is_empty() {
        text += "\n";
        text += &providers(&status.providers);
    }
    text
}

fn host(status: &StatusReply) -> String {
    let host = &status.host;
    let cpu = host.cpu_percent.map(|percent| format!(", {percent:.0} % in use"));
    format!(
        "{}: {}, {}{}, {} of {} available\n",
        plain(&host.hostname),
        host.level,
        counted(host.cores.into(), "core"),
        cpu.unwrap_or_default(),
        bytes(host.memory_available_bytes),
        bytes(host.memory_bytes),
    )
}

fn agent(status: &StatusReply) -> String {
    let own = &status.own;
    let figures = match status.source {
        Source::Ebpf => "exact figures",
        Source::Procfs => "samples of /proc",
    };
    let draining = if status.draining { ", draining: no new jobs" } else { "" };
    let orphans = match status.orphans {
        0 => String::new(),
        orphans => format!(" ({orphans} without their worker)"),
    };
    let kernel = own.tracing_memory_overhead_bytes.filter(|held| *held > 0);
    let kernel = kernel.map_or(String::new(), |held| {
        format!("; what it keeps in the kernel, mapped or not, is {}", bytes(held))
    });
    format!(
        "Agent {}: {figures}, up {}, {}{orphans}, {} waiting, {}{draining}\n\
         Costs {:.2} % of one CPU and {} of memory{kernel}\n",
        plain(&status.version),
        duration_ms(status.uptime_ms),
        counted(status.leases.into(), "lease"),
        status.waiting,
        counted(status.connections.into(), "connection"),
        own.process_cpu_percent,
        bytes(own.process_memory_bytes),
    )
}

fn providers(providers: &[Provider]) -> String {
    let mut table = Table::new(&["provider", "in use", "cap", "waiting", "closed for"], 1..5);
    for provider in providers {
        let closed = match provider.closed_ms {
            0 => "-".to_owned(),
            ms => duration_ms(ms),
        };
        table.row(vec![
            name(&provider.provider),
            provider.in_use.to_string(),
            provider.cap.to_string(),
            provider.waiting.to_string(),
            closed,
        ]);
    }
    table.render()
}
