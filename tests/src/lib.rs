//! Workloads and harness.
