//! One end of one connection: where heads may begin in its two directions.

use std::collections::VecDeque;

use auditor_ebpf::wire;

use super::open::{Completion, Open, Queue};
use super::table::Counters;
use super::{End, Event, ExchangeId, Request, RequestHead, Role, Unseen, Visibility};
use crate::http::{Arrival, Framer, Kind, Noted, Policy, Step, proxied};
use crate::record::{BootNs, Data, Direction, Endpoints, ProcessId};

/// From this length on an operation that starts like a head starts with a whole first word, and not only with a letter
/// of one. The length is all that is left of a body's bytes in a recording.
const WHOLE_WORD: u32 = 16;

/// What a connection may write to while it handles a record.
pub(super) struct Context<'a> {
    pub(super) events: &'a mut Vec<Event>,
    pub(super) counters: &'a mut Counters,
    pub(super) next_id: &'a mut u64,
    /// Times records were lost so far.
    pub(super) losses: u64,
    pub(super) max_open: usize,
    pub(super) policy: &'a Policy,
    pub(super) passed_on: &'a mut PassedOn,
    /// Of the head at hand.
    pub(super) noted: &'a mut Noted,
}

impl Context<'_> {
    pub(super) fn id(&mut self) -> ExchangeId {
        *self.next_id += 1;
        ExchangeId(*self.next_id)
    }
}

/// Connections that became WebSockets where their process had asked for that, of late.
#[derive(Debug, Default)]
pub(super) struct PassedOn(VecDeque<(ProcessId, BootNs)>);

impl PassedOn {
    const ROOM: usize = 256;

    pub(super) fn push(&mut self, process: ProcessId, time: BootNs) {
        self.0.truncate(Self::ROOM - 1);
        self.0.push_front((process, time));
    }

    /// Whether this process has one since then, which is that of another one from now on.
    pub(super) fn take(&mut self, process: ProcessId, since: BootNs) -> bool {
        let at = self.0.iter().rposition(|(of, time)| *of == process && *time >= since);
        at.is_some_and(|at| self.0.remove(at).is_some())
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) framer: Framer,
    /// [`Context::losses`] at its last record: if more were lost since, one of them may have been of this direction.
    losses: u64,
    /// When the first byte of the head under way crossed.
    pub(super) started: BootNs,
    /// The head under way may be part of a body that was under way before.
    pub(super) tentative: bool,
    /// What last began like a head was none, nor anything of HTTP: what continues it is none either.
    other: bool,
}

/// A final response nobody asked for: its request crossed unseen, or its record comes later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphan {
    pub(super) time: BootNs,
    pub(super) tid: u32,
    pub(super) coroutine: u64,
    pub(super) status: u16,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    /// It was seen from its first record on, and nothing was missed before the first head.
    fresh: bool,
    /// AF_UNIX: nothing tells when the socket is gone.
    pub(super) unix: bool,
    pub(super) role: Option<Role>,
    pub(super) send: Side,
    pub(super) recv: Side,
    pub(super) open: Queue,
    pub(super) orphan: Option<Orphan>,
    pub(super) opaque: bool,
    /// Whose it is, if requests may cross it that nobody can see.
    pub(super) hides: Option<ProcessId>,
    /// A received head is under way: the request it becomes should the connection close now.
    partial: Option<Box<Request>>,
}

impl Connection {
    /// `data` is its first record; `within`: of a message that was under way when it was last heard of.
    pub(super) fn new(data: &Data, losses: u64, within: bool) -> Self {
        let side = || Side { losses, ..Side::default() };
        Self {
            fresh: data.has(wire::FLAG_FRESH) && !within,
            unix: matches!(data.endpoints, Endpoints::Unix { .. }),
            role: None,
            send: side(),
            recv: side(),
            open: Queue::default(),
            orphan: None,
            opaque: false,
            hides: None,
            partial: None,
        }
    }

    /// Whether a record that says that nothing is known of it is in the middle of a message that was. What of a body was not
    /// shipped its position tells; where positions are counted they begin anew.
    pub(super) fn is_within(&mut self, data: &Data) -> bool {
        let framer = &mut self.side(data.direction).framer;
        if !framer.is_positioned() || data.has(wire::FLAG_COUNTED) {
            return false;
        }
        framer.arrive(data.position, false);
        framer.in_body() || framer.has_partial_head()
    }

    /// Bytes it holds, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + self.send.framer.held()
            + self.recv.framer.held()
            + self.open.len() * size_of::<Open>()
            + if self.partial.is_some() { size_of::<Request>() } else { 0 }
    }

    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Send => &mut self.send,
            Direction::Recv => &mut self.recv,
        }
    }

    /// Which kind of message this direction carries, once that is known.
    fn carries(&self, direction: Direction) -> Option<Kind> {
        self.role.map(|role| if request_direction(role) == direction { Kind::Request } else { Kind::Response })
    }

    pub(super) fn data(&mut self, data: &mut Data, context: &mut Context<'_>) {
        if self.opaque {
            data.bytes.fill(0);
            return;
        }
        let direction = data.direction;
        let losses = context.losses;
        let side = self.side(direction);
        let lossy = std::mem::replace(&mut side.losses, losses) != losses;
        if lossy && data.has(wire::FLAG_COUNTED) && side.framer.has_partial_head() {
            // What was lost because the kernel side was busy it has not counted.
            side.framer.lose();
        }
        let arrival = side.framer.arrive(data.position, data.has(wire::FLAG_COUNTED));
        if let Arrival::Continues { ended: true } | Arrival::Gap { ended: true } = arrival {
            self.body_ended(direction, data.time, context);
        }
        self.gate(arrival, lossy, data, context);

        // The bytes are masked in place while the record's other fields are read.
        let mut bytes = std::mem::take(&mut data.bytes);
        let begin = if arrival == Arrival::First { proxied::mask(&mut bytes) } else { 0 };
        self.side(direction).framer.pass(begin);
        self.walk(bytes.get_mut(begin..).unwrap_or_default(), data, context);
        data.bytes = bytes;

        if !self.opaque {
            self.unshipped(data, context);
        }
        let framer = &self.recv.framer;
        let partial = !self.opaque && framer.has_partial_head() && !framer.head(b"").starts_with(b"HTTP/");
        if direction == Direction::Recv {
            let role = self.role.unwrap_or(Role::Server);
            let started = self.recv.started;
            self.partial = (partial && role == Role::Server).then(|| {
                Box::new(request(ExchangeId(0), role, data, started, Visibility::Lost, RequestHead::default()))
            });
        }
    }

    /// Decides whether a head may begin with this record, and says so to the framer.
    fn gate(&mut self, arrival: Arrival, lossy: bool, data: &Data, context: &mut Context<'_>) {
        let start = data.has(wire::FLAG_START);
        let misplaced = self.misplaced(data);
        let gap = matches!(arrival, Arrival::Gap { .. }) || misplaced;
        if gap {
            context.counters.gaps += 1;
        }
        let framer = &mut self.side(data.direction).framer;
        if misplaced {
            framer.lose();
        } else if !framer.is_lost() {
            // Positions say what these bytes are.
            if start && framer.in_body() {
                context.counters.lookalikes += 1;
            }
            return;
        }
        let unknown_past = arrival == Arrival::First && !self.fresh;
        let damaged = gap || lossy || unknown_past;
        let begins = match self.carries(data.direction) {
            Some(Kind::Request) if damaged => {
                let answered = self.orphan.take().is_some();
                self.push_lost(data, context);
                if answered {
                    // Whatever was not seen has had its response, so the next request is due.
                    self.open.end_all(data.time, context, |_| End::OutOfSight);
                }
                answered && start
            }
            Some(Kind::Request) => {
                let due = !self.open.awaits();
                if due && !start {
                    self.push_lost(data, context);
                }
                due && start
            }
            Some(Kind::Response) => {
                let due = self.open.awaits();
                let unread = !start && (lossy || arrival == Arrival::First || data.has(wire::FLAG_UNREADABLE));
                // A lost record may have been the response to the first of several: whose this one is, nobody knows.
                let whose = lossy && self.open.awaited() > 1;
                if due && (gap || unread || whose) {
                    self.open.answer_all_unread(data.time, context);
                    false
                } else {
                    start && (due || gap || arrival == Arrival::First)
                }
            }
            None => {
                // Until a head was seen that can be no part of a body, whatever looks like one may be one.
                self.fresh &= start && !damaged;
                let side = self.side(data.direction);
                side.other &= !start;
                if !start && (damaged || !side.other) {
                    self.push_lost(data, context);
                }
                start
            }
        };
        if begins {
            let tentative = self.role.is_none() && !self.fresh;
            let side = self.side(data.direction);
            side.tentative = tentative;
            side.framer.begin();
        } else if start {
            context.counters.lookalikes += 1;
        }
    }

    /// Whether what starts like a head within a body may be one all the same: counted positions miss what was spliced,
    /// so the body may have ended unseen. Believing in the body would drop this message and all that follow.
    fn misplaced(&mut self, data: &Data) -> bool {
        let counted = data.has(wire::FLAG_START) && data.has(wire::FLAG_COUNTED) && data.op_len >= WHOLE_WORD;
        let due = match self.carries(data.direction) {
            Some(Kind::Request) => true,
            Some(Kind::Response) => self.open.awaits(),
            None => false,
        };
        counted && due && self.side(data.direction).framer.in_body()
    }

    fn walk(&mut self, bytes: &mut [u8], data: &Data, context: &mut Context<'_>) {
        let side = self.side(data.direction);
        if !side.framer.has_partial_head() {
            side.started = data.time;
        }
        let mut at = 0;
        loop {
            if self.opaque {
                bytes.get_mut(at..).unwrap_or_default().fill(0);
                return;
            }
            match self.side(data.direction).framer.step(bytes, &mut at, context.policy, context.noted) {
                Step::Exhausted => return,
                Step::BodyEnd => self.body_ended(data.direction, data.time, context),
                Step::NotHttp => {
                    context.counters.not_http += 1;
                    let is_new = self.role.is_none() && self.fresh;
                    self.side(data.direction).other = is_new && data.has(wire::FLAG_START);
                    self.lost_sight(data, context);
                }
                Step::Head(kind) => self.head(kind, Some(bytes), data, context),
                Step::Truncated(kind) => self.head(kind, None, data, context),
            }
        }
    }

    /// Accounts for the bytes of the operation that the record does not hold.
    fn unshipped(&mut self, data: &Data, context: &mut Context<'_>) {
        let unreadable = data.has(wire::FLAG_UNREADABLE);
        let captured = u32::try_from(data.bytes.len()).unwrap_or(u32::MAX);
        let rest = data.op_len.saturating_sub(captured);
        let framer = &self.side(data.direction).framer;
        if framer.has_partial_head() && !unreadable && (rest > 0 || data.has(wire::FLAG_TRUNCATED)) {
            // What was seen of this head is true; the rest of it was too long to ship.
            if let Step::Truncated(kind) = framer.cut() {
                self.head(kind, None, data, context);
            }
        }
        match self.side(data.direction).framer.skip(u64::from(rest)) {
            Arrival::First | Arrival::Continues { ended: false } => {}
            Arrival::Continues { ended: true } => self.body_ended(data.direction, data.time, context),
            Arrival::Gap { ended } => {
                if ended {
                    self.body_ended(data.direction, data.time, context);
                }
                context.counters.gaps += 1;
                self.lost_sight(data, context);
            }
        }
    }

    /// Bytes crossed that may have been a head and could not be read.
    pub(super) fn lost_sight(&mut self, data: &Data, context: &mut Context<'_>) {
        self.side(data.direction).framer.lose();
        match self.carries(data.direction) {
            Some(Kind::Request) => self.push_lost(data, context),
            Some(Kind::Response) => self.open.answer_all_unread(data.time, context),
            // Bytes that are no head, on a connection that never spoke HTTP, hide nothing.
            None if data.bytes.is_empty() && data.has(wire::FLAG_UNREADABLE) => self.push_lost(data, context),
            None => {}
        }
    }

    /// A request may have crossed unseen.
    pub(super) fn push_lost(&mut self, data: &Data, context: &mut Context<'_>) {
        if self.open.ends_with_lost() {
            return;
        }
        let role = self.role.unwrap_or(request_role(data.direction));
        let id = context.id();
        let open = Open { id, role, lost: true, to_head: None, upgrade: None, answer: None };
        self.open.push(open, data.time, context);
        let started = data.time;
        send(request(id, role, data, started, Visibility::Lost, RequestHead::default()), context);
    }

    /// A body ended in sight. If it is a response's, so did its exchange.
    fn body_ended(&mut self, direction: Direction, time: BootNs, context: &mut Context<'_>) {
        if self.carries(direction) == Some(Kind::Response) {
            self.open.complete_answered(time, context);
        }
    }

    pub(super) fn end_all(&mut self, end: End, time: BootNs, context: &mut Context<'_>) {
        self.open.end_all(time, context, |_| end);
    }

    /// The peer finished sending; this end may still answer. On a Unix socket it hardly ever does, and should it not,
    /// nothing else would end the exchange.
    pub(super) fn peer_finished(&mut self, time: BootNs, context: &mut Context<'_>) {
        self.open.end_client(time, context);
        self.give_up_partial(time, context);
        if self.unix {
            self.end_closed(time, context);
            self.reveal(time, context);
        }
    }

    /// The socket is gone.
    pub(super) fn closed(&mut self, time: BootNs, context: &mut Context<'_>) {
        if self.send.framer.has_partial_head() && self.role != Some(Role::Server) {
            context.counters.partial_heads += 1;
        }
        self.give_up_partial(time, context);
        self.end_closed(time, context);
        self.reveal(time, context);
    }

    /// Nothing crosses it any more.
    pub(super) fn reveal(&mut self, time: BootNs, context: &mut Context<'_>) {
        if let Some(process) = self.hides.take() {
            context.events.push(Event::Unseen { process, time, what: Unseen::Closed });
        }
    }

    fn end_closed(&mut self, time: BootNs, context: &mut Context<'_>) {
        self.open.end_all(time, context, |open| match (open.answer, open.role) {
            (None, _) => End::ClosedWithoutResponse,
            (Some(Completion::Length), _) | (Some(Completion::Close), Role::Server) => End::Complete,
            (Some(Completion::Close), Role::Client) | (Some(Completion::Unknown), _) => End::ClosedAfterResponse,
        });
    }

    /// A received head will never be complete; a server may have acted on it all the same.
    fn give_up_partial(&mut self, time: BootNs, context: &mut Context<'_>) {
        let Some(partial) = self.partial.take() else { return };
        context.counters.partial_heads += 1;
        self.recv.framer.lose();
        let id = context.id();
        let open = Open { id, role: partial.role, lost: true, to_head: None, upgrade: None, answer: None };
        self.open.push(open, time, context);
        send(Request { id, time, ..*partial }, context);
    }
}

/// Which way requests cross in this role.
pub(super) fn request_direction(role: Role) -> Direction {
    match role {
        Role::Server => Direction::Recv,
        Role::Client => Direction::Send,
    }
}

/// The role of a process in whose `direction` a request crosses.
pub(super) fn request_role(direction: Direction) -> Role {
    match direction {
        Direction::Recv => Role::Server,
        Direction::Send => Role::Client,
    }
}

pub(super) fn send(request: Request, context: &mut Context<'_>) {
    context.counters.requests += 1;
    match request.visibility {
        Visibility::Whole => {}
        Visibility::Truncated => context.counters.requests_truncated += 1,
        Visibility::Lost => context.counters.requests_lost += 1,
    }
    context.events.push(Event::Request(request.into()));
}

pub(super) fn request(
    id: ExchangeId,
    role: Role,
    data: &Data,
    started: BootNs,
    visibility: Visibility,
    head: RequestHead,
) -> Request {
    Request {
        id,
        role,
        process: data.process,
        tid: data.tid,
        ancestors: data.ancestors,
        coroutine: data.coroutine,
        netns: data.netns,
        comm: data.comm,
        socket: data.socket,
        endpoints: data.endpoints.clone(),
        started,
        time: data.time,
        visibility,
        head,
    }
}
