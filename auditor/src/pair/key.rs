//! Which calls are judged together.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::inbound::{Outbound, Target};
use super::scope::Kind;
use crate::context::{Carried, Presence};
use crate::report::address::Destination;

/// What a class of calls is suspected of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suspicion {
    /// Valid in, none out.
    Dropped,
    /// Valid in, another trace out.
    Restarted,
    /// None in, none out.
    NotStarted,
}

impl Suspicion {
    /// What a call that carries this may be suspected of.
    pub(super) fn of(sent: &Carried) -> &'static [Self] {
        match sent.presence {
            // B3: ids are not needed where nobody records.
            Presence::Absent if sent.denied => &[],
            Presence::Absent => &[Self::Dropped, Self::NotStarted],
            Presence::Valid => &[Self::Restarted],
            Presence::Unclear => &[],
        }
    }

    pub(super) fn wants(self) -> Kind {
        match self {
            Self::Dropped | Self::Restarted => Kind::Valid,
            Self::NotStarted => Kind::Absent,
        }
    }
}

/// Which calls are judged together, within a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClassKey {
    pub(super) suspicion: Suspicion,
    pub(super) destination: Destination,
    pub(super) method: Cow<'static, str>,
    pub(super) route: Arc<str>,
}

impl ClassKey {
    /// Of a call that is suspected of this.
    pub(super) fn of(suspicion: Suspicion, outbound: &Outbound<'_>) -> Self {
        let Target { method, route } = outbound.target.clone();
        Self { suspicion, destination: outbound.destination.clone(), method, route }
    }

    /// Identity within a service.
    pub(super) fn hash(&self, service: &str) -> u64 {
        let mut hasher = SipHasher13::new();
        service.hash(&mut hasher);
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}
