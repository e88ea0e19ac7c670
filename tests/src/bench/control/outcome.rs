//! One workload: the best static limit, our controller, the others, and how they compare.

use std::fs;
use std::path::Path;
use std::time::Duration;

use profiler::simulate::controller::Kind;
use serde::Serialize;
use serde_json::{Value, json};

use super::interrupt::Interrupted;
use super::options::Options;
use super::rival::Rival;
use super::statics::{self, Tried};
use super::trial::{State, Stretch, TICK, Trial};
use super::workload::Workload;

/// Jobs at once as long as nothing is known, for all controllers alike.
pub(super) const PREFERRED: u32 = 4;

/// What profiles declare of what is true: a quarter.
const DECLARED: f64 = 0.25;

/// Cores of a job, as declared.
#[must_use]
pub(super) fn declared_cores(workload: &Workload) -> f64 {
    workload.cores * DECLARED
}

/// Memory of a job, as declared.
#[must_use]
pub(super) fn declared_mib(workload: &Workload) -> f64 {
    workload.memory_mib * DECLARED
}

/// What came of a workload.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// The workload.
    pub(super) name: &'static str,
    /// What its jobs do.
    pub(super) about: String,
    /// What goodput counts.
    pub(super) piece: &'static str,
    /// All static limits that were tried.
    pub(super) tried: Vec<Tried>,
    /// The best of them, measured again, before the others and after them.
    pub(super) best: Row,
    /// Our controller.
    pub(super) ours: Row,
    /// Why its limit was what it was, at the end.
    pub(super) explained: Vec<String>,
    /// The controllers of others.
    pub(super) rivals: Vec<Row>,
}

/// A controller's figures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Which controller.
    pub(super) controller: String,
    /// Pieces a second.
    pub(super) goodput: f64,
    /// Over that of the best static limit.
    pub(super) of_best: f64,
    /// The limit, on average.
    pub(super) limit: f64,
    /// The least and the most that it was.
    pub(super) range: (u32, u32),
    /// Jobs that ran, on average.
    pub(super) running: f64,
    /// Coefficient of variation of the limit.
    pub(super) swings: f64,
    /// Seconds until it stayed near where it was at the end; `None` if it never did.
    pub(super) settles_seconds: Option<f64>,
    /// What half of the jobs did not take longer than, from their grant on.
    pub(super) job_p50_ms: f64,
    /// What 95 of 100 did not.
    pub(super) job_p95_ms: f64,
    /// Workers that were killed for want of memory, the time before it was measured included.
    pub(super) killed: u64,
}

/// How long what takes.
struct Lengths {
    trial: Duration,
    reference: Duration,
    ours: (Duration, Duration),
    rival: (Duration, Duration),
}

impl Lengths {
    fn new(trial: Duration, longer: f64) -> Self {
        let measured = trial.mul_f64(longer);
        Self {
            trial: measured,
            reference: 3 * measured,
            // As long as the simulator's disks and servers may take to settle; and a search for a knee
            // tries once more after 15 s, which is to be seen.
            ours: (30 * trial, 6 * measured),
            rival: (30 * trial, 3 * measured),
        }
    }
}

impl Outcome {
    /// Measures all of a workload.
    ///
    /// # Errors
    /// If it is to end.
    pub(super) fn measure(workload: &Workload, options: &Options) -> Result<Self, Interrupted> {
        let lengths = Lengths::new(options.trial, workload.longer);
        eprintln!("{}: {}", workload.name, workload.about);
        let mut trial = by_hand(workload);
        let mut tried = statics::search(&mut trial, lengths.trial)?;
        let (limit, mut best) = loop {
            let limit = statics::best(&tried);
            let stretch = fixed(&mut trial, limit, lengths.reference)?;
            if !statics::rules_out(&mut tried, limit, stretch.killed) {
                break (limit, stretch);
            }
        };
        trial.end()?;
        let (ours, explained) = ours(workload, &lengths, options.keep.as_deref())?;
        let mut trial = by_hand(workload);
        let rivals = options.rivals.iter().map(|kind| rival(&mut trial, kind, &lengths));
        let rivals: Vec<Row> = rivals.collect::<Result<_, _>>()?;
        best.extend(fixed(&mut trial, limit, lengths.reference)?);
        trial.end()?;
        let best = Row::new(format!("best static: {limit}"), &Stretch::default(), &best, None);
        let reached = best.goodput;
        let over = |row: Row| Row { of_best: row.goodput / reached, ..row };
        Ok(Self {
            name: workload.name,
            about: workload.about.clone(),
            piece: workload.piece,
            tried,
            best: over(best),
            ours: over(ours),
            explained,
            rivals: rivals.into_iter().map(over).collect(),
        })
    }
}

/// An agent whose limit is set by hand, and whose memory is not short.
fn by_hand(workload: &Workload) -> Trial<'_> {
    let profile = json!({ "preferred_concurrency": PREFERRED, "avg_memory_mb": 1.0 });
    Trial::begin(workload, &profile, &[])
}

fn fixed(trial: &mut Trial<'_>, limit: u32, length: Duration) -> Result<Stretch, Interrupted> {
    trial.set_limit(limit)?;
    trial.settle()?;
    let stretch = trial.run(length, |_, _, _| Ok(()))?;
    eprintln!("  best static, {limit}: {:.1} a second", stretch.goodput());
    Ok(stretch)
}

/// An agent that sets its limit itself: its figures, and why its limit is what it is at the end.
fn ours(
    workload: &Workload,
    lengths: &Lengths,
    keep: Option<&Path>,
) -> Result<(Row, Vec<String>), Interrupted> {
    let profile = json!({
        "preferred_concurrency": PREFERRED,
        "avg_cpu_cores": declared_cores(workload),
        "avg_memory_mb": declared_mib(workload),
    });
    let ceiling = workload.ceiling().map(|it| format!("memory.ceiling=\"{} B\"", it.bytes));
    let mut trial = Trial::begin(workload, &profile, ceiling.as_slice());
    let before = trial.run(lengths.ours.0, |_, _, _| Ok(()))?;
    let measured = trial.run(lengths.ours.1, |_, _, _| Ok(()))?;
    let told = trial.explain()?;
    if let Some(folder) = keep {
        keep_recording(&trial, workload.name, &told, folder);
    }
    trial.end()?;
    let settles = settles(&before.states, &measured.states);
    let row = Row::new("profiler".to_owned(), &before, &measured, settles);
    eprintln!("  profiler: {:.1} a second, limit {:.1}", row.goodput, row.limit);
    let lines = told["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok((row, lines.map(str::to_owned).collect()))
}

fn keep_recording(trial: &Trial<'_>, name: &str, told: &Value, folder: &Path) {
    fs::create_dir_all(folder).expect("the folder to keep things in");
    let from = trial.agent.folder().join("state/decisions.jsonl");
    fs::copy(from, folder.join(format!("{name}.jsonl"))).expect("the recording");
    let told = serde_json::to_string_pretty(told).expect("JSON");
    fs::write(folder.join(format!("{name}.explain.json")), told + "\n").expect("the explanation");
}

/// A controller of others, that sets the agent's limit by hand.
fn rival(trial: &mut Trial<'_>, kind: &Kind, lengths: &Lengths) -> Result<Row, Interrupted> {
    let mut rival = Rival::begin(kind, trial.workload());
    trial.set_limit(rival.limit())?;
    trial.settle()?;
    let mut each = |trial: &mut Trial<'_>, state: State, ended: &[Duration]| {
        let limit = rival.look(trial.workload(), state, ended);
        if limit == state.limit { Ok(()) } else { trial.set_limit(limit) }
    };
    let before = trial.run(lengths.rival.0, &mut each)?;
    let measured = trial.run(lengths.rival.1, &mut each)?;
    let settles = settles(&before.states, &measured.states);
    let row = Row::new(kind.to_string(), &before, &measured, settles);
    eprintln!("  {kind}: {:.1} a second, limit {:.1}", row.goodput, row.limit);
    Ok(row)
}

impl Row {
    fn new(
        controller: String,
        before: &Stretch,
        measured: &Stretch,
        settles_seconds: Option<f64>,
    ) -> Self {
        let limits: Vec<f64> = measured.states.iter().map(|it| f64::from(it.limit)).collect();
        let running: Vec<f64> = measured.states.iter().map(|it| f64::from(it.in_use)).collect();
        let limit = mean(&limits);
        let squares: Vec<f64> = limits.iter().map(|each| (each - limit).powi(2)).collect();
        let each = measured.states.iter().map(|state| state.limit);
        Self {
            controller,
            goodput: measured.goodput(),
            of_best: f64::NAN,
            limit,
            range: (each.clone().min().unwrap_or(0), each.max().unwrap_or(0)),
            running: mean(&running),
            swings: mean(&squares).sqrt() / limit,
            settles_seconds,
            job_p50_ms: measured.job_ms(50),
            job_p95_ms: measured.job_ms(95),
            killed: before.killed + measured.killed,
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// For how long it is to stay near, where there is as much left.
const STAYS_TICKS: usize = 60;

/// Seconds until as many jobs might run as within 15 % (or 1) of the mean while it was measured, for
/// 90 % of the next 15 s: as in the simulator.
fn settles(before: &[State], measured: &[State]) -> Option<f64> {
    let allowed = |states: &[State]| -> Vec<f64> {
        states.iter().map(|state| f64::from(state.allowed())).collect()
    };
    let last = mean(&allowed(measured));
    let all = [allowed(before), allowed(measured)].concat();
    let near: Vec<bool> =
        all.iter().map(|each| (each - last).abs() <= (0.15 * last).max(1.0)).collect();
    let stays = |from: usize| {
        let next = &near[from..(from + STAYS_TICKS).min(near.len())];
        next.iter().filter(|is_near| **is_near).count() * 10 >= next.len() * 9
    };
    let first = (0..near.len()).find(|from| near[*from] && stays(*from));
    first.map(|tick| tick as f64 * TICK.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(limits: &[u32]) -> Vec<State> {
        limits.iter().map(|limit| State { limit: *limit, in_use: *limit, waiting: 9 }).collect()
    }

    #[test]
    fn it_has_settled_when_it_stays_near_where_it_ends() {
        let before: Vec<u32> = [1, 2, 4, 8, 16, 30].into_iter().chain([20; 40]).collect();
        assert_eq!(settles(&states(&before), &states(&[20; 40])), Some(1.5));
        assert_eq!(settles(&states(&[20; 4]), &states(&[20; 4])), Some(0.0));
        let swings: Vec<u32> = (0..80).map(|tick| 10 + tick % 2 * 20).collect();
        assert_eq!(settles(&states(&[]), &states(&swings)), None);
    }

    #[test]
    fn who_waits_for_memory_is_not_held_back_by_the_limit() {
        let short = State { limit: 40, in_use: 6, waiting: 3 };
        assert_eq!(short.allowed(), 6);
        assert_eq!(State { waiting: 0, ..short }.allowed(), 40);
    }
}
