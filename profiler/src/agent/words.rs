//! The core's words in the protocol's, and the other way round.

use std::time::Duration;

use profiler_client::protocol as wire;

use crate::control::{Advice, Explanation};
use crate::model::{self, Constraints};

pub(super) const fn priority(priority: wire::Priority) -> model::Priority {
    match priority {
        wire::Priority::Background => model::Priority::Background,
        wire::Priority::Normal => model::Priority::Normal,
        wire::Priority::Interactive => model::Priority::Interactive,
    }
}

pub(super) const fn on_timeout(on_timeout: wire::OnTimeout) -> model::OnTimeout {
    match on_timeout {
        wire::OnTimeout::Refuse => model::OnTimeout::Refuse,
        wire::OnTimeout::Proceed => model::OnTimeout::Proceed,
        wire::OnTimeout::ProceedIfCompressible => model::OnTimeout::ProceedIfCompressible,
    }
}

pub(super) const fn source(source: model::Source) -> wire::Source {
    match source {
        model::Source::Ebpf => wire::Source::Ebpf,
        model::Source::Procfs => wire::Source::Procfs,
    }
}

pub(super) const fn how(how: model::How) -> wire::How {
    match how {
        model::How::Granted => wire::How::Granted,
        model::How::GrantedUnderPressure => wire::How::GrantedUnderPressure,
    }
}

pub(super) const fn constraint(constraint: model::Constraint) -> wire::Constraint {
    match constraint {
        model::Constraint::Cap => wire::Constraint::Cap,
        model::Constraint::Cpu => wire::Constraint::Cpu,
        model::Constraint::Memory => wire::Constraint::Memory,
        model::Constraint::Disk => wire::Constraint::Disk,
        model::Constraint::Network => wire::Constraint::Network,
        model::Constraint::Gpu => wire::Constraint::Gpu,
        model::Constraint::Provider => wire::Constraint::Provider,
        model::Constraint::Floor => wire::Constraint::Floor,
        model::Constraint::Queue => wire::Constraint::Queue,
        model::Constraint::Drained => wire::Constraint::Drained,
        model::Constraint::Override => wire::Constraint::Override,
    }
}

pub(super) fn constraints(constraints: Constraints) -> Vec<wire::Constraint> {
    constraints.iter().map(constraint).collect()
}

pub(super) const fn level(level: model::Level) -> wire::Level {
    match level {
        model::Level::Normal => wire::Level::Normal,
        model::Level::Elevated => wire::Level::Elevated,
        model::Level::High => wire::Level::High,
        model::Level::Critical => wire::Level::Critical,
    }
}

/// Why a limit is what it is.
pub(super) fn explained(explanation: Explanation) -> wire::Explained {
    wire::Explained {
        limit: explanation.limit,
        constraint: constraint(explanation.constraint),
        lines: explanation.lines,
        next_slot_needs: explanation.next_slot_needs,
        learned: explanation.learned,
        declared: explanation.declared,
        recommendations: explanation
            .recommendations
            .into_iter()
            .map(|it| wire::Recommendation { advice: it.advice, evidence: it.evidence })
            .collect(),
    }
}

/// Advice; with nothing to go by, the most careful.
pub(super) fn advice(advice: Option<Advice>) -> wire::Advice {
    match advice {
        Some(advice) => wire::Advice {
            level: level(advice.level),
            threads: advice.threads,
            chunk_bytes: advice.chunk_bytes.0,
            stream_above_bytes: advice.stream_above_bytes.0,
            trim_memory: advice.trim_memory,
        },
        None => wire::Advice {
            level: wire::Level::Normal,
            threads: 1,
            chunk_bytes: 0,
            stream_above_bytes: 0,
            trim_memory: false,
        },
    }
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
