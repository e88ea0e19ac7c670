//! The core of control as the agent has it: every event goes through here, so that nothing is told
//! to it that is not recorded.

use super::recording::Recording;
use crate::control::{Core, Effect, Entry, Event, Outcome, Settings, Told};
use crate::lease::{Ledger, LedgerError};
use crate::model::{LeaseId, Moment};

/// The core, and a recording of what it is told and gives.
#[derive(Debug)]
pub(super) struct Controller {
    core: Core,
    recording: Option<Recording>,
}

impl Controller {
    pub(super) fn new(
        settings: Settings,
        next_lease: LeaseId,
        recording: Option<Recording>,
    ) -> Self {
        Self { core: Core::new(settings, next_lease), recording }
    }

    /// Tells what happened. What follows is among the effects.
    pub(super) fn tell(&mut self, now: Moment, event: Event) -> Result<Outcome, LedgerError> {
        let Some(recording) = &mut self.recording else { return self.core.handle(now, event) };
        recording.prepare(&self.core);
        let gave = self.core.handle(now, event.clone());
        let told = gave.map_err(|error| error.to_string());
        recording.push(Entry::Told(Told { at: now, event, gave: told }));
        gave
    }

    /// Tells something about what is known to be there.
    pub(super) fn tell_known(&mut self, now: Moment, event: Event) {
        if let Err(error) = self.tell(now, event) {
            tracing::error!(%error, "the controller does not know what the agent knows");
        }
    }

    /// Puts what followed since this was asked last at the end of a list.
    pub(super) fn effects_into(&mut self, list: &mut Vec<Effect>) {
        let before = list.len();
        self.core.effects_into(list);
        if let Some(recording) = &mut self.recording {
            for effect in list.iter().skip(before) {
                recording.push(Entry::Effect(effect.clone()));
            }
        }
    }

    /// Hands over what was recorded to whoever writes it.
    pub(super) fn hand_over(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.hand_over();
        }
    }

    /// Ends the recording, if there is one, with all of it written.
    pub(super) fn end_recording(&mut self) {
        if let Some(mut recording) = self.recording.take() {
            recording.end(&self.core);
        }
    }

    /// What is missing in the recording.
    pub(super) fn unrecorded(&self) -> u64 {
        self.recording.as_ref().map_or(0, Recording::missing)
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.core.ledger()
    }
}
