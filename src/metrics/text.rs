//! Facts → OpenMetrics text (version 1.0.0 of the specification), written by the `prometheus-client`
//! crate: it orders, escapes and spells numbers.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Facts;
use crate::firewall::Spans;

/// What all names begin with.
const PREFIX: &str = "portcullis";

/// The whole exposition, to its `# EOF`.
///
/// # Errors
/// None in practice: a text takes everything.
pub fn open_metrics(facts: Facts) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(facts));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Facts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(&mut Page(encoder))
    }
}

/// What families are written on.
pub(super) struct Page<'e>(DescriptorEncoder<'e>);

/// A family of counters that has its name and waits for its values.
pub(super) struct Counters<'e>(MetricEncoder<'e>);

/// The same of gauges.
pub(super) struct Gauges<'e>(MetricEncoder<'e>);

impl Page<'_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    /// Numbers that only grow.
    pub(super) fn counter<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Counters<'s>, fmt::Error> {
        self.begin(name, help, MetricType::Counter).map(Counters)
    }

    /// Numbers that come and go.
    pub(super) fn gauge<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
    ) -> Result<Gauges<'s>, fmt::Error> {
        self.begin(name, help, MetricType::Gauge).map(Gauges)
    }

    /// A gauge of seconds; its unit becomes part of its name.
    pub(super) fn seconds(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&seconds)
    }

    /// A text that does not change.
    pub(super) fn info(&mut self, name: &str, help: &str, label: (&str, &str)) -> fmt::Result {
        self.begin(name, help, MetricType::Info)?.encode_info(&[label])
    }

    /// A histogram of seconds.
    pub(super) fn spans(&mut self, name: &str, help: &str, spans: &Spans) -> fmt::Result {
        let steps = spans.steps.iter().map(|(longest, count)| (longest.as_secs_f64(), *count));
        let buckets: Vec<_> = steps.chain([(f64::INFINITY, spans.endless)]).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut encoder =
            self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(spans.sum.as_secs_f64(), count, &buckets, None)
    }
}

impl Counters<'_> {
    /// The only value.
    pub(super) fn value(mut self, value: u64) -> fmt::Result {
        count(&mut self.0, value)
    }

    /// One value for each value of a label.
    pub(super) fn each<N: AsRef<str>>(
        mut self,
        label: &str,
        values: impl IntoIterator<Item = (N, u64)>,
    ) -> fmt::Result {
        values.into_iter().try_for_each(|(name, value)| {
            count(&mut self.0.encode_family(&[(label, name.as_ref())])?, value)
        })
    }
}

impl Gauges<'_> {
    /// The only value.
    pub(super) fn value(mut self, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_gauge(&value)
    }

    /// One value for each value of a label.
    pub(super) fn each<N: AsRef<str>, V: EncodeGaugeValue>(
        self,
        label: &str,
        values: impl IntoIterator<Item = (N, V)>,
    ) -> fmt::Result {
        let Self(mut encoder) = self;
        values.into_iter().try_for_each(|(name, value)| {
            encoder.encode_family(&[(label, name.as_ref())])?.encode_gauge(&value)
        })
    }

    /// One value for each set of labels.
    pub(super) fn all<L: EncodeLabelSet, V: EncodeGaugeValue>(
        mut self,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        values
            .into_iter()
            .try_for_each(|(labels, value)| self.0.encode_family(&labels)?.encode_gauge(&value))
    }
}

fn count(encoder: &mut MetricEncoder<'_>, value: impl EncodeCounterValue) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
}
