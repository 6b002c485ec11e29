//! Which request a finding names. When a call is made, that is often a guess among several that are alike; what is known
//! when they are over (`pair/hindsight`) is better. Whom a finding accuses, and of what, does not change with it.

use std::sync::Arc;

use super::back::{Back, Hop};
use super::findings::accusation;
use super::lines;
use crate::audit::judge;
use crate::exchange::ExchangeId;
use crate::pair::{Claim, Inbound, Method, Pairing};
use crate::record::Process;
use crate::report::Correlation;

/// Calls that are looked at again; of the oldest nothing is heard any more where records were lost.
const AWAITED: usize = 8192;

/// What is known of the request of a call when they are over.
#[derive(Debug)]
pub(super) enum Again {
    /// It is the one that was named.
    Same,
    /// It is this one, and who sent it. All that is said of the call is as true of it.
    Other(Arc<Inbound>, Option<Arc<Process>>),
    /// It is of another kind, or there is none.
    Doubted,
}

/// How well the request of a call is known, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// It is probably not the one that is named.
    Doubted,
    /// As it was thought when the call was made: it is one of several, or that of the thread, if requests keep to it.
    Thought,
    /// It is one of several, of which more will be known.
    Awaited,
    /// It is this one, or none is named.
    Known,
}

impl Hop {
    /// The request to name. Only what the pairing stands for is: a broken value needs no request to be broken.
    pub(super) fn told_parent(&self, correlation: Option<&Correlation>) -> Option<&Inbound> {
        let parent = match self.again.get() {
            Some(Again::Other(parent, _)) => Some(&**parent),
            _ => self.pairing.parent.as_deref(),
        };
        parent.filter(|_| correlation.is_some())
    }

    /// How well that is known.
    pub(super) fn named(&self, correlation: Option<&Correlation>) -> Named {
        if correlation.is_none() {
            return Named::Known;
        }
        match (self.again.get(), self.pairing.method) {
            (Some(Again::Doubted), _) => Named::Doubted,
            (Some(Again::Same | Again::Other(..)), _) => Named::Known,
            (None, Method::AnyParent | Method::DelayModel | Method::None) if self.pairing.again => Named::Awaited,
            (None, Method::AnyParent | Method::DelayModel | Method::None) => Named::Thought,
            (None, Method::Thread | Method::Coroutine) => Named::Thought,
            (None, _) => Named::Known,
        }
    }
}

impl Back {
    /// A call was made of which more may be known when it is over. Only of a suspect one it matters which request made it.
    pub(super) fn await_claim(&mut self, call: ExchangeId, hop: &Arc<Hop>) {
        if !hop.pairing.again || hop.verdict.suspicion.is_none() {
            return;
        }
        self.awaited.insert(call, Arc::downgrade(hop));
        if self.awaited.len() > AWAITED {
            self.awaited.pop_first();
        }
    }

    /// Which request made a call is known by now, or that none did.
    pub(super) fn decided(&mut self, claim: Claim) {
        if let Some(hop) = self.awaited.remove(&claim.call).and_then(|hop| hop.upgrade()) {
            let again = self.again(&hop, claim.parent.as_ref());
            hop.again.get_or_init(|| again);
        }
        if let Some(claims) = &mut self.claims {
            claims.push(claim);
        }
    }

    fn again(&self, hop: &Hop, parent: Option<&Arc<Inbound>>) -> Again {
        match (&hop.pairing.parent, parent) {
            (Some(named), Some(parent)) if named.id == parent.id => Again::Same,
            (Some(named), Some(parent)) if self.are_alike(hop, named, parent) => {
                Again::Other(parent.clone(), self.peer(parent.id))
            }
            _ => Again::Doubted,
        }
    }

    /// Whether the same is to be said of a call if it is this other request that made it.
    fn are_alike(&self, hop: &Hop, named: &Inbound, other: &Arc<Inbound>) -> bool {
        let selection = &self.config.selection;
        let Some(suspicion) = hop.verdict.suspicion else { return false };
        let verdict = judge(&Pairing { parent: Some(other.clone()), ..hop.pairing.clone() }, &hop.sent, selection);
        let found = accusation(Some(named), suspicion, selection);
        let plain =
            |inbound: &Inbound| (inbound.ignored, lines::local_port(&inbound.endpoints), inbound.carried.presence);
        named.target == other.target
            && named.silence == other.silence
            && plain(named) == plain(other)
            && verdict.suspicion == Some(suspicion)
            && verdict.formats == hop.verdict.formats
            && accusation(Some(other), suspicion, selection) == found
            && self.severity(hop, Some(other), &found) == self.severity(hop, Some(named), &found)
    }
}
