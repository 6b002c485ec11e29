//! Requests that are not hops: telemetry, scrapes, health checks, cloud metadata, tunnels.
//!
//! They are counted and otherwise left alone: nobody expects a trace to go through them.

use std::net::{IpAddr, Ipv4Addr};

use crate::exchange::RequestHead;

/// Of Kubernetes and the like, Prometheus, ASP.NET, MicroProfile.
const HEALTH_PATHS: [&str; 16] = [
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/startupz",
    "/ready",
    "/live",
    "/ping",
    "/healthcheck",
    "/health/live",
    "/health/ready",
    "/health/started",
    "/health/liveness",
    "/health/readiness",
    "/-/healthy",
    "/-/ready",
];
/// Spring Boot and Quarkus: these, and what is below.
const HEALTH_TREES: [&str; 2] = ["/actuator/health", "/q/health"];
/// Metrics, and what clients of Jaeger ask how much to sample.
const TELEMETRY_PATHS: [&str; 5] = ["/metrics", "/actuator/prometheus", "/q/metrics", "/stats/prometheus", "/sampling"];
const HEALTH_AGENTS: [&str; 3] = ["kube-probe", "ELB-HealthChecker", "GoogleHC"];
/// Exporters that send a batch with every so many requests, or a line with each, look as if a request had made the call.
/// OTLP; Zipkin; Jaeger; SkyWalking; X-Ray; Prometheus remote write, and VictoriaMetrics; Loki; Pyroscope; InfluxDB; Elastic
/// APM; Datadog; Dynatrace; Splunk; Graylog; Seq; VictoriaLogs.
const EXPORT_PATHS: [&str; 39] = [
    "/v1/traces",
    "/v1/metrics",
    "/v1/logs",
    "/v1development/profiles",
    "/api/v1/spans",
    "/api/v2/spans",
    "/api/traces",
    "/v3/segment",
    "/v3/segments",
    "/SamplingTargets",
    "/GetSamplingRules",
    "/TraceSegments",
    "/api/v1/write",
    "/api/v1/push",
    "/api/prom/push",
    "/api/v1/import/prometheus",
    "/loki/api/v1/push",
    "/push.v1.PusherService/Push",
    "/api/v2/write",
    "/intake/v2/events",
    "/intake/v2/rum/events",
    "/api/v2/series",
    "/api/v2/logs",
    "/api/beta/sketches",
    "/api/v2/apmtelemetry",
    "/api/v2/metrics/ingest",
    "/api/v2/logs/ingest",
    "/services/collector",
    "/services/collector/event",
    "/services/collector/event/1.0",
    "/services/collector/raw",
    "/services/collector/raw/1.0",
    "/telemetry/proxy/api/v2/apmtelemetry",
    "/v0.1/pipeline_stats",
    "/v0.7/config",
    "/gelf",
    "/api/events/raw",
    "/ingest/clef",
    "/insert/jsonline",
];
/// Collectors behind a prefix, Prometheus' Pushgateway, Honeycomb, what Datadog's agent passes on.
const EXPORT_PREFIXES: [&str; 6] =
    ["/opentelemetry", "/metrics/job/", "/metrics/job@base64/", "/1/batch/", "/1/events/", "/evp_proxy/"];
const METADATA_HOSTS: [&str; 2] = ["169.254.169.254", "metadata.google.internal"];
const METADATA_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Whether `head` is such a request; `peer` is the address the client talks to, where it is TCP.
pub fn is_ignored(head: &RequestHead, peer: Option<IpAddr>) -> bool {
    let (method, path) = (&*head.method, &*head.path);
    if method == "CONNECT" {
        return true;
    }
    if (method == "POST" || method == "PUT") && is_export(path) {
        return true;
    }
    if method == "GET" || method == "HEAD" {
        let tree = |tree: &&str| path.strip_prefix(*tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if TELEMETRY_PATHS.contains(&path) || HEALTH_PATHS.contains(&path) || HEALTH_TREES.iter().any(tree) {
            return true;
        }
        let agent = head.user_agent.as_deref().unwrap_or("");
        if agent.starts_with("Prometheus") || HEALTH_AGENTS.iter().any(|name| agent.starts_with(name)) {
            return true;
        }
    }
    let host = head.host.as_deref().map(|host| super::super::report::address::split_host(host).0);
    peer == Some(METADATA_ADDRESS) || host.is_some_and(|host| METADATA_HOSTS.contains(&host))
}

fn is_export(path: &str) -> bool {
    // Datadog: /v0.4/traces, /v0.5/traces, …
    let datadog = path.strip_prefix("/v0.").is_some_and(|rest| rest.ends_with("/traces") || rest.ends_with("/stats"));
    // Sentry: /api/PROJECT/envelope/
    let sentry = path.strip_prefix("/api/").and_then(|rest| rest.split_once('/')).is_some_and(|(project, rest)| {
        project.bytes().all(|b| b.is_ascii_digit()) && matches!(rest.trim_end_matches('/'), "envelope" | "store")
    });
    // Who receives it may have it below a path of its own.
    let otlp = path.contains("/otlp/") || path.ends_with("/v1/traces");
    let listed = EXPORT_PATHS.contains(&path) || EXPORT_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
    listed || otlp || datadog || sentry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, path: &str, agent: &str, host: &str) -> RequestHead {
        RequestHead {
            method: method.to_owned().into(),
            path: path.into(),
            user_agent: Some(agent.into()),
            host: Some(host.into()),
            ..RequestHead::default()
        }
    }

    #[test]
    fn telemetry_health_and_metadata_are_not_hops() {
        for (method, path, agent, host) in [
            ("POST", "/v1/traces", "", "collector:4318"),
            ("POST", "/api/v2/spans", "", "zipkin"),
            ("POST", "/otlp/v1/traces", "", "a"),
            ("POST", "/ingest/otlp/v1/logs", "", "a"),
            ("POST", "/api/default/v1/traces", "", "a"),
            ("POST", "/api/v1/spans", "", "zipkin"),
            ("PUT", "/metrics/job/batch/instance/a", "", "pushgateway"),
            ("POST", "/evp_proxy/v2/api/v2/llmobs", "", "agent:8126"),
            ("POST", "/gelf", "", "graylog:12201"),
            ("POST", "/api/events/raw", "", "seq:5341"),
            ("POST", "/services/collector/event", "", "splunk"),
            ("GET", "/actuator/health", "", "a"),
            ("GET", "/actuator/health/liveness", "", "a"),
            ("GET", "/-/healthy", "", "prometheus"),
            ("GET", "/sampling", "", "jaeger:5778"),
            ("GET", "/actuator/prometheus", "", "a"),
            ("PUT", "/v0.4/traces", "", "agent:8126"),
            ("POST", "/api/42/envelope/", "", "sentry"),
            ("POST", "/api/v1/write", "", "mimir"),
            ("POST", "/loki/api/v1/push", "", "loki"),
            ("GET", "/metrics", "", "a"),
            ("GET", "/anything", "Prometheus/3.0", "a"),
            ("GET", "/healthz", "curl", "a"),
            ("GET", "/", "kube-probe/1.33", "a"),
            ("PUT", "/latest/api/token", "", "169.254.169.254"),
            ("GET", "/computeMetadata/v1/", "", "metadata.google.internal:80"),
            ("CONNECT", "a:443", "", "a:443"),
        ] {
            assert!(is_ignored(&head(method, path, agent, host), None), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/v1/traces"),
            ("GET", "/cart"),
            ("POST", "/health"),
            ("GET", "/healthy"),
            ("GET", "/health/records"),
            ("GET", "/actuator/healthy"),
            ("POST", "/metrics/jobs"),
            ("POST", "/api/x/envelope/"),
            ("POST", "/v1/traces/5"),
        ] {
            assert!(!is_ignored(&head(method, path, "python-requests", "shop"), None), "{method} {path}");
        }
        assert!(is_ignored(&head("GET", "/x", "", "x"), "169.254.169.254".parse().ok()));
    }
}
