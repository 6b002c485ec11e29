//! A call beside its candidates.

use super::evidence::Evidence;
use super::model::{Model, Said};
use super::{CREDITS, Call, Credit, Requests};
use crate::exchange::ExchangeId;
use crate::pair::PERHAPS;
use crate::pair::suspect::Settled;

/// What the live pairing thought of a call is as right as not.
const LIKELY: f64 = 0.5;

/// One that may have made the call.
#[derive(Debug)]
pub(super) struct Candidate {
    id: ExchangeId,
    pub(super) evidence: Evidence,
    /// Probability that it did.
    pub(super) share: f64,
}

#[derive(Debug)]
pub(super) struct Compared<'a> {
    pub(super) call: &'a Call,
    pub(super) candidates: Vec<Candidate>,
    /// Probability that none of them made it.
    pub(super) none: f64,
    /// How much likelier such candidates are if one did.
    pub(super) ratio: f64,
}

impl<'a> Compared<'a> {
    /// Before anything is compared. `supposed`: what was thought of it when it was made.
    pub(super) fn new(call: &'a Call, requests: &Requests, model: &mut Model, supposed: bool) -> Self {
        let (known, likely) = (call.sent.known, call.sent.likely.filter(|_| supposed));
        let ids = &call.sent.candidates.ids;
        let known_too = known.filter(|known| !ids.contains(known));
        let candidate = |id| {
            let held = requests.get(&id)?;
            let share = match (known, likely) {
                (Some(known), _) if known == id => 1.0,
                (None, Some(likely)) if likely == id => LIKELY,
                _ => 0.0,
            };
            Some(Candidate { id, evidence: Evidence::of(call, id, held, model), share })
        };
        let candidates: Vec<_> = ids.iter().copied().chain(known_too).filter_map(candidate).collect();
        let none = 1.0 - candidates.iter().map(|candidate| candidate.share).sum::<f64>();
        Self { call, candidates, none, ratio: 1.0 }
    }

    /// By what the model says now, and what else the candidates are taken to have called. `said`: as in [`Model::ratio`].
    pub(super) fn compare(&mut self, requests: &Requests, model: &Model, said: &mut Said) {
        let kind = model.kind(self.call.sent.kind);
        let (mut near, mut all) = (0.0, 0.0);
        for candidate in &mut self.candidates {
            let Some(held) = requests.get(&candidate.id) else { continue };
            candidate.evidence.again(self.call, held);
            if self.call.sent.known.is_none() {
                let ratio = model.ratio(kind, said, &candidate.evidence);
                candidate.share = ratio.which;
                near += ratio.whether;
                all += ratio.which;
            }
        }
        if self.call.sent.known.is_some() {
            return;
        }
        self.ratio = f64::min(near, all) / self.call.sent.candidates.among.max(1) as f64;
        let odds = self.ratio * kind.odds();
        self.none = 1.0 / (1.0 + odds);
        if all > 0.0 {
            self.candidates.iter_mut().for_each(|candidate| candidate.share *= (1.0 - self.none) / all);
        }
    }

    /// `weight`: -1 takes back what was taught before.
    pub(super) fn teach(&self, model: &mut Model, weight: f64) {
        model.learn(self, weight);
    }

    /// Who made it, if anybody did, and how probable that is.
    fn best(&self) -> (Option<ExchangeId>, f64) {
        let best = self.candidates.iter().max_by(|a, b| a.share.total_cmp(&b.share));
        match best {
            Some(best) if self.none < 0.5 => (Some(best.id), best.share),
            _ => (None, self.none),
        }
    }

    /// Remembers that a request made it.
    pub(super) fn credit(&self, requests: &mut Requests) {
        let sent = &self.call.sent;
        if !self.call.made_up
            && let Some(held) = self.best().0.and_then(|id| requests.get_mut(&id))
            && held.credits.len() < CREDITS
        {
            held.credits.push(Credit { call: sent.id, kind: sent.kind, answered: self.call.answered });
        }
    }

    /// Takes that back.
    pub(super) fn uncredit(&self, requests: &mut Requests) {
        if !self.call.made_up
            && let Some(held) = self.best().0.and_then(|id| requests.get_mut(&id))
        {
            held.credits.retain(|credit| credit.call != self.call.sent.id);
        }
    }

    /// What that says of a call that was not certain.
    pub(super) fn settled(&self, model: &Model) -> Option<Settled> {
        let sent = &self.call.sent;
        if self.call.made_up || sent.known.is_some() {
            return None;
        }
        let background = model.kind(sent.kind).is_background();
        let (parent, probability) = if background { (None, 1.0) } else { self.best() };
        let candidates = u32::try_from(sent.candidates.among).unwrap_or(u32::MAX);
        Some(Settled { call: sent.id, parent, confidence: probability.min(PERHAPS), candidates })
    }
}
