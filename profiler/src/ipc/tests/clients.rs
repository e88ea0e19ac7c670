//! The client that blocks, against the server.

use std::sync::mpsc;

use profiler_client::protocol::{OnTimeout, WorkerError};
use profiler_client::{CallError, Client as Slots, Request};

use super::*;

fn slots(agent: &Agent) -> Slots {
    Slots::at(agent.folder.join("worker"))
}

#[test]
fn a_lease_is_released_with_what_the_job_used() {
    let agent = Agent::start();
    let client = slots(&agent);
    let mut lease = client.acquire(&Request::new("mail").this_thread()).unwrap();
    assert!(lease.is_managed());
    assert!(lease.peek().unwrap().is_some());
    assert!(lease.release(None).unwrap().is_some());
}

#[test]
fn leases_one_after_the_other_need_one_connection_and_at_once_one_each() {
    let agent = Agent::start();
    let client = slots(&agent);
    for _ in 0..10 {
        client.acquire(&Request::new("mail")).unwrap().release(None).unwrap();
        drop(client.acquire(&Request::new("mail")).unwrap());
        assert!(client.report_throttled("mail", None).unwrap());
    }
    assert_eq!(agent.seen.opened.load(Ordering::SeqCst), 1);
    let leases = [(); 3].map(|()| client.acquire(&Request::new("mail")).unwrap());
    assert_eq!(agent.seen.opened.load(Ordering::SeqCst), 3);
    drop(leases);
    assert_eq!(agent.seen.closed.load(Ordering::SeqCst), 0);
}

#[test]
fn who_waits_is_told_the_place_and_holds_up_nobody() {
    let agent = Agent::start();
    let client = slots(&agent);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let request = Request::new("queue");
            client.acquire_telling(&request, |waiting| tell.send(waiting.position).unwrap())
        });
        assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
        client.acquire(&Request::new("mail")).unwrap().release(None).unwrap();
        assert!(waiting.join().unwrap().unwrap().is_managed());
    });
}

#[test]
fn what_the_agent_refuses_is_an_error_and_its_absence_is_none() {
    let agent = Agent::start();
    let client = slots(&agent);
    let refused = client.acquire(&Request::new("refused"));
    assert!(matches!(refused, Err(CallError::Worker(WorkerError::Draining {}))), "{refused:?}");
    drop(agent);
    let lease = client.acquire(&Request::new("mail")).unwrap();
    assert!(!lease.is_managed());
    assert_eq!(client.wait_if_throttled(None, PATIENCE).unwrap().level, None);
    assert!(!client.acquire_provider("mail", None, None).unwrap().is_managed());
    assert!(lease.release(None).unwrap().is_none());
}

#[test]
fn without_an_agent_so_many_jobs_run_at_once() {
    let client = Slots::at("/nowhere/worker.sock");
    let request = Request::new("mail").unmanaged_limit(2).max_wait(Duration::from_millis(10));
    let _leases = [(); 2].map(|()| client.acquire(&request).unwrap());
    let refused = client.acquire(&request.clone().on_timeout(OnTimeout::Refuse));
    assert!(matches!(refused, Err(CallError::Worker(WorkerError::NotGranted { .. }))));
    // By default a job goes on where memory is not what is short.
    assert!(!client.acquire(&request).unwrap().is_managed());
    assert!(!client.acquire(&Request::new("other")).unwrap().is_managed());
}

#[test]
fn a_lease_lives_on_when_the_agent_is_replaced() {
    let mut agent = Agent::start();
    let client = slots(&agent);
    let mut lease = client.acquire(&Request::new("mail")).unwrap();
    let id = lease.id().unwrap();
    agent.replace();
    assert!(lease.peek().unwrap().is_some());
    assert_eq!(lease.id(), Some(id));
    assert_eq!(agent.seen.resumed.load(Ordering::SeqCst), usize::try_from(id.0).unwrap());
    agent.replace();
    assert!(lease.release(None).unwrap().is_some());
}

#[test]
fn a_watcher_goes_on_with_the_next_agent() {
    let mut agent = Agent::start();
    let mut watcher = slots(&agent).watch(None);
    assert!(watcher.next().unwrap().is_ok());
    agent.replace();
    let later = watcher.by_ref().take(50_000).map(Result::unwrap);
    assert!(later.map(|state| state.connectors[0].limit).any(|limit| limit == 1));
    agent.stop();
    // What was sent may still come, then the end, once.
    let rest: Vec<_> = watcher.skip_while(Result::is_ok).collect();
    assert_eq!(rest.len(), 1);
}
