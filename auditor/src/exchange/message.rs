//! Complete heads: opens exchanges with requests and answers them with responses.

use super::connection::{Connection, Context, Orphan, request, request_direction, request_role, send};
use super::open::{Completion, Open};
use super::{End, Event, RequestHead, Role, Unseen, Visibility};
use crate::http::{Body, Framing, Kind, ParsedRequest, ParsedResponse, Upgrade, parse_request, parse_response};
use crate::record::{Blind, BlindReason, BootNs, Data};

/// How much later than the response's the request's record can come: the sender was preempted between the operation and
/// its end.
const OVERTAKEN_NS: BootNs = 100_000_000;

impl Connection {
    /// The head under way in the record's direction is complete with these `bytes` of the record, or (without) will never be.
    pub(super) fn head(&mut self, kind: Kind, bytes: Option<&[u8]>, data: &Data, context: &mut Context<'_>) {
        context.counters.heads += 1;
        let role = match kind {
            Kind::Request => request_role(data.direction),
            Kind::Response => request_role(data.direction.opposite()),
        };
        let tentative = std::mem::take(&mut self.side(data.direction).tentative);
        if self.role.is_some_and(|known| known != role) {
            return self.contradicted(role, data, context);
        }
        self.role = Some(role);
        match kind {
            Kind::Request => self.request(role, bytes, tentative, data, context),
            Kind::Response => self.response(bytes, data, context),
        }
        // The next head of this operation, if any, begins with it.
        self.side(data.direction).started = data.time;
    }

    /// Requests cross the other way than so far: what was believed of this connection is wrong.
    fn contradicted(&mut self, role: Role, data: &Data, context: &mut Context<'_>) {
        context.counters.gaps += 1;
        self.open.end_all(data.time, context, |_| End::OutOfSight);
        self.orphan = None;
        self.role = Some(role);
        self.send.framer.lose();
        self.recv.framer.lose();
        self.push_lost(data, context);
    }

    fn request(&mut self, role: Role, bytes: Option<&[u8]>, tentative: bool, data: &Data, context: &mut Context<'_>) {
        let whole = bytes.is_some();
        let side = self.side(data.direction);
        let started = side.started;
        let framer = &side.framer;
        let noted = Some(&*context.noted).filter(|_| whole && framer.is_noted());
        let (head, sent) = (framer.head(bytes.unwrap_or_default()), role == Role::Client);
        let parsed = parse_request(head, whole, sent, noted, context.policy);
        if tentative {
            side.framer.lose();
            return self.push_lost(data, context);
        }
        let (parsed, visibility) = match parsed {
            Ok(ParsedRequest { http2_preface: true, .. }) => {
                self.open.end_all(data.time, context, |_| End::OutOfSight);
                return self.http2(data, context);
            }
            Ok(parsed) if whole && !parsed.crowded => (parsed, Visibility::Whole),
            Ok(parsed) => (parsed, Visibility::Truncated),
            Err(_) => {
                let (head, framing) = (RequestHead::default(), Framing::Unclear);
                let visibility = if whole { Visibility::Lost } else { Visibility::Truncated };
                context.counters.unparsable += u64::from(whole);
                (ParsedRequest { head, crowded: false, framing, upgrade: None, http2_preface: false }, visibility)
            }
        };
        side.framer.follow(if whole { parsed.body() } else { Body::Unknown });

        let id = context.id();
        let read = !parsed.head.method.is_empty();
        let to_head = read.then(|| &*parsed.head.method == "HEAD");
        let lost = visibility == Visibility::Lost;
        self.open.push(Open { id, role, lost, to_head, upgrade: parsed.upgrade, answer: None }, data.time, context);
        send(request(id, role, data, started, visibility, parsed.head), context);

        // On another CPU the response's record can overtake the request's: then this is whose response that was.
        if let Some(Orphan { time, tid, coroutine, status }) = self.orphan.take()
            && data.time.saturating_sub(time) <= OVERTAKEN_NS
            && let Some(open) = self.open.awaiting()
        {
            open.answer = Some(Completion::Unknown);
            let id = open.id;
            context.events.push(Event::Response { id, time: data.time, tid, coroutine, status: Some(status) });
            self.open.complete_answered(data.time, context);
        }
    }

    fn response(&mut self, bytes: Option<&[u8]>, data: &Data, context: &mut Context<'_>) {
        let framer = &self.side(data.direction).framer;
        let noted = Some(&*context.noted).filter(|_| framer.is_noted());
        let parsed = bytes.and_then(|bytes| parse_response(framer.head(bytes), noted, context.policy).ok());
        context.counters.unparsable += u64::from(bytes.is_some() && parsed.is_none());
        let interim = parsed.is_some_and(|parsed| matches!(parsed.status, 100 | 102..=199));
        if interim {
            return self.side(data.direction).framer.follow(Body::Length(0));
        }
        context.counters.responses += 1;
        // Responses come in order: those before this one are complete.
        self.open.complete_answered(data.time, context);
        let Some(open) = self.open.awaiting() else {
            return self.orphan_response(parsed, data, context);
        };
        let (id, to_head, upgrade) = (open.id, open.to_head, open.upgrade);
        let status = parsed.map(|parsed| parsed.status);
        context.events.push(Event::Response { id, time: data.time, tid: data.tid, coroutine: data.coroutine, status });

        let connected = matches!((status, upgrade), (Some(200..=299), Some(Upgrade::Connect)));
        if connected || status == Some(101) {
            self.open.end_all(data.time, context, |_| End::Tunnel);
            if status == Some(101) && upgrade == Some(Upgrade::Http2) {
                return self.http2(data, context);
            }
            return self.tunnel(status, to_head.is_some(), data, context);
        }
        let body = parsed.map_or(Body::Unknown, |parsed| parsed.body(to_head));
        open.answer = Some(match (body, parsed.map(|parsed| parsed.framing)) {
            (Body::Length(_), _) => Completion::Length,
            (Body::Unknown, Some(Framing::Unsaid)) if to_head.is_some() => Completion::Close,
            _ => Completion::Unknown,
        });
        if body == Body::Length(0) {
            self.open.complete_answered(data.time, context);
        }
        self.side(data.direction).framer.follow(body);
    }

    /// Nobody is known to have asked. That is how a connection that was open before the run begins; later it tells that
    /// a request crossed unseen, or that its record is about to come.
    fn orphan_response(&mut self, parsed: Option<ParsedResponse>, data: &Data, context: &mut Context<'_>) {
        context.counters.orphan_responses += 1;
        self.side(data.direction).framer.follow(parsed.map_or(Body::Unknown, |parsed| parsed.body(None)));
        let asked = self.role.map(request_direction).unwrap_or(data.direction.opposite());
        if let Some(parsed) = parsed {
            if parsed.status == 101 {
                return self.tunnel(Some(101), false, data, context);
            }
            if self.side(asked).framer.is_positioned() {
                self.orphan =
                    Some(Orphan { time: data.time, tid: data.tid, coroutine: data.coroutine, status: parsed.status });
            }
        }
    }

    fn http2(&mut self, data: &Data, context: &mut Context<'_>) {
        let (process, time, reason) = (data.process, data.time, BlindReason::Http2);
        context.events.push(Event::Blind(Blind { process, time, reason, connections: 1, operations: 0, bytes: 0 }));
        self.close_off(context);
        if self.role == Some(Role::Server) {
            self.hide(Unseen::Opened, data, context);
        }
    }

    /// The connection became something else than HTTP, for a request that was seen or not.
    fn tunnel(&mut self, status: Option<u16>, is_seen: bool, data: &Data, context: &mut Context<'_>) {
        self.close_off(context);
        // Who makes a connection for another one passes on what crosses it.
        if status != Some(101) {
            return;
        }
        if self.role == Some(Role::Client) {
            return context.passed_on.push(data.process, data.time);
        }
        if !is_seen || !context.passed_on.take(data.process, self.recv.started) {
            self.hide(if self.unix { Unseen::OpenedForLong } else { Unseen::Opened }, data, context);
        }
    }

    fn hide(&mut self, what: Unseen, data: &Data, context: &mut Context<'_>) {
        context.events.push(Event::Unseen { process: data.process, time: data.time, what });
        self.hides = Some(data.process).filter(|_| what == Unseen::Opened);
    }

    /// From here on the connection's bytes are none of our business.
    fn close_off(&mut self, context: &mut Context<'_>) {
        context.counters.opaque_connections += 1;
        self.opaque = true;
        self.orphan = None;
        self.send.framer.lose();
        self.recv.framer.lose();
    }
}
