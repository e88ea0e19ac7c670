//! What people are told of a limit and of a job.

use super::*;

#[test]
fn an_explanation_names_what_binds_and_what_was_learned() {
    let declared = Partial { avg_cpu_cores: Some(0.3), ..Partial::default() };
    let mut core = core(&[declared]);
    ask(&mut core, 0, 0, 200);
    for tick in 1..120 {
        look(&mut core, tick * 250, 4.0, 1.0, 64 << 20);
    }
    let explanation = core.explain(ConnectorId(0)).unwrap();
    insta::assert_snapshot!(explanation.lines.join("\n"), @r"
    CPU: a job keeps 1.00 cores busy; 12.0 of 16.0 cores are not used by others and are filled 1.06 times: room for 12.7 jobs
    12 of 12 slots in use, 188 waiting, 12.0 GiB reserved for its jobs
    declares 0.30 cores, uses 1.00
    last changed 15.5 s ago, from 8 to 12: CPU: a job keeps 1.00 cores busy; 12.0 of 16.0 cores are not used by others and are filled 1.00 times: room for 12.0 jobs
    ");
    assert_eq!(explanation.constraint, Constraint::Cpu);
    assert!(explanation.next_slot_needs.unwrap().contains("cores more"));
    assert_eq!(explanation.declared["cpu_cores"], 0.3);
    let better: Vec<String> = explanation
        .recommendations
        .iter()
        .map(|better| format!("{}: {}", better.advice, better.evidence))
        .collect();
    insta::assert_snapshot!(better.join("\n"), @"avg_cpu_cores = 1.00: the profile declares 0.30; over 284 job-seconds a job kept 1.00 busy");
}

#[test]
fn before_there_is_a_plan_nothing_is_told_of_one() {
    let core = core(&[Partial::default()]);
    let told = core.explain(ConnectorId(0)).unwrap().lines.join("\n");
    assert!(told.starts_with("so many until the first plan is made\n"), "{told}");
}

#[test]
fn what_is_computed_is_told_beside_what_is_in_force() {
    let mut core = core(&[Partial::default()]);
    ask(&mut core, 0, 0, 200);
    for tick in 1..80 {
        look(&mut core, tick * 250, 0.0, 1.0, 64 << 20);
    }
    let by_hand = Some((3, Duration::from_secs(60)));
    let id = ConnectorId(0);
    core.handle(at(20_000), Event::Override { connector: id, limit: by_hand }).unwrap();
    let told = core.explain(id).unwrap();
    assert_eq!((told.limit, told.constraint), (3, Constraint::Override));
    assert_eq!(told.lines[0], "set by hand");
    assert!(told.lines[1].starts_with("without that it would be "), "{}", told.lines[1]);
    core.handle(at(20_000), Event::Override { connector: id, limit: None }).unwrap();
    let shadow = Settings { shadow: true, ..Settings::default() };
    core.handle(at(20_000), Event::Settings(Box::new(shadow))).unwrap();
    let told = core.explain(id).unwrap();
    assert_eq!(told.limit, 2, "what the profile prefers");
    assert!(told.lines[1].starts_with("shadow mode: 1"), "{}", told.lines[1]);
}

#[test]
fn how_a_job_stands_is_told_beside_what_is_expected_of_it() {
    let mut core = core(&[Partial { avg_cpu_cores: Some(0.3), ..Partial::default() }]);
    let wish = Request { memory: Some(Bytes(32 << 20)), ..Request::default() };
    core.handle(at(0), Event::Request(wish)).unwrap();
    let lease = core.ledger().leases().next().unwrap().id;
    let cold = core.explain_job(lease, None).unwrap();
    insta::assert_snapshot!(cold.join("\n"), @r"
    CPU: not looked at yet; too little is known of others, and the profile declares 0.30
    memory: what it holds is not known, 32.0 MiB reserved, give or take 0 B
    its worker said 32.0 MiB
    ");
    for tick in 1..40 {
        look(&mut core, tick * 250, 0.0, 1.0, 64 << 20);
    }
    core.handle(at(10_000), Event::Orphan(lease)).unwrap();
    let told = core.explain_job(lease, Some(1.42)).unwrap();
    insta::assert_snapshot!(told.join("\n"), @r"
    CPU: it keeps 1.42 cores busy, others keep 0.90, and the profile declares 0.30
    memory: it held 64.0 MiB at its peak, 80.0 MiB reserved, give or take 1.60 MiB
    its worker said 32.0 MiB, and holds more
    its worker is gone: it ends with its last task
    ");
    assert!(core.explain_job(LeaseId(99), None).is_err());
}
