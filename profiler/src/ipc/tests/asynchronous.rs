//! The client for `tokio`, against the server.

use profiler_client::asynchronous::Client as Slots;
use profiler_client::protocol::{OnTimeout, WorkerError};
use profiler_client::{CallError, Request};
use tokio::time::timeout;

use super::*;

fn slots(agent: &Agent) -> Slots {
    Slots::at(agent.folder.join("worker"))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, work).await.expect("in time") })
}

#[test]
fn a_lease_is_released_with_what_the_job_used() {
    let agent = Agent::start();
    let client = slots(&agent);
    run(async {
        for _ in 0..10 {
            let mut lease = client.acquire(&Request::new("mail")).await.unwrap();
            assert!(lease.is_managed() && lease.peek().await.unwrap().is_some());
            assert!(lease.release(None).await.unwrap().is_some());
            drop(client.acquire(&Request::new("mail")).await.unwrap());
            assert!(client.report_throttled("mail", None).await.unwrap());
        }
    });
    assert_eq!(agent.seen.opened.load(Ordering::SeqCst), 1);
}

#[test]
fn who_gives_up_waiting_is_out_of_the_queue() {
    let agent = Agent::start();
    let client = slots(&agent);
    run(async {
        let request = Request::new("queue");
        let mut places = Vec::new();
        let waiting = client.acquire_telling(&request, |waiting| places.push(waiting.position));
        assert!(timeout(Duration::from_millis(50), waiting).await.is_err());
        assert_eq!(places, [1]);
    });
    wait_until("gone", || agent.seen.waiting.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_reply_that_nobody_waited_for_is_not_taken_for_the_next() {
    let agent = Agent::start();
    let client = slots(&agent);
    run(async {
        let mut lease = client.acquire(&Request::new("mail")).await.unwrap();
        let id = lease.id().unwrap();
        {
            // Dropped after the call was sent, before the reply was read.
            let mut peek = std::pin::pin!(lease.peek());
            std::future::poll_fn(|context| {
                assert!(peek.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        }
        assert!(lease.release(None).await.unwrap().is_some());
        let resumed = agent.seen.resumed.load(Ordering::SeqCst);
        assert_eq!(resumed, usize::try_from(id.0).unwrap());
    });
}

#[test]
fn a_lease_and_a_watcher_go_on_with_the_next_agent() {
    let mut agent = Agent::start();
    let client = slots(&agent);
    run(async {
        let mut lease = client.acquire(&Request::new("mail")).await.unwrap();
        let mut watcher = client.watch(None);
        watcher.next().await.unwrap();
        agent.replace();
        assert!(lease.peek().await.unwrap().is_some());
        assert!(watcher.next().await.is_ok());
        assert!(lease.release(None).await.unwrap().is_some());
    });
}

#[test]
fn without_an_agent_so_many_jobs_run_at_once() {
    let client = Slots::at("/nowhere/worker.sock");
    run(async {
        let request = Request::new("mail").unmanaged_limit(1);
        let first = client.acquire(&request).await.unwrap();
        let hasty = request.clone().max_wait(Duration::from_millis(10));
        let refused = client.acquire(&hasty.clone().on_timeout(OnTimeout::Refuse)).await;
        assert!(matches!(refused, Err(CallError::Worker(WorkerError::NotGranted { .. }))));
        assert!(!client.acquire(&hasty).await.unwrap().is_managed());
        let next = client.acquire(&request);
        let end = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(first);
        };
        let (next, ()) = tokio::join!(next, end);
        assert!(!next.unwrap().is_managed());
        assert!(client.watch(None).next().await.is_err());
    });
}
