//! Lines of a fleet that does not exist, as `auditor run` would print them: always the same.

use serde_json::{Value, json};

/// Tiers of services; each calls the next, seldom one behind it.
const TIERS: [(&str, usize); 5] = [("edge", 6), ("api", 34), ("domain", 70), ("data", 60), ("store", 30)];
const WORDS: [&str; 20] = [
    "cart", "checkout", "payments", "ledger", "stock", "catalog", "search", "profile", "pricing", "orders", "shipping",
    "returns", "loyalty", "coupons", "media", "email", "fraud", "tax", "geo", "session",
];
/// One in so many hops drops the trace.
const DROPS: u64 = 20;

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a fleet amounts to.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Lines, in the order of the calls.
    pub lines: Vec<Value>,
    /// Services.
    pub services: usize,
    /// Hops, no two between the same services.
    pub hops: usize,
    /// Hops that drop.
    pub dropped: usize,
}

/// 200 services, each but the last tier calling one to four others; some hops drop.
pub fn fleet() -> Fleet {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut fleet = Fleet::default();
    let mut tiers: Vec<Vec<String>> = Vec::new();
    for (tier, count) in TIERS {
        let name = |at: usize| format!("{}-{tier}-{}", WORDS[at % WORDS.len()], at / WORDS.len() + 1);
        tiers.push((0..count).map(name).collect());
        fleet.services += count;
    }
    for (depth, tier) in tiers.iter().enumerate().take(TIERS.len() - 1) {
        for service in tier {
            let mut called: Vec<&str> = Vec::new();
            for _ in 0..1 + random.below(4) {
                let far = usize::from(random.below(10) == 0);
                let callees = tiers.get(depth + 1 + far).unwrap_or(&tiers[depth + 1]);
                let callee = callees[random.below(callees.len() as u64) as usize].as_str();
                if !called.contains(&callee) {
                    called.push(callee);
                    let drops = random.below(DROPS) == 0;
                    fleet.hop(service, callee, 20 + random.below(5000), drops, random.0);
                }
            }
        }
    }
    fleet
}

impl Fleet {
    fn hop(&mut self, service: &str, callee: &str, calls: u64, drops: bool, id: u64) {
        self.hops += 1;
        self.dropped += usize::from(drops);
        let route = |name: &str| format!("/v1/{}", name.split('-').next().unwrap_or(name));
        let outcome = if drops { "dropped" } else { "continued" };
        let edge = json!({"calls": calls, outcome: calls});
        let inbound = json!({"http.request.method": "GET", "http.route": route(service)});
        let attributes = json!({"http.request.method": "POST", "http.route": route(callee), "server.address": callee,
            "server.port": 8080});
        let resource = json!({"service.name": service, "process.pid": 1000 + self.hops, "host.name": "node-a"});
        // Two intervals.
        for part in [calls / 2, calls - calls / 2] {
            self.lines.push(json!({"record_type": "summary", "timestamp": "2026-08-24T10:16:30.000000000Z",
                "interval_start": "2026-08-24T10:15:30.000000000Z", "edge": {"calls": part, outcome: part},
                "inbound": inbound, "attributes": attributes, "resource": resource}));
        }
        if drops {
            self.lines.push(
                json!({"record_type": "finding", "timestamp": "2026-08-24T10:15:40.000000000Z", "level": "error",
                "message": format!("{service} received traceparent on GET {} but sent none on POST {} to {callee}:8080",
                    route(service), route(callee)),
                "trace_id": format!("{id:032x}"),
                "finding": {"code": "traceparent_dropped", "format": "w3c", "direction": "outbound", "count": calls,
                    "fingerprint": format!("{:016x}", self.hops), "first_seen": "2026-08-24T10:15:31.000000000Z",
                    "last_seen": "2026-08-24T10:15:40.000000000Z", "edge": edge, "inbound": inbound,
                    "received": format!("00-{id:032x}-{id:016x}-01"), "sent": null},
                "attributes": attributes, "resource": resource}),
            );
        }
    }
}

/// A finding and its summary in which every text is this one.
pub fn of_a_stranger(text: &str) -> Vec<Value> {
    let inbound = json!({"http.request.method": text, "http.route": text});
    let attributes =
        json!({"http.request.method": text, "http.route": text, "server.address": text, "server.port": 80});
    let resource = json!({"service.name": text, "host.name": text});
    let edge = json!({"calls": 1, "dropped": 1});
    vec![
        json!({"record_type": "summary", "timestamp": text, "interval_start": text, "edge": edge, "inbound": inbound,
            "attributes": attributes, "resource": resource}),
        json!({"record_type": "finding", "timestamp": text, "level": "error", "message": text, "trace_id": text,
            "finding": {"code": text, "direction": "outbound", "count": 1, "fingerprint": text, "first_seen": text,
                "last_seen": text, "reason": text, "detail": text, "received": text, "sent": text, "inbound": inbound},
            "attributes": attributes, "resource": resource}),
        json!({"record_type": "blind_spot", "timestamp": text, "message": text, "blind_spot": {"code": text, "count": 1},
            "resource": resource}),
    ]
}
