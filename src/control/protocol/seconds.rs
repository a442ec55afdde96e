//! Spans as numbers of seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

pub(super) fn serialize<S: Serializer>(span: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(span.as_secs_f64())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    span(f64::deserialize(d)?)
}

/// At most a century, so that whoever adds it to a time need not fear the end of the calendar.
fn span<E: de::Error>(seconds: f64) -> Result<Duration, E> {
    let century = Duration::from_secs(100 * 365 * 86_400);
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|span| *span <= century)
        .ok_or_else(|| E::custom(format!("{seconds} seconds is not a span of 0 to 100 years")))
}

/// The same for a span that may be absent.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => super::serialize(span, s),
            None => s.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(d)?.map(super::span).transpose()
    }
}
