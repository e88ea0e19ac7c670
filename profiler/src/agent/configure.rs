//! What the configuration says, in the terms of those who go by it; and reading it again.

use std::time::Duration;

use profiler_client::protocol::{ControlError, Reloaded};

use super::recording;
use super::state::State;
use crate::config::{Config, Layers};
use crate::control::{self, AdviceSettings, BackpressureSettings, Event};
use crate::ipc::Limits;
use crate::kernel::Capacity;
use crate::lease::{ProviderSettings, Rate};
use crate::model::ProviderId;
use crate::store::{self, Retention};

/// Where what limits follow from is recorded, if it is.
pub(super) fn recording(config: &Config) -> Option<recording::Settings> {
    let control = &config.control;
    control.record.then(|| recording::Settings {
        file: config.decisions_file(),
        max_bytes: control.record_max_size.0,
    })
}

pub(super) const fn capacity(config: &Config) -> Capacity {
    let configured = &config.capacities;
    Capacity {
        tasks: configured.tasks,
        jobs: configured.jobs,
        connectors: configured.connectors,
        ..Capacity::AGENT
    }
}

pub(super) fn connection_limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        connections: limits.connections as usize,
        connections_per_uid: limits.connections_per_user as usize,
        write_timeout: limits.write_timeout,
        message_timeout: limits.message_timeout,
    }
}

pub(super) fn store_settings(config: &Config) -> store::Settings {
    store::Settings {
        file: config.history_file(),
        retention: retention(config),
        queue: config.history.queue as usize,
    }
}

fn retention(config: &Config) -> Retention {
    Retention { keep: config.history.keep, max_bytes: config.history.max_size.0 }
}

fn provider(configured: &crate::config::Provider) -> ProviderSettings {
    let rate = configured.calls_per_minute.map(|calls| Rate {
        per_second: calls / 60.0,
        // As many at once as may be at work at once.
        burst: f64::from(configured.cap),
    });
    ProviderSettings { cap: configured.cap, rate, ..ProviderSettings::default() }
}

/// How limits are computed.
pub(super) fn control_settings(config: &Config) -> control::Settings {
    let usual = control::Settings::default();
    control::Settings {
        plan_every: config.intervals.plan,
        memory_reserve: config.memory.reserve,
        memory_ceiling: config.memory.ceiling,
        shadow: config.control.shadow,
        backpressure: BackpressureSettings {
            cpu: config.thresholds.cpu_percent / 100.0,
            memory: config.thresholds.memory_percent / 100.0,
            ..usual.backpressure
        },
        advice: AdviceSettings {
            chunk: config.streaming.chunk_size,
            stream_above: config.streaming.stream_above,
            ..usual.advice
        },
        ..usual
    }
}

impl State {
    /// Goes by this configuration from now on, as far as that needs no restart.
    pub(super) fn configure(&mut self, config: Config) {
        let now = Self::now();
        for (name, configured) in &config.providers {
            match self.providers.find(name) {
                Some(id) => {
                    let (provider, settings) = (ProviderId(id), provider(configured));
                    self.control.tell_known(now, Event::ProviderChanged { provider, settings });
                }
                None => {
                    self.providers.add(name);
                    self.control.tell_known(now, Event::Provider(provider(configured)));
                }
            }
        }
        if let Some(store) = &self.history.store {
            store.set_retention(retention(&config));
        }
        let settings = control_settings(&config);
        if settings != *self.control.core().settings() {
            self.control.tell_known(now, Event::Settings(Box::new(settings)));
        }
        self.connectors.configure(now, config.connectors.clone(), &mut self.control);
        self.config = config;
        self.carry_out(None);
    }

    /// Reads the configuration again: all of it or, where it has an error, nothing.
    pub(super) fn reload(&mut self, layers: &Layers) -> Result<Reloaded, ControlError> {
        let config = Config::load(layers).map_err(|problems| {
            let errors: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
            for error in &errors {
                tracing::error!("{error}");
            }
            tracing::error!("the configuration has errors; the former one stays in force");
            ControlError::InvalidConfiguration { errors }
        })?;
        let changes: Vec<String> =
            Config::changes(&self.config, &config).iter().map(ToString::to_string).collect();
        for change in &changes {
            tracing::info!("configuration: {change}");
        }
        self.configure(config);
        Ok(Reloaded { changes })
    }

    /// How long after a look the next one is due: soon while there is something to see.
    pub(super) fn look_every(&self) -> Duration {
        let often = self.config.attribution.update_interval;
        let is_quiet = self.jobs.is_empty() && self.wishes.is_empty();
        if is_quiet { self.config.monitoring.interval.max(often) } else { often }
    }
}
