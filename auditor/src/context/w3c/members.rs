//! What a service may do to a `tracestate` on its way.
//!
//! It may add members, change and delete its own, and shorten a list above the limits. Whose a member is nobody but
//! its vendor knows, so a fault is only what cannot have been the rewriting of a member of one's own.

use super::rules;
use super::tracestate::{FLOOR, MAX_MEMBERS, Member, TraceState};
use crate::context::format::Fault;
use crate::rule::Rule;

/// The key of OpenTelemetry: whoever uses an SDK of it may set and delete it.
const OPEN_TELEMETRY: &str = "ot";
/// Members above this are the first to go from a list that is too long.
const LARGE: usize = 128;

/// The same trace went on. `unchanged`: with the very same `traceparent`.
pub(super) fn faults(received: &TraceState<'_>, sent: &TraceState<'_>, unchanged: bool) -> Vec<Fault> {
    if received.members.is_empty() || !received.is_known() || !sent.is_known() {
        return Vec::new();
    }
    let change = Change::new(received, sent);
    if let Some(cut) = change.cut_member(unchanged) {
        return vec![fault(&rules::STATE_TRUNCATED_MID_MEMBER, cut)];
    }
    // What cannot be read may be thrown away, and what is too long may be shortened.
    if !received.is_legible() {
        return Vec::new();
    }
    if sent.is_empty() {
        let foreign = received.members.iter().find(|member| unchanged || member.key != OPEN_TELEMETRY);
        let gone = foreign.filter(|_| received.length <= FLOOR);
        return gone.map(|member| fault(&rules::STATE_DROPPED, member.key)).into_iter().collect();
    }
    // Part of what seems to be missing may be in what cannot be read; that is a fault of its own.
    if !sent.is_legible() {
        return Vec::new();
    }
    if unchanged {
        return change.on_pass_through().into_iter().collect();
    }
    [change.order(), change.leftmost(), change.removed()].into_iter().flatten().collect()
}

/// Members of the list of another trace that cannot be the service's own: `ids` are those of the trace that ended.
pub(super) fn kept(received: &TraceState<'_>, sent: &TraceState<'_>, ids: &[String]) -> Option<Fault> {
    let common: Vec<_> = sent
        .members
        .iter()
        .filter(|member| member.key != OPEN_TELEMETRY && received.members.iter().any(|r| same(r, member)))
        .collect();
    let foreign = common.iter().find(|member| ids.iter().any(|id| member.value.contains(id.as_str())));
    // A service can make the same member again for another trace, but hardly those of two vendors.
    let several = common.first().filter(|first| common.iter().any(|member| vendor(member.key) != vendor(first.key)));
    foreign.or(several).map(|member| fault(&rules::STATE_KEPT_ON_RESTART, member.key))
}

/// Whether the service wrote a member of its own into the list.
pub(super) fn takes_part(received: &TraceState<'_>, sent: &TraceState<'_>) -> bool {
    sent.members.iter().any(|member| !received.members.iter().any(|r| same(r, member)))
}

struct Change<'a> {
    received: &'a TraceState<'a>,
    sent: &'a TraceState<'a>,
    /// Members of the call, without those that cannot be compared.
    list: Vec<Member<'a>>,
    /// Keys of the request of which one member alone has them, in order.
    keys: Vec<&'a str>,
}

impl<'a> Change<'a> {
    fn new(received: &'a TraceState<'a>, sent: &'a TraceState<'a>) -> Self {
        // Duplicates may be discarded.
        let comparable = |key: &str| key != OPEN_TELEMETRY && (received.get(key).is_none() || received.is_unique(key));
        let list = sent.members.iter().filter(|m| comparable(m.key) && sent.is_unique(m.key)).copied().collect();
        let keys = received.members.iter().map(|m| m.key).filter(|key| comparable(key)).collect();
        Self { received, sent, list, keys }
    }

    fn is_unmodified(&self, member: &Member<'_>) -> bool {
        self.received.get(member.key).is_some_and(|received| same(received, member))
    }

    /// Key of a member that ends before its value does. The service's own would stand at the left.
    fn cut_member(&self, unchanged: bool) -> Option<&'a str> {
        let last = self.list.last().filter(|last| self.sent.members.last() == Some(last))?;
        let whole = self.received.get(last.key).filter(|whole| self.received.is_unique(whole.key))?;
        let cut = whole.value.len() > last.value.len() && whole.value.starts_with(last.value);
        let foreign = unchanged || self.list.iter().any(|member| self.is_unmodified(member));
        (cut && foreign).then_some(last.key)
    }

    /// The members that were carried over, in their order; a first one that was moved there counts as written again
    /// with the value that it had.
    fn carried(&self) -> Vec<&'a str> {
        let mut carried: Vec<_> = self.list.iter().filter(|m| self.is_unmodified(m)).map(|m| m.key).collect();
        if !self.is_in_order(&carried) {
            carried.remove(0);
        }
        carried
    }

    fn is_in_order(&self, carried: &[&str]) -> bool {
        let mut keys = self.keys.iter();
        carried.iter().all(|carried| keys.any(|key| key == carried))
    }

    fn order(&self) -> Option<Fault> {
        let carried = self.carried();
        let mut keys = self.keys.iter();
        let moved = carried.iter().find(|carried| !keys.any(|key| key == *carried))?;
        Some(fault(&rules::STATE_ORDER_CHANGED, moved))
    }

    fn leftmost(&self) -> Option<Fault> {
        let carried = self.carried();
        let behind = self.list.iter().skip_while(|member| !carried.contains(&member.key));
        let late = behind.into_iter().find(|member| !self.is_unmodified(member))?;
        Some(fault(&rules::STATE_UPDATE_NOT_LEFTMOST, late.key))
    }

    fn removed(&self) -> Option<Fault> {
        let gone = self.gone();
        let first = gone.first()?;
        let kept = self.keys.iter().position(|key| key == first)?;
        let from_the_end = kept > 0 && self.keys.iter().skip(kept).all(|key| self.sent.get(key).is_none());
        let large = |key: &&str| self.received.get(key).is_some_and(|member| member.length > LARGE);
        let shortened = from_the_end || gone.iter().all(large);
        Some(fault(if shortened { &rules::STATE_TRUNCATED_EARLY } else { &rules::STATE_MEMBER_REMOVED }, first))
    }

    /// Keys of others that are missing from a list that had room for them.
    fn gone(&self) -> Vec<&'a str> {
        let own = |key: &str| self.list.iter().any(|m| !self.is_unmodified(m) && vendor(m.key) == vendor(key));
        let missing = self.keys.iter().filter(|key| self.sent.get(key).is_none() && !own(key));
        let missing: Vec<_> = missing.filter_map(|key| self.received.get(key)).collect();
        let length = self.sent.length + missing.iter().map(|member| member.length + 1).sum::<usize>();
        if length.max(self.received.length) > FLOOR {
            return Vec::new();
        }
        // So many had to go, and no more.
        let over = (self.sent.members.len() + missing.len()).saturating_sub(MAX_MEMBERS);
        missing.iter().take(missing.len().saturating_sub(over)).map(|member| member.key).collect()
    }

    /// A proxy may add to the list; of what is in it nothing may change.
    fn on_pass_through(&self) -> Option<Fault> {
        let present: Vec<_> = self.list.iter().filter(|m| self.received.get(m.key).is_some()).collect();
        let modified = present.iter().find(|member| !self.is_unmodified(member)).map(|member| member.key);
        let mut keys = self.keys.iter();
        let moved = || present.iter().map(|m| m.key).find(|carried| !keys.any(|key| key == carried));
        let changed = modified.or_else(moved).or_else(|| self.gone().first().copied())?;
        Some(fault(&rules::STATE_MODIFIED_ON_PASS_THROUGH, changed))
    }
}

fn same(a: &Member<'_>, b: &Member<'_>) -> bool {
    (a.key, a.value) == (b.key, b.value)
}

/// What stands for the vendor in a key that also names a tenant.
fn vendor(key: &str) -> &str {
    key.rsplit_once('@').map_or(key, |(_, vendor)| vendor)
}

fn fault(rule: &'static Rule, key: &str) -> Fault {
    Fault { rule, reason: None, detail: Some(key.to_owned().into()) }
}
