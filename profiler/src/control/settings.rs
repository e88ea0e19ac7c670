//! Every constant of the controller, with its reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AdviceSettings, BackpressureSettings, KneeSettings};
use crate::learn::{DemandSettings, MemorySettings};
use crate::lease;
use crate::model::Bytes;

/// How limits are computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often limits are planned. 1 s: demand is known within seconds, and nobody needs a limit
    /// that is younger.
    pub plan_every: Duration,
    /// A sample of a longer interval than this says nothing of now. 30 s.
    pub longest_interval: Duration,
    /// How long jobs are to wait for the CPUs: as long as if they were filled so many deviations of
    /// the demand of all jobs beyond its mean. 1: where jobs come and go independently, so much more
    /// keeps the CPUs busy in the valleys.
    pub overfill: f64,
    /// Time over which external load is averaged. 1 s: it is exact, so only its own noise counts.
    pub external_average: Duration,
    /// Job-seconds that must have been seen of a connector before its limit may pass the preferred
    /// concurrency. 4.
    pub cold_job_seconds: f64,
    /// Until a job has ended, at most so many times the preferred concurrency run: who computes first
    /// may come to a disk or a server later that carries fewer. 4: a profile may be wrong by as much.
    pub first_jobs_factor: f64,
    /// ... or until so many have run for so many seconds. 12 s: what jobs do by turns has shown.
    pub first_jobs_seconds: f64,
    /// They become that many by one for each time so long that one of them was seen. 1.5 s: by two
    /// thirds each second, somewhat faster than the ramp of a knee.
    pub first_jobs_growth: Duration,
    /// Most slots of a connector without a cap. 4,096: no input makes a limit without a bound.
    pub most_slots: u32,
    /// Whether `backpressure_threshold` is a hard ceiling on what is planned. False: it is where a
    /// connector is told of pressure. As a ceiling it costs a fifth of the throughput.
    pub threshold_is_ceiling: bool,
    /// Part of the memory that is neither external nor the reserve, that jobs may hold. 0.95: what
    /// the kernel needs for them besides.
    pub memory_share: f64,
    /// Memory that is left to who sits in front of the host. 500 MB.
    pub memory_reserve: Bytes,
    /// The most that all jobs together may hold, whatever the host has.
    pub memory_ceiling: Option<Bytes>,
    /// How long more memory must have been free before the budget rises. 30 s: a neighbour that
    /// let go may take it again.
    pub memory_raise_after: Duration,
    /// Time over which what a connector does not come to, for want of memory or of a provider's place,
    /// goes to others. 20 s: memory is held back for somebody's turn for less.
    pub reach_average: Duration,
    /// A GPU has time for one more job below this share of use. 0.9: jobs do other things between.
    pub gpu_busy: f64,
    /// ... and below these degrees Celsius. 84: where most begin to slow themselves down.
    pub gpu_hot: f64,
    /// The trim of CPU filling.
    pub trim: TrimSettings,
    /// Where more jobs do no more.
    pub knee: KneeSettings,
    /// Demand for CPU.
    pub demand: DemandSettings,
    /// Peaks of memory.
    pub memory: MemorySettings,
    /// Levels.
    pub backpressure: BackpressureSettings,
    /// Advice.
    pub advice: AdviceSettings,
    /// Who goes first.
    pub ledger: lease::Settings,
    /// Limits are computed and told, and what was there before stays in force: the preferred
    /// concurrency.
    pub shadow: bool,
}

/// How the filling of CPUs is trimmed to what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrimSettings {
    /// The least share of runnable time that is to be spent waiting for a CPU, where demand is even.
    /// 0.08: limits are whole numbers.
    pub least_wait_share: f64,
    /// The most. 0.6: that is one core and jobs that hardly use it.
    pub most_wait_share: f64,
    /// How many times the share may be as high as it should while CPUs idle at times: more jobs do
    /// more then. 1.7.
    pub idle_factor: f64,
    /// Part of the target by which the share may be above it by chance. 1: what fifty jobs want that
    /// compute for a third of their time varies by a tenth of the CPUs for as long as a job takes, and
    /// that is most of the target.
    pub noise_above: f64,
    /// ... and below it. 0.5: more jobs might do more.
    pub noise_below: f64,
    /// So much of an error counts that may be chance. 0.3: what lasts is corrected all the same.
    pub noise_counts: f64,
    /// Seconds over which that share is averaged. 4: bursts of jobs that began together are not
    /// a state of the host.
    pub average_seconds: f64,
    /// Use of the CPUs that jobs which sleep are to reach, and from which on more of any do no more. 0.97.
    pub full: f64,
    /// The factor rises only where those that run want this part of what all for whom there is a slot
    /// would. 0.95: who has not come yet is no reason for more slots.
    pub come: f64,
    /// Step per second and unit of error. 0.08: stable with the average and a delay of 4 s by a
    /// factor of 2; more follows the jobs that happen to be there.
    pub gain: f64,
    /// The least factor. 0.5: demand is exact; who needs less has another problem.
    pub least: f64,
    /// The greatest factor. 1.6.
    pub most: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plan_every: Duration::from_secs(1),
            longest_interval: Duration::from_secs(30),
            overfill: 1.0,
            external_average: Duration::from_secs(1),
            cold_job_seconds: 4.0,
            first_jobs_factor: 4.0,
            first_jobs_seconds: 12.0,
            first_jobs_growth: Duration::from_millis(1500),
            most_slots: 4096,
            threshold_is_ceiling: false,
            memory_share: 0.95,
            memory_reserve: Bytes(500 << 20),
            memory_ceiling: None,
            memory_raise_after: Duration::from_secs(30),
            reach_average: Duration::from_secs(20),
            gpu_busy: 0.9,
            gpu_hot: 84.0,
            trim: TrimSettings::default(),
            knee: KneeSettings::default(),
            demand: DemandSettings::default(),
            memory: MemorySettings::default(),
            backpressure: BackpressureSettings::default(),
            advice: AdviceSettings::default(),
            ledger: lease::Settings::default(),
            shadow: false,
        }
    }
}

impl Default for TrimSettings {
    fn default() -> Self {
        Self {
            least_wait_share: 0.08,
            most_wait_share: 0.6,
            idle_factor: 1.7,
            noise_above: 1.0,
            noise_below: 0.5,
            noise_counts: 0.3,
            average_seconds: 4.0,
            full: 0.97,
            come: 0.95,
            gain: 0.08,
            least: 0.5,
            most: 1.6,
        }
    }
}
