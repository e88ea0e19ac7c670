//! What the types of a plant cannot say: names that must exist, orders that must hold.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::{Connector, Plant, Positive, Shape, read};
use crate::model::ResourceProfile;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) span: Option<Range<usize>>,
    pub(super) reason: String,
}

/// The longest run, a virtual week: beyond that a figure's text is no plant but a slip.
const LONGEST_SECONDS: f64 = 7.0 * 86_400.0;
/// The most connectors of a plant.
const MOST_CONNECTORS: usize = 100;

/// Whether the plant makes sense as a whole.
pub(super) fn check(plant: &Plant) -> Result<(), Fault> {
    let general = |reason: &str| Err(Fault { span: None, reason: reason.to_owned() });
    if plant.duration_seconds.get() > LONGEST_SECONDS {
        return general("duration_seconds is more than a week");
    }
    if plant.connectors.is_empty() {
        return general("there is no [[connector]]: nothing would run");
    }
    if plant.connectors.len() > MOST_CONNECTORS {
        return general("there are more than 100 connectors");
    }
    let disks: Vec<&str> = plant.disks.iter().map(|disk| disk.name.as_str()).collect();
    let servers: Vec<&str> = plant.servers.iter().map(|server| server.name.as_str()).collect();
    for connector in &plant.connectors {
        check_connector(connector, &disks, &servers, plant.host.gpus.is_some())?;
    }
    check_names(plant, &disks, &servers)?;
    for neighbour in &plant.neighbours {
        known(neighbour.disk.as_ref(), &disks, "[[disk]]")?;
        let end = neighbour.until_seconds.unwrap_or(plant.duration_seconds).get();
        if end <= neighbour.from_seconds.get() {
            return general("a neighbour ends before it begins");
        }
        if neighbour.streams.get() > 0.0 && neighbour.disk.is_none() {
            return general("a neighbour has streams, and no disk");
        }
        let waves = (end - neighbour.from_seconds.get()) / neighbour.period_seconds.get();
        if neighbour.shape == Shape::Square && waves > 100_000.0 {
            return general("a neighbour has more than 100,000 waves");
        }
    }
    check_phases(plant)
}

fn check_connector(
    connector: &Connector,
    disks: &[&str],
    servers: &[&str],
    has_gpu: bool,
) -> Result<(), Fault> {
    let job = &connector.job;
    let fault = |reason: String| {
        let name = connector.name.get_ref();
        Err(Fault {
            span: Some(connector.name.span()),
            reason: format!("connector {name}: {reason}"),
        })
    };
    known(job.disk.as_ref(), disks, "[[disk]]")?;
    known(job.server.as_ref(), servers, "[[server]]")?;
    let profile = &connector.profile;
    let invalid = |reason: String| Fault { span: Some(profile.span()), reason };
    let completed = profile.get_ref().over(&ResourceProfile::default());
    let completed = completed.map_err(|error| invalid(error.to_string()))?;
    for provider in &completed.providers {
        if !servers.contains(&provider.as_str()) {
            return Err(invalid(format!("no [[server]] is called `{provider}`")));
        }
    }
    let needs = [
        ("disk_mb", job.disk_mb.mean() > 0.0, job.disk.is_some(), "disk"),
        ("request_seconds", job.request_seconds.mean() > 0.0, job.server.is_some(), "server"),
        ("gpu_seconds", job.gpu_seconds.mean() > 0.0, has_gpu, "GPU in [host]"),
    ];
    for (need, is_needed, is_there, what) in needs {
        if is_needed && !is_there {
            return fault(format!("{need} is set, and no {what} is named"));
        }
    }
    let times =
        [job.cpu_seconds, job.wait_seconds, job.disk_mb, job.request_seconds, job.gpu_seconds];
    if times.iter().all(|need| need.mean() <= 0.0) {
        return fault("a job needs nothing, and would never end to begin".to_owned());
    }
    if connector.arrival.workers.is_some() && connector.arrival.jobs_per_second.is_some() {
        return fault("workers and jobs_per_second exclude each other".to_owned());
    }
    Ok(())
}

/// Each name once.
fn check_names(plant: &Plant, disks: &[&str], servers: &[&str]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for connector in &plant.connectors {
        if !seen.insert(connector.name.get_ref()) {
            let reason = format!("there are two connectors {}", connector.name.get_ref());
            return Err(Fault { span: Some(connector.name.span()), reason });
        }
    }
    for names in [disks, servers] {
        let unique: BTreeSet<&&str> = names.iter().collect();
        if unique.len() < names.len() {
            let reason = format!("a name is there twice: {}", names.join(", "));
            return Err(Fault { span: None, reason });
        }
    }
    Ok(())
}

fn check_phases(plant: &Plant) -> Result<(), Fault> {
    let names: Vec<&str> =
        plant.connectors.iter().map(|connector| connector.name.get_ref().as_str()).collect();
    let mut begin = 0.0;
    for phase in &plant.phases {
        let at: &Spanned<Positive> = &phase.at_seconds;
        let fault = |reason: &str| Err(Fault { span: Some(at.span()), reason: reason.to_owned() });
        if at.get_ref().get() <= begin {
            return fault("phases are to be in order, the first after 0");
        }
        begin = at.get_ref().get();
        if begin >= plant.duration_seconds.get() {
            return fault("the phase begins when the run is over");
        }
        for change in &phase.changes {
            known(Some(&change.connector), &names, "[[connector]]")?;
        }
    }
    Ok(())
}

/// Whether `name`, if it is written, is one of `names`.
fn known(name: Option<&Spanned<String>>, names: &[&str], what: &str) -> Result<(), Fault> {
    let Some(name) = name else { return Ok(()) };
    let wanted = name.get_ref().as_str();
    if names.contains(&wanted) {
        return Ok(());
    }
    let reason = match read::nearest(wanted, names) {
        Some(nearest) => format!("no {what} is called `{wanted}`; did you mean `{nearest}`?"),
        None => format!("no {what} is called `{wanted}`; there are {}", names.join(", ")),
    };
    Err(Fault { span: Some(name.span()), reason })
}
