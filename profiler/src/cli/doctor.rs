//! `profiler doctor`.

use std::process::ExitCode;

use serde::Serialize;

use super::args::Doctor;
use super::{FAILED, Failure, print};
use crate::kernel::{Feature, Presence, features, is_exact};

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    exact: bool,
    features: Vec<Feature>,
}

/// Shows what this host can give, and what would give the rest.
pub(super) fn doctor(args: &Doctor) -> Result<ExitCode, Failure> {
    let features = features();
    let report = Report { exact: is_exact(&features), features };
    if args.json {
        print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        print(&text(&report))?;
    }
    Ok(if report.exact { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for feature in &report.features {
        let mark = match feature.presence {
            Presence::Present => "ok      ",
            Presence::Missing => "missing ",
            Presence::Required => "REQUIRED",
        };
        lines.push(format!("{mark}  {:<30}{}", feature.name, feature.found));
        if let Some(remedy) = &feature.remedy {
            lines.push(format!("            gives: {}", feature.gives));
            lines.push(format!("            do:    {remedy}"));
        }
    }
    lines.push(String::new());
    lines.push(if report.exact {
        "Exact attribution is possible on this host.".to_owned()
    } else {
        "Exact attribution is not possible here; `profiler run` samples /proc instead.".to_owned()
    });
    lines.join("\n") + "\n"
}
