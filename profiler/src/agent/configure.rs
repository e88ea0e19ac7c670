//! What the configuration says, in the terms of those who go by it; and reading it again.

use std::time::Duration;

use profiler_client::protocol::{ControlError, Reloaded};

use super::limits::HostState;
use super::state::State;
use crate::config::{Config, Layers};
use crate::control::{AdviceSettings, BackpressureSettings};
use crate::ipc::Limits;
use crate::kernel::Capacity;
use crate::lease::{ProviderSettings, Rate};
use crate::model::HostSample;
use crate::store::{self, Retention};

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

impl HostState {
    pub(super) fn configured(config: &Config, sample: HostSample) -> Self {
        let mut host = Self::new(sample);
        host.configure(config);
        host
    }

    fn configure(&mut self, config: &Config) {
        self.reserve = config.memory.reserve;
        self.ceiling = config.memory.ceiling;
        self.marks = BackpressureSettings {
            cpu: config.thresholds.cpu_percent / 100.0,
            memory: config.thresholds.memory_percent / 100.0,
            ..BackpressureSettings::default()
        };
        self.advice = AdviceSettings {
            chunk: config.streaming.chunk_size,
            stream_above: config.streaming.stream_above,
            ..AdviceSettings::default()
        };
    }
}

impl State {
    /// Goes by this configuration from now on, as far as that needs no restart.
    pub(super) fn configure(&mut self, config: Config) {
        let now = Self::now();
        for (name, configured) in &config.providers {
            match self.providers.find(name) {
                // The provider is known.
                Some(id) => drop(self.ledger.set_provider(
                    now,
                    crate::model::ProviderId(id),
                    provider(configured),
                )),
                None => {
                    self.providers.add(name);
                    self.ledger.add_provider(now, provider(configured));
                }
            }
        }
        if let Some(store) = &self.history.store {
            store.set_retention(retention(&config));
        }
        self.connectors.host.configure(&config);
        let names = config.connectors.keys();
        let stated = names.map(|name| (name.as_str().into(), config.stated(name, None))).collect();
        self.connectors.configure(stated, &mut self.ledger);
        self.config = config;
        self.advance();
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

    /// How often the host is looked at and limits are computed.
    pub(super) fn look_every(&self) -> Duration {
        self.config.monitoring.interval.min(self.config.intervals.plan)
    }
}
