//! Samples as Prometheus reads them: families of counters and gauges with their labels.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::api::Decimal;

/// The labels of a sample, by name.
pub(super) type Labels = Vec<(&'static str, String)>;
/// The label of everything that has none of its own.
pub const OTHER: &str = "other";

/// A shown decimal as a sample: metrics are read by people and alerts, never by a decision.
pub(super) fn shown(decimal: Decimal) -> f64 {
    decimal.to_string().parse().unwrap_or(f64::NAN)
}

/// A count as a sample. Exact up to 2^53.
#[allow(
    clippy::cast_precision_loss,
    reason = "a sample of this format is a binary64"
)]
pub(super) const fn count(count: u64) -> f64 {
    count as f64
}

/// In the order of their labels, so that two scrapes can be compared.
pub(super) fn sorted(samples: impl Iterator<Item = (Labels, u64)>) -> Vec<(Labels, u64)> {
    let mut samples: Vec<_> = samples.collect();
    samples.sort();
    samples
}

pub(super) fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Vec<(Labels, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    samples.into_iter().try_for_each(|(labels, value)| {
        metric
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, u64, f64>(&value, None)
    })
}

pub(super) fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    samples
        .into_iter()
        .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
}
