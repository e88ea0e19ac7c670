//! The rules, one by one.

use super::*;
use crate::model::{How, LeaseId, OnTimeout, Owner};

#[test]
fn a_slot_freed_goes_to_who_waited_longest() {
    let mut ledger = ledger(&[1]);
    let asked: Vec<_> = (0..3).map(|ms| ledger.request(at(ms), of(0)).unwrap()).collect();
    let first = granted(&mut ledger);
    assert_eq!(tickets(&first), asked[..1]);
    assert_eq!(ledger.position(asked[2]), Ok(2));
    ledger.release(at(10), first[0].lease).unwrap();
    let second = granted(&mut ledger);
    assert_eq!(tickets(&second), asked[1..2]);
    assert_eq!(second[0].waited, Duration::from_millis(9));
    assert_eq!(ledger.position(asked[2]), Ok(1));
    assert_eq!(ledger.release(at(11), first[0].lease), Err(LedgerError::NoSuchLease(LeaseId(1))));
}

#[test]
fn a_higher_limit_takes_effect_at_once_and_a_lower_one_preempts_nobody() {
    let mut ledger = ledger(&[1]);
    for _ in 0..5 {
        ledger.request(at(0), of(0)).unwrap();
    }
    ledger.set_limit(ConnectorId(0), 4, Constraint::Cpu).unwrap();
    ledger.advance(at(1));
    let grants = granted(&mut ledger);
    assert_eq!(grants.len(), 4);
    ledger.set_limit(ConnectorId(0), 0, Constraint::Cpu).unwrap();
    ledger.advance(at(2));
    let state = ledger.state(ConnectorId(0)).unwrap();
    assert_eq!((state.limit, state.in_use, state.waiting), (1, 4, 1));
    for grant in &grants[..3] {
        ledger.release(at(3), grant.lease).unwrap();
        assert!(granted(&mut ledger).is_empty());
    }
    ledger.release(at(4), grants[3].lease).unwrap();
    assert_eq!(granted(&mut ledger).len(), 1);
}

#[test]
fn memory_is_given_within_the_budget_and_its_margin() {
    let mut ledger = ledger(&[100]);
    ledger.set_budget(Bytes(1000 * MIB));
    ledger.set_need(ConnectorId(0), Bytes(100 * MIB), Bytes(10 * MIB)).unwrap();
    for _ in 0..20 {
        ledger.request(at(0), of(0)).unwrap();
    }
    // 9 jobs: 900 + 3 * sqrt(9) * 10 = 990.
    assert_eq!(granted(&mut ledger).len(), 9);
    assert_eq!(ledger.margin(), Bytes(90 * MIB));
    assert_eq!(ledger.escapes(), Escapes::default());
}

#[test]
fn a_job_larger_than_the_budget_runs_alone_and_is_counted() {
    let mut ledger = ledger(&[2, 2]);
    ledger.set_budget(Bytes(100 * MIB));
    let small = ledger.request(at(0), needing(0, 10)).unwrap();
    let lease = granted(&mut ledger)[0];
    assert_eq!(lease.ticket, small);
    let large = ledger.request(at(1), needing(1, 500)).unwrap();
    assert!(ledger.constraints(large).unwrap().has(Constraint::Memory));
    ledger.release(at(2), lease.lease).unwrap();
    let grant = granted(&mut ledger)[0];
    assert_eq!((grant.ticket, grant.how), (large, How::GrantedUnderPressure));
    assert!(grant.exceeds.has(Constraint::Floor) && grant.exceeds.has(Constraint::Memory));
    assert_eq!(ledger.escapes().memory_by_floor, 1);
}

#[test]
fn small_jobs_pass_a_large_one_only_until_its_patience_ends() {
    let mut ledger = ledger(&[10, 1]);
    ledger.set_budget(Bytes(100 * MIB));
    for _ in 0..3 {
        ledger.request(at(0), needing(0, 25)).unwrap();
    }
    let mut running = granted(&mut ledger);
    let large = ledger.request(at(1), needing(1, 60)).unwrap();
    ledger.request(at(2), needing(0, 25)).unwrap();
    running.extend(granted(&mut ledger));
    assert_eq!(running.len(), 4, "a small one fits beside the waiting large one");
    ledger.request(at(3), needing(0, 25)).unwrap();
    ledger.advance(at(25_000));
    for grant in &running[..2] {
        ledger.release(at(25_001), grant.lease).unwrap();
    }
    assert!(granted(&mut ledger).is_empty(), "what comes free is kept for the large one");
    ledger.release(at(25_002), running[2].lease).unwrap();
    assert_eq!(granted(&mut ledger)[0].ticket, large);
}

#[test]
fn what_is_scarce_is_shared_by_weight() {
    let mut ledger = ledger(&[100, 100]);
    ledger.set_budget(Bytes(40 * 25 * MIB));
    ledger.set_weight(ConnectorId(1), 3.0).unwrap();
    ledger.drain(at(0), None, true).unwrap();
    for _ in 0..100 {
        ledger.request(at(0), needing(0, 25)).unwrap();
        ledger.request(at(0), needing(1, 25)).unwrap();
    }
    ledger.drain(at(1), None, false).unwrap();
    let held = [0, 1].map(|id| ledger.state(ConnectorId(id)).unwrap().in_use);
    assert_eq!(held, [10, 30]);
}

#[test]
fn the_end_of_a_wait_is_answered_as_the_worker_wants() {
    let mut ledger = ledger(&[1]);
    ledger.request(at(0), of(0)).unwrap();
    granted(&mut ledger);
    let wait = |on_timeout| Request {
        max_wait: Some(Duration::from_millis(5)),
        on_timeout,
        ..needing(0, 1)
    };
    let refuse = ledger.request(at(0), wait(OnTimeout::Refuse)).unwrap();
    let proceed = ledger.request(at(0), wait(OnTimeout::ProceedIfCompressible)).unwrap();
    assert_eq!(ledger.next_deadline(), Some(at(5)));
    ledger.advance(at(4));
    assert_eq!(ledger.effects().count(), 0);
    ledger.advance(at(5));
    let effects: Vec<_> = ledger.effects().collect();
    let Effect::NotGranted { ticket, constraints, waited, .. } = &effects[0] else {
        panic!("{effects:?}")
    };
    assert_eq!((*ticket, *waited), (refuse, Duration::from_millis(5)));
    assert!(constraints.has(Constraint::Cap));
    let Effect::Granted(grant) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!((grant.ticket, grant.how), (proceed, How::GrantedUnderPressure));
    assert!(grant.exceeds.has(Constraint::Cap));
    assert_eq!(ledger.escapes().slot_by_timeout, 1);
    assert_eq!(ledger.next_deadline(), None);
}

#[test]
fn memory_is_passed_only_by_who_insists_and_counted() {
    let mut ledger = ledger(&[9]);
    ledger.set_budget(Bytes(10 * MIB));
    ledger.request(at(0), needing(0, 8)).unwrap();
    let at_once =
        |on_timeout| Request { max_wait: Some(Duration::ZERO), on_timeout, ..needing(0, 8) };
    ledger.request(at(1), at_once(OnTimeout::ProceedIfCompressible)).unwrap();
    assert_eq!(granted(&mut ledger).len(), 1);
    assert_eq!(ledger.escapes(), Escapes::default());
    ledger.request(at(1), at_once(OnTimeout::Proceed)).unwrap();
    assert_eq!(granted(&mut ledger).len(), 1);
    assert_eq!(ledger.escapes().memory_by_timeout, 1);
}

#[test]
fn an_orphan_stays_charged_until_its_last_task_ends() {
    let mut ledger = ledger(&[1]);
    ledger.request(at(0), of(0)).unwrap();
    let lease = granted(&mut ledger)[0].lease;
    let next = ledger.request(at(0), of(0)).unwrap();
    ledger.orphan(at(1), lease).unwrap();
    assert!(granted(&mut ledger).is_empty());
    ledger.adopt(lease, Owner(7)).unwrap();
    ledger.tasks_ended(at(2), lease).unwrap();
    assert!(granted(&mut ledger).is_empty(), "a connected worker may bring another task");
    ledger.orphan(at(3), lease).unwrap();
    assert_eq!(granted(&mut ledger)[0].ticket, next);
}

#[test]
fn a_drained_connector_takes_nobody_until_it_is_resumed() {
    let mut ledger = ledger(&[5, 5]);
    ledger.drain(at(0), Some(ConnectorId(0)), true).unwrap();
    let here = ledger.request(at(0), of(0)).unwrap();
    let there = ledger.request(at(0), of(1)).unwrap();
    assert_eq!(tickets(&granted(&mut ledger)), [there]);
    assert!(ledger.constraints(here).unwrap().has(Constraint::Drained));
    ledger.drain(at(1), None, false).unwrap();
    assert_eq!(tickets(&granted(&mut ledger)), [here]);
}

#[test]
fn a_limit_set_by_hand_ends_by_itself() {
    let mut ledger = ledger(&[1]);
    let id = ConnectorId(0);
    ledger.set_override(at(0), id, Some((3, Duration::from_secs(1)))).unwrap();
    assert_eq!(ledger.state(id).unwrap().constraint, Constraint::Override);
    assert_eq!(ledger.next_deadline(), Some(at(1000)));
    ledger.advance(at(1000));
    assert!(ledger.effects().any(|effect| effect == Effect::OverrideEnded(id)));
    assert_eq!(ledger.state(id).unwrap().limit, 1);
}

#[test]
fn a_providers_cap_holds_over_leases_and_permits_together() {
    let mut ledger = ledger(&[9]);
    let settings = ProviderSettings { cap: 2, ..ProviderSettings::default() };
    let provider = ledger.add_provider(at(0), settings);
    let calling = Request { providers: vec![provider, provider], ..of(0) };
    ledger.request(at(0), calling.clone()).unwrap();
    let lease = granted(&mut ledger)[0].lease;
    ledger.request_permit(at(0), provider, Some(lease), None).unwrap();
    let waits = ledger.request(at(0), calling).unwrap();
    ledger.request_permit(at(0), provider, None, Some(Duration::ZERO)).unwrap();
    assert!(ledger.effects().any(|effect| matches!(effect, Effect::NotPermitted { .. })));
    assert_eq!(ledger.provider(provider).unwrap().in_use, 2);
    ledger.release(at(1), lease).unwrap();
    assert_eq!(tickets(&granted(&mut ledger)), [waits]);
    assert_eq!(ledger.provider(provider).unwrap().in_use, 1, "a lease's permits end with it");
    assert_eq!(ledger.audit(), Ok(()));
}

#[test]
fn a_provider_that_wants_to_be_left_alone_is() {
    let mut ledger = ledger(&[9]);
    let provider = ledger.add_provider(at(0), ProviderSettings::default());
    ledger.throttled(at(0), provider, Some(Duration::from_secs(2))).unwrap();
    let calling = Request { providers: vec![provider], ..of(0) };
    let ticket = ledger.request(at(1), calling).unwrap();
    assert!(ledger.constraints(ticket).unwrap().has(Constraint::Provider));
    assert_eq!(ledger.next_deadline(), Some(at(2000)));
    ledger.advance(at(1999));
    assert!(granted(&mut ledger).is_empty());
    ledger.advance(at(2000));
    assert_eq!(tickets(&granted(&mut ledger)), [ticket]);
}

#[test]
fn leases_survive_a_restart_and_their_numbers_are_not_used_again() {
    let mut ledger = ledger(&[2]);
    let provider = ledger.add_provider(at(0), ProviderSettings::default());
    for _ in 0..2 {
        ledger.request(at(0), Request { providers: vec![provider], ..needing(0, 5) }).unwrap();
    }
    let text = serde_json::to_string(&ledger.leases().collect::<Vec<_>>()).unwrap();
    let mut again = self::ledger(&[2]);
    again.add_provider(at(0), ProviderSettings::default());
    for lease in serde_json::from_str::<Vec<Lease>>(&text).unwrap() {
        again.restore(lease.clone()).unwrap();
        assert_eq!(again.restore(lease.clone()), Err(LedgerError::LeaseIsThere(lease.id)));
    }
    assert_eq!(again.audit(), Ok(()));
    assert_eq!(again.reserved(), Bytes(10 * MIB));
    again.request(at(9), of(0)).unwrap();
    assert!(granted(&mut again).is_empty(), "both slots are held still");
    again.release(at(10), LeaseId(1)).unwrap();
    assert_eq!(granted(&mut again)[0].lease, LeaseId(3));
}

#[test]
fn preflight_says_what_would_happen() {
    let mut ledger = ledger(&[1]);
    let free = ledger.preflight(&of(0)).unwrap();
    assert!(free.admitted && free.constraints.is_empty());
    ledger.request(at(0), of(0)).unwrap();
    ledger.request(at(0), of(0)).unwrap();
    let full = ledger.preflight(&of(0)).unwrap();
    assert_eq!((full.admitted, full.position), (false, 2));
    assert!(full.constraints.has(Constraint::Cap) && full.constraints.has(Constraint::Queue));
    let urgent = Request { priority: Priority::Interactive, ..of(0) };
    assert_eq!(ledger.preflight(&urgent).unwrap().position, 1);
}

#[test]
fn what_is_unknown_is_an_error_and_changes_nothing() {
    let mut ledger = ledger(&[1]);
    let (connector, provider) = (ConnectorId(9), ProviderId(9));
    assert_eq!(ledger.request(at(0), of(9)), Err(LedgerError::NoSuchConnector(connector)));
    let calling = Request { providers: vec![provider], ..of(0) };
    assert_eq!(ledger.request(at(0), calling), Err(LedgerError::NoSuchProvider(provider)));
    assert_eq!(ledger.cancel(at(0), Ticket(5)), Err(LedgerError::NoSuchTicket(Ticket(5))));
    assert!(ledger.release_permit(at(0), crate::model::PermitId(1)).is_err());
    assert_eq!(ledger.waiting(), 0);
}

#[test]
fn a_clock_that_goes_back_stands_still_and_is_counted() {
    let mut ledger = ledger(&[1]);
    ledger.request(at(100), of(0)).unwrap();
    ledger.request(at(50), Request { max_wait: Some(Duration::from_millis(10)), ..of(0) }).unwrap();
    assert_eq!(ledger.next_deadline(), Some(at(110)));
    assert_eq!(ledger.clock_went_back(), 1);
}
