//! Writes families of constant samples: what the client library has no short form of.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Names and values.
pub(super) type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Where they are written.
pub(super) struct Families<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    /// A name without `_total`.
    pub(super) fn counters<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, u64)>,
    ) -> fmt::Result {
        self.family(name, help, samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    /// A counter of seconds; a name without `_total`.
    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.family(name, help, [(Labels::new(), ConstCounter::new(value))])
    }

    pub(super) fn gauges<'s>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, u64)>,
    ) -> fmt::Result {
        self.family(name, help, samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.family(name, help, [(Labels::new(), ConstGauge::new(value))])
    }

    /// A name without `_info`.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    /// Samples of one name; without any, the name is not there either.
    fn family<'s, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'s>, M)>,
    ) -> fmt::Result {
        let mut samples = samples.into_iter().peekable();
        let Some((_, first)) = samples.peek() else { return Ok(()) };
        let mut encoder = self.0.encode_descriptor(name, help, None, first.metric_type())?;
        for (labels, metric) in samples {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
