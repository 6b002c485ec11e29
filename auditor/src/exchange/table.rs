//! The bounded table of connections.

use std::sync::Arc;

use auditor_ebpf::wire;
use lru::LruCache;

use super::connection::{Connection, Context, PassedOn};
use super::{End, Event, Unseen};
use crate::http::{Noted, Policy};
use crate::record::{BootNs, Close, Data, Record, SocketId};
use crate::stream::Ordered;

/// Bounds of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections remembered; the least recently used goes first.
    pub connections: usize,
    /// Bytes held for them.
    pub bytes: usize,
    /// Open exchanges of one connection; the oldest goes first.
    pub open_exchanges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 65_536, bytes: 64 << 20, open_exchanges: 64 }
    }
}

/// What this stage counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Heads that ended or were cut, requests and responses, 1xx included.
    pub heads: u64,
    /// Request events.
    pub requests: u64,
    /// …of them with [`super::Visibility::Lost`].
    pub requests_lost: u64,
    /// …of them with [`super::Visibility::Truncated`].
    pub requests_truncated: u64,
    /// Final response heads.
    pub responses: u64,
    /// …of them to no request that was seen.
    pub orphan_responses: u64,
    /// Operations that looked like a head where none may begin; dropped.
    pub lookalikes: u64,
    /// Bytes of something else where a head was due.
    pub not_http: u64,
    /// Heads that do not parse.
    pub unparsable: u64,
    /// Times bytes of unknown content were not seen where a head may have been.
    pub gaps: u64,
    /// Request heads under way when the connection closed.
    pub partial_heads: u64,
    /// Connections forgotten for want of room.
    pub evicted_connections: u64,
    /// Exchanges given up for want of room.
    pub evicted_exchanges: u64,
    /// Connections that became opaque: tunnels and HTTP/2.
    pub opaque_connections: u64,
}

/// Turns records into [`Event`]s; masks the records' bytes on the way (see [`crate::http`]).
#[derive(Debug)]
pub struct Exchanges {
    connections: LruCache<SocketId, Connection>,
    held: usize,
    state: State,
}

/// What the connections have in common.
#[derive(Debug)]
struct State {
    limits: Limits,
    policy: Policy,
    noted: Noted,
    next_id: u64,
    losses: u64,
    passed_on: PassedOn,
    counters: Counters,
}

impl State {
    fn context<'a>(&'a mut self, events: &'a mut Vec<Event>) -> Context<'a> {
        let Self { limits, policy, noted, next_id, losses, passed_on, counters } = self;
        let (losses, max_open) = (*losses, limits.open_exchanges.max(1));
        Context { events, counters, next_id, losses, max_open, policy, passed_on, noted }
    }
}

impl Exchanges {
    /// An empty table; fields become this.
    pub fn new(limits: Limits, policy: Policy) -> Self {
        let (noted, passed_on, counters) = (Noted::default(), PassedOn::default(), Counters::default());
        let state = State { limits, policy, noted, next_id: 0, losses: 0, passed_on, counters };
        Self { connections: LruCache::unbounded(), held: 0, state }
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// Connections remembered now.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes held for them now.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Takes the next item. Afterwards a data record's bytes are masked and may be written to a recording.
    pub fn feed(&mut self, item: &mut Ordered, events: &mut Vec<Event>) {
        match item {
            Ordered::Record(record) => self.record(record, events),
            Ordered::Lost { count, time } => {
                self.state.losses += 1;
                events.push(Event::Lost { count: *count, time: *time });
            }
        }
    }

    /// The run is over: everything open is out of sight.
    pub fn finish(&mut self, time: BootNs, events: &mut Vec<Event>) {
        while let Some((_, mut connection)) = self.connections.pop_lru() {
            let mut context = self.state.context(events);
            connection.end_all(End::OutOfSight, time, &mut context);
        }
        self.held = 0;
    }

    fn record(&mut self, record: &mut Record, events: &mut Vec<Event>) {
        match record {
            Record::Data(data) => self.data(data, events),
            Record::Close(close) => self.close(close, events),
            Record::Clock(clock) => events.push(Event::Clock(Arc::new(clock.clone()))),
            Record::Process(process) => events.push(Event::Process(Arc::new((**process).clone()))),
            Record::Blind(blind) => events.push(Event::Blind(*blind)),
            Record::Tick(tick) => events.push(Event::Tick(Arc::new(tick.clone()))),
        }
    }

    fn data(&mut self, data: &mut Data, events: &mut Vec<Event>) {
        if data.says_unseen() {
            let tls = data.has(wire::FLAG_SERVES_TLS);
            let what = if tls { Unseen::Tls(data.direction) } else { Unseen::Something };
            return events.push(Event::Unseen { process: data.process, time: data.time, what });
        }
        let fresh = data.has(wire::FLAG_FRESH);
        let mut within = false;
        if fresh && let Some(mut before) = self.connections.pop(&data.socket) {
            // The kernel side forgot this socket, or another one lives at its address.
            within = before.is_within(data);
            self.held = self.held.saturating_sub(before.weight());
            let mut context = self.state.context(events);
            before.end_all(End::OutOfSight, data.time, &mut context);
            before.reveal(data.time, &mut context);
        }
        let mut context = self.state.context(events);
        let mut created = false;
        let connection = self.connections.get_or_insert_mut(data.socket, || {
            created = true;
            Connection::new(data, context.losses, within)
        });
        let before = if created { 0 } else { connection.weight() };
        connection.data(data, &mut context);
        self.held = self.held.saturating_sub(before) + connection.weight();
        while self.connections.len() > self.state.limits.connections || self.held > self.state.limits.bytes {
            let Some((_, mut evicted)) = self.connections.pop_lru() else { break };
            self.held = self.held.saturating_sub(evicted.weight());
            self.state.counters.evicted_connections += 1;
            let mut context = self.state.context(events);
            evicted.end_all(End::OutOfSight, data.time, &mut context);
        }
    }

    fn close(&mut self, close: &Close, events: &mut Vec<Event>) {
        let mut context = self.state.context(events);
        if close.eof {
            if let Some(connection) = self.connections.peek_mut(&close.socket) {
                let before = connection.weight();
                connection.peer_finished(close.time, &mut context);
                self.held = self.held.saturating_sub(before) + connection.weight();
            }
        } else if let Some(mut connection) = self.connections.pop(&close.socket) {
            self.held = self.held.saturating_sub(connection.weight());
            connection.closed(close.time, &mut context);
        }
    }
}
