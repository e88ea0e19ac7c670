//! Random operations on the ledger and on the naive reference, compared at every step.

use proptest::prelude::*;

use super::reference::Reference;
use super::*;
use crate::model::{OnTimeout, SourceId};

#[derive(Clone, Debug)]
enum Operation {
    Ask(Request),
    AskPermit { provider: u32, lease: Option<usize>, max_wait: Option<Duration> },
    Cancel(usize),
    Release(usize),
    ReleasePermit(usize),
    Orphan(usize),
    TasksEnded(usize),
    SetLimit(usize, u32),
    SetBudget(u64),
    SetMemory(usize, u64),
    Drain(Option<usize>, bool),
    Pass(u64),
}

const CONNECTORS: usize = 4;
const CAPS: [u32; 2] = [1, 3];

fn request() -> impl Strategy<Value = Request> {
    let wait = prop_oneof![
        Just(None),
        Just(Some(Duration::ZERO)),
        (1..60_000u64).prop_map(|ms| Some(Duration::from_millis(ms))),
    ];
    let providers = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![ProviderId(0)]),
        1 => Just(vec![ProviderId(1), ProviderId(0)]),
    ];
    let on_timeout = prop_oneof![
        Just(OnTimeout::Refuse),
        Just(OnTimeout::Proceed),
        Just(OnTimeout::ProceedIfCompressible)
    ];
    let memory = proptest::option::of(0..600u64);
    (0..CONNECTORS, 0..3usize, memory, providers, wait, on_timeout).prop_map(
        |(connector, class, memory, providers, max_wait, on_timeout)| Request {
            source: Some(SourceId(1)),
            priority: Priority::ALL[class],
            memory: memory.map(Bytes),
            providers,
            max_wait,
            on_timeout,
            ..of(u32::try_from(connector).unwrap())
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let n = 0..1000usize;
    prop_oneof![
        8 => request().prop_map(Ask),
        1 => (0..2u32, proptest::option::of(0..1000usize), proptest::option::of(0..5000u64))
            .prop_map(|(provider, lease, ms)| AskPermit {
                provider,
                lease,
                max_wait: ms.map(Duration::from_millis),
            }),
        1 => n.clone().prop_map(Cancel),
        5 => n.clone().prop_map(Release),
        1 => n.clone().prop_map(ReleasePermit),
        1 => n.clone().prop_map(Orphan),
        1 => n.clone().prop_map(TasksEnded),
        1 => (0..CONNECTORS, 0..5u32).prop_map(|(connector, limit)| SetLimit(connector, limit)),
        1 => (0..3000u64).prop_map(SetBudget),
        1 => (n, 0..600u64).prop_map(|(lease, memory)| SetMemory(lease, memory)),
        1 => (proptest::option::of(0..CONNECTORS), any::<bool>())
            .prop_map(|(connector, drained)| Drain(connector, drained)),
        4 => prop_oneof![0..100u64, 0..40_000u64].prop_map(Pass),
    ]
}

struct Pair {
    ledger: Ledger,
    reference: Reference,
}

impl Pair {
    fn new() -> Self {
        let mut ledger = ledger(&[2; CONNECTORS]);
        ledger.set_budget(Bytes(1000));
        for cap in CAPS {
            let settings = ProviderSettings { cap, ..ProviderSettings::default() };
            ledger.add_provider(at(0), settings);
        }
        let reference = Reference {
            limits: vec![2; CONNECTORS],
            drained: vec![false; CONNECTORS],
            budget: 1000,
            caps: CAPS.to_vec(),
            ..Reference::default()
        };
        Self { ledger, reference }
    }

    fn apply(&mut self, operation: &Operation) {
        let (ledger, reference) = (&mut self.ledger, &mut self.reference);
        let now = at(reference.now);
        let mut set = false;
        match operation {
            Operation::Ask(request) => {
                let ticket = ledger.request(now, request.clone()).unwrap();
                reference.asks(ticket, request.clone());
            }
            Operation::AskPermit { provider, lease, max_wait } => {
                let lease = lease.and_then(|n| reference.nth_lease(n));
                let id = ProviderId(*provider);
                let ticket = ledger.request_permit(now, id, lease, *max_wait).unwrap();
                reference.asks_permit(ticket, id.index(), lease);
            }
            Operation::Cancel(n) => {
                let ticket = reference.nth_ticket(*n).unwrap_or(Ticket(u64::MAX));
                assert_eq!(ledger.cancel(now, ticket).is_ok(), reference.cancels(ticket));
            }
            Operation::Release(n) => {
                let lease = reference.nth_lease(*n).unwrap_or_default();
                assert_eq!(ledger.release(now, lease).is_ok(), reference.releases(lease));
            }
            Operation::ReleasePermit(n) => {
                let permit = reference.nth_permit(*n).unwrap_or(crate::model::PermitId(u64::MAX));
                let released = ledger.release_permit(now, permit).is_ok();
                assert_eq!(released, reference.releases_permit(permit));
            }
            Operation::Orphan(n) => {
                let lease = reference.nth_lease(*n).unwrap_or_default();
                assert_eq!(ledger.orphan(now, lease).is_ok(), reference.orphans(lease));
            }
            Operation::TasksEnded(n) => {
                let lease = reference.nth_lease(*n).unwrap_or_default();
                assert_eq!(ledger.tasks_ended(now, lease).is_ok(), reference.tasks_end(lease));
            }
            Operation::SetLimit(connector, limit) => {
                let id = ConnectorId(u32::try_from(*connector).unwrap());
                ledger.set_limit(id, *limit, Constraint::Cpu).unwrap();
                reference.limits[*connector] = *limit;
                set = true;
            }
            Operation::SetBudget(budget) => {
                ledger.set_budget(Bytes(*budget));
                reference.budget = *budget;
                set = true;
            }
            Operation::SetMemory(n, memory) => {
                let lease = reference.nth_lease(*n).unwrap_or_default();
                let there = ledger.set_memory(lease, Bytes(*memory), Bytes(0)).is_ok();
                assert_eq!(there, reference.set_memory(lease, *memory));
                set = true;
            }
            Operation::Drain(connector, drained) => {
                let id = connector.map(|connector| ConnectorId(u32::try_from(connector).unwrap()));
                ledger.drain(now, id, *drained).unwrap();
                match connector {
                    Some(connector) => reference.drained[*connector] = *drained,
                    None => {
                        reference.all_drained = *drained;
                        for one in reference.drained.iter_mut().filter(|_| !*drained) {
                            *one = false;
                        }
                    }
                }
            }
            Operation::Pass(ms) => {
                reference.now += ms;
                set = true;
            }
        }
        if set {
            ledger.advance(at(reference.now));
        }
        let effects: Vec<_> = ledger.effects().collect();
        for effect in &effects {
            reference.sees(effect);
        }
        // While a place is kept for who was passed for long, others wait for it.
        let kept = ledger.kept().is_some();
        reference.agrees(ledger, kept);
    }

    /// Jobs end one by one: everybody who can be served is, in bounded time.
    fn finish(&mut self) {
        self.apply(&Operation::Drain(None, false));
        let mut rounds = 0;
        while self.ledger.waiting() > 0 {
            self.apply(&Operation::Release(rounds));
            self.apply(&Operation::ReleasePermit(rounds));
            self.apply(&Operation::Pass(1000));
            rounds += 1;
            assert!(rounds < 2000, "somebody waits for ever");
        }
    }
}

/// Runs of a hundred operations on average: as many as `PROFILER_SOAK_OPERATIONS` comes to.
fn runs() -> u32 {
    let operations = std::env::var("PROFILER_SOAK_OPERATIONS").ok();
    let operations = operations.map_or(40_000, |number| number.parse().unwrap());
    operations / 100
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(runs()))]

    #[test]
    fn it_does_what_a_naive_ledger_says_and_everybody_is_served(
        operations in proptest::collection::vec(operation(), 1..200),
    ) {
        let mut pair = Pair::new();
        for operation in &operations {
            pair.apply(operation);
        }
        pair.finish();
    }
}
