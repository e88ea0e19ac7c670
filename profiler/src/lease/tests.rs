mod machine;
mod reference;
mod rules;
mod speed;

use std::time::Duration;

use super::*;
use crate::model::{Bytes, ConnectorId, Constraint, Moment, Priority, ProviderId, Ticket};

const MIB: u64 = 1 << 20;

fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

/// A ledger with connectors of these limits, whose jobs need no memory unless they say so.
fn ledger(limits: &[u32]) -> Ledger {
    let mut ledger = Ledger::new(Settings::default(), crate::model::LeaseId(1));
    for limit in limits {
        let id = ledger.add_connector();
        ledger.set_limit(id, *limit, Constraint::Cap).unwrap();
    }
    ledger
}

fn of(connector: u32) -> Request {
    Request { connector: ConnectorId(connector), ..Request::default() }
}

fn needing(connector: u32, mib: u64) -> Request {
    Request { memory: Some(Bytes(mib * MIB)), ..of(connector) }
}

fn granted(ledger: &mut Ledger) -> Vec<Grant> {
    let granted = ledger.effects().filter_map(|effect| match effect {
        Effect::Granted(grant) => Some(grant),
        _ => None,
    });
    granted.collect()
}

fn tickets(grants: &[Grant]) -> Vec<Ticket> {
    grants.iter().map(|grant| grant.ticket).collect()
}
