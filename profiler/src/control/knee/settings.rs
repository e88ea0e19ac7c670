//! The constants of the search for a knee, with their reasons.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How knees are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KneeSettings {
    /// Share of its life that a job must spend neither running nor waiting for a CPU for there to
    /// be a knee. 0.1: below, the CPUs explain it all.
    pub least_idle: f64,
    /// A step of the ramp multiplies the limit by this. 1.5: every second, that is from one to a
    /// hundred in twelve; a server that collapses takes the longer to come to itself, the further
    /// it was driven.
    pub ramp_factor: f64,
    /// Part of the reference speed above which a ramp goes on. 0.8.
    pub holds: f64,
    /// ... and above which it does so by whole steps; between, by smaller ones the nearer the knee is.
    /// 0.95: no more than the noise of a ramp's speeds.
    pub holds_fully: f64,
    /// The limit is set so much above what the resource can feed. 1.1: there is always somebody
    /// for it when jobs do other things between.
    pub headroom: f64,
    /// Value of one job more above which there are more, as a part of what each does then, or at a server
    /// of what one does alone. 0.2: a disk that gives a seventh more for twice the jobs is not worth twice
    /// the wait of each.
    pub worth: f64,
    /// Loss by each job more, as a part of what each does then, that is believed at once. 0.5: so
    /// much is lost only where jobs are in each other's way.
    pub steep: f64,
    /// The first trial changes the limit by this part, and by one job at least. 0.2: less is lost in
    /// noise, and a disk that six streams fill is tried with seven.
    pub stride: f64,
    /// Trials that bring nothing shorten the stride down to this. 0.1.
    pub least_stride: f64,
    /// Relative error of a speed to judge a ramp by. 0.08.
    pub ramp_error: f64,
    /// ... and above which a speed ends no ramp. 0.3: two jobs that begin with long requests seem slow.
    pub ramp_trust: f64,
    /// Relative error of a speed to judge a trial by. 0.04: a quarter of what a
    /// stride costs beyond a knee.
    pub trial_error: f64,
    /// Errors by which a ramp must have lost speed to end. 1.5: a ramp that ends too early is slow
    /// to go on, one that ends too late has shown where the knee is.
    pub sure: f64,
    /// A window is at least this long. 1 s.
    pub least_window: Duration,
    /// A ramp judges after so long at the latest. 2 s: a step too far shows at once, and is taken
    /// back.
    pub ramp_window: Duration,
    /// A trial says that it should be fewer after so long at the earliest. 5 s: real disks are slower for
    /// a second or two now and then, all jobs at once, which the error among jobs knows nothing of.
    pub trial_window: Duration,
    /// A trial judges after so long at the latest. 12 s: what is not clear by then counts for more
    /// jobs, since many jobs make it clear sooner.
    pub longest_window: Duration,
    /// Between trials, at first. 15 s.
    pub first_pause: Duration,
    /// ... and when they bring nothing. 120 s: a trial of a tenth for a tenth of the time costs a
    /// hundredth at most.
    pub longest_pause: Duration,
    /// What jobs moved counts for this part of itself a second later, when it is asked what they
    /// wait for. 0.8: what a job read when it began is forgotten within a minute.
    pub evidence_fades: f64,
    /// Use of the CPUs above which nobody who moves nothing waits for anything else. 0.9: the plan
    /// fills them unless jobs wait for each other.
    pub cpus_full: f64,
}

impl Default for KneeSettings {
    fn default() -> Self {
        Self {
            least_idle: 0.1,
            ramp_factor: 1.5,
            holds: 0.8,
            holds_fully: 0.95,
            headroom: 1.1,
            worth: 0.2,
            steep: 0.5,
            stride: 0.2,
            least_stride: 0.1,
            ramp_error: 0.08,
            ramp_trust: 0.3,
            trial_error: 0.04,
            sure: 1.5,
            least_window: Duration::from_secs(1),
            ramp_window: Duration::from_secs(2),
            trial_window: Duration::from_secs(5),
            longest_window: Duration::from_secs(12),
            first_pause: Duration::from_secs(15),
            longest_pause: Duration::from_secs(120),
            evidence_fades: 0.8,
            cpus_full: 0.9,
        }
    }
}
