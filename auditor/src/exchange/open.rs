//! The queue of a connection's open exchanges.

use std::collections::VecDeque;

use super::connection::Context;
use super::{End, Event, ExchangeId, Role};
use crate::http::Upgrade;
use crate::record::BootNs;

/// What tells that a response whose head was seen is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Its length is known.
    Length,
    /// The close of the connection by the sender.
    Close,
    /// Its framing, which may be out of sight.
    Unknown,
}

/// An exchange that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: ExchangeId,
    pub(super) role: Role,
    /// Nothing is known of the request: see [`super::Visibility::Lost`].
    pub(super) lost: bool,
    /// Whether it is a HEAD request, where that is known.
    pub(super) to_head: Option<bool>,
    /// What the request asks the connection to become.
    pub(super) upgrade: Option<Upgrade>,
    /// Once the final response head crossed.
    pub(super) answer: Option<Completion>,
}

/// Requests in the order they crossed; answered ones come first.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Open>);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a request waits for its response.
    pub(super) fn awaits(&self) -> bool {
        self.0.iter().any(|open| open.answer.is_none())
    }

    /// How many requests wait for their response.
    pub(super) fn awaited(&self) -> usize {
        self.0.iter().filter(|open| open.answer.is_none()).count()
    }

    /// The request the next response belongs to.
    pub(super) fn awaiting(&mut self) -> Option<&mut Open> {
        self.0.iter_mut().find(|open| open.answer.is_none())
    }

    /// Whether the newest request is a lost one that waits for its response: one unseen candidate is enough.
    pub(super) fn ends_with_lost(&self) -> bool {
        self.0.back().is_some_and(|open| open.lost && open.answer.is_none())
    }

    pub(super) fn push(&mut self, open: Open, time: BootNs, context: &mut Context<'_>) {
        self.complete_answered(time, context);
        while self.0.len() >= context.max_open {
            context.counters.evicted_exchanges += 1;
            self.end_first(End::OutOfSight, time, context);
        }
        self.0.push_back(open);
    }

    /// The next message implies that the responses before it are complete.
    pub(super) fn complete_answered(&mut self, time: BootNs, context: &mut Context<'_>) {
        while self.0.front().is_some_and(|open| open.answer.is_some()) {
            self.end_first(End::Complete, time, context);
        }
    }

    /// Responses can no longer be told apart: everything that waits for one has had it.
    pub(super) fn answer_all_unread(&mut self, time: BootNs, context: &mut Context<'_>) {
        for open in self.0.iter_mut().filter(|open| open.answer.is_none()) {
            open.answer = Some(Completion::Unknown);
            context.events.push(Event::Response { id: open.id, time, tid: 0, coroutine: 0, status: None });
        }
    }

    pub(super) fn end_all(&mut self, time: BootNs, context: &mut Context<'_>, end: impl Fn(&Open) -> End) {
        while let Some(open) = self.0.pop_front() {
            let end = end(&open);
            context.events.push(Event::End { id: open.id, time, end });
        }
    }

    fn end_first(&mut self, end: End, time: BootNs, context: &mut Context<'_>) {
        if let Some(open) = self.0.pop_front() {
            context.events.push(Event::End { id: open.id, time, end });
        }
    }

    /// The peer finished sending: what this end asked for will not come any more.
    pub(super) fn end_client(&mut self, time: BootNs, context: &mut Context<'_>) {
        let (ended, left) = self.0.drain(..).partition::<Vec<_>, _>(|open| open.role == Role::Client);
        self.0 = left.into();
        for open in ended {
            let end = match open.answer {
                None => End::ClosedWithoutResponse,
                Some(Completion::Length | Completion::Close) => End::Complete,
                Some(Completion::Unknown) => End::ClosedAfterResponse,
            };
            context.events.push(Event::End { id: open.id, time, end });
        }
    }
}
