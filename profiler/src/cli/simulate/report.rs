//! Trials as tables and as JSON.

use serde_json::json;

use crate::simulate::figures::Figures;
use crate::simulate::measures::Measures;
use crate::simulate::oracle::Oracle;
use crate::simulate::plant::Plant;
use crate::simulate::trial::{Reference, Trial};
use crate::ui::table::Table;
use crate::ui::text::plain;

/// All trials: a table of the worst seeds and the means, and one of the phases.
pub(super) fn trials(trials: &[Trial], is_drawn: bool, json: bool) -> serde_json::Result<String> {
    if json {
        return Ok(serde_json::to_string(trials)? + "\n");
    }
    let mut text =
        String::from("Goodput over the oracle's; the worst seed, and the mean in brackets.\n\n");
    text += &summary(trials).render();
    if trials.iter().any(|trial| trial.oracle.len() > 1) {
        text += "\nBy phase, the worst seed:\n\n";
        text += &phases(trials).render();
    }
    if is_drawn {
        text += "\nOver all plants:\n\n";
        text += &over_all(trials).render();
    }
    Ok(text)
}

/// By controller, the mean and the least over plants.
fn over_all(trials: &[Trial]) -> Table {
    let heading = ["controller", "plants", "mean", "least", "of worst seeds", "overcommits"];
    let mut table = Table::new(&heading, 1..heading.len());
    let mut names: Vec<&str> = Vec::new();
    for trial in trials {
        if !names.contains(&trial.controller.as_str()) {
            names.push(&trial.controller);
        }
    }
    for name in names {
        let of: Vec<&Trial> = trials.iter().filter(|trial| trial.controller == name).collect();
        let means: Vec<f64> = of.iter().map(|trial| trial.mean(|run| run.goodput)).collect();
        let worst = of.iter().map(|trial| trial.lowest(|run| run.goodput));
        let overcommits = of.iter().map(|trial| trial.highest(|run| f64::from(run.overcommits)));
        table.row(vec![
            plain(name),
            of.len().to_string(),
            format!("{:.3}", means.iter().sum::<f64>() / means.len().max(1) as f64),
            format!("{:.3}", means.iter().copied().fold(f64::INFINITY, f64::min)),
            format!("{:.3}", worst.fold(f64::INFINITY, f64::min)),
            format!("{:.0}", overcommits.fold(0.0, f64::max)),
        ]);
    }
    table
}

fn summary(trials: &[Trial]) -> Table {
    let heading = [
        "plant",
        "controller",
        "goodput",
        "(mean)",
        "settles",
        "overshoot",
        "swings",
        "over",
        "kills",
        "starved",
        "Jain",
        "wait p50",
        "p99",
    ];
    let mut table = Table::new(&heading, 2..heading.len());
    for trial in trials {
        let highest = |figure: fn(&Measures) -> f64| trial.highest(figure);
        table.row(vec![
            plain(&trial.plant),
            plain(&trial.controller),
            format!("{:.3}", trial.lowest(|run| run.goodput)),
            format!("({:.3})", trial.mean(|run| run.goodput)),
            seconds(highest(Measures::settling_seconds)),
            format!("{:.2}", highest(Measures::overshoot)),
            format!("{:.2}", highest(Measures::oscillation)),
            format!("{:.0}", highest(|run| f64::from(run.overcommits))),
            format!("{:.0}", highest(|run| f64::from(run.kills))),
            seconds(highest(|run| run.starved_seconds)),
            format!("{:.2}", trial.lowest(|run| run.jain)),
            seconds(highest(|run| run.wait_p50_seconds)),
            seconds(highest(|run| run.wait_p99_seconds)),
        ]);
    }
    table
}

fn phases(trials: &[Trial]) -> Table {
    let heading = [
        "plant",
        "controller",
        "phase",
        "best limits",
        "goodput",
        "(mean)",
        "settles",
        "overshoot",
        "swings",
    ];
    let mut table = Table::new(&heading, 4..heading.len());
    for trial in trials.iter().filter(|trial| trial.oracle.len() > 1) {
        for (phase, limits) in trial.oracle.iter().enumerate() {
            let goodput = |run: &Measures| run.phases[phase].goodput;
            let name = trial.runs.first().map_or("", |run| &run.phases[phase].name);
            table.row(vec![
                plain(&trial.plant),
                plain(&trial.controller),
                plain(name),
                list(limits),
                format!("{:.3}", trial.lowest(goodput)),
                format!("({:.3})", trial.mean(goodput)),
                seconds(trial.highest(|run| run.phases[phase].settling_seconds)),
                format!("{:.2}", trial.highest(|run| run.phases[phase].overshoot)),
                format!("{:.2}", trial.highest(|run| run.phases[phase].oscillation)),
            ]);
        }
    }
    table
}

/// The best limits of a plant.
pub(super) fn oracle(
    plant: &Plant,
    reference: &Reference,
    json: bool,
) -> serde_json::Result<String> {
    let names: Vec<&str> =
        plant.connectors.iter().map(|connector| connector.name.get_ref().as_str()).collect();
    let rule = if plant.has_memory() { "no overcommitment" } else { "any" };
    let mut found = vec![(rule, &reference.oracle, &reference.runs)];
    found.extend(reference.free.iter().map(|(oracle, runs)| ("any", oracle, runs)));
    if json {
        let found: Vec<_> = found
            .iter()
            .map(|(rule, oracle, runs)| {
                json!({ "rule": rule, "limits": oracle.limits, "least": oracle.least,
                    "tried": oracle.tried, "work_per_second": work(oracle, runs) })
            })
            .collect();
        let report = json!({ "plant": plant.name, "connectors": names,
            "phases": plant.phase_names(), "oracles": found });
        return Ok(serde_json::to_string(&report)? + "\n");
    }
    let heading = ["phase", "limits", "connectors", "best", "as good from", "work a second"];
    let mut table = Table::new(&heading, 5..6);
    for (rule, oracle, runs) in &found {
        let work = work(oracle, runs);
        for (phase, name) in plant.phase_names().iter().enumerate() {
            let figures: Vec<String> =
                work[phase].iter().map(|work| format!("{work:.3}")).collect();
            table.row(vec![
                plain(name),
                (*rule).to_owned(),
                plain(&names.join(", ")),
                list(&oracle.limits[phase]),
                list(&oracle.least[phase]),
                figures.join(", "),
            ]);
        }
    }
    let tried: usize = found.iter().map(|(_, oracle, _)| oracle.tried).sum();
    Ok(format!("{}: {tried} sets of limits tried\n\n{}\n", plain(&plant.name), table.render()))
}

/// Mean useful work per second, by phase and connector.
fn work(oracle: &Oracle, runs: &[Figures]) -> Vec<Vec<f64>> {
    let connectors = oracle.limits.first().map_or(0, Vec::len);
    let mean = |phase: usize, connector: usize| {
        let rate = |run: &Figures| run.phases[phase].work[connector] / run.phases[phase].seconds;
        runs.iter().map(rate).sum::<f64>() / runs.len().max(1) as f64
    };
    (0..oracle.limits.len())
        .map(|phase| (0..connectors).map(|connector| mean(phase, connector)).collect())
        .collect()
}

fn list(limits: &[u32]) -> String {
    limits.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Whole seconds from ten on, one digit below.
fn seconds(seconds: f64) -> String {
    if seconds < 9.95 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}
