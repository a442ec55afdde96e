//! [`Record`] → one JSON object.

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::record::{Record, Value};

/// `{"time":"2026-09-21T14:13:20.250000Z","event":"drop","level":"warning",…,"id":"…"}`: the
/// fields of the line, and some more, by their names in lower case.
///
/// Spans are numbers of seconds, flags are booleans, counts by name are an object; a measured
/// value that is no number is null (JSON has no other word for it).
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record { at, level, verb, fields, id } = self;
        let mut map = serializer.serialize_map(None)?;
        // A clock beyond year 9999 is broken; the event is still worth telling.
        let time = Timestamp::try_from(*at).unwrap_or(Timestamp::MAX);
        map.serialize_entry("time", &format!("{time:.6}"))?;
        map.serialize_entry("event", &verb.word().to_ascii_lowercase())?;
        map.serialize_entry("level", level.word())?;
        for field in fields.iter().filter(|field| field.name != "level") {
            map.serialize_entry(&field.name.to_ascii_lowercase(), &field.value)?;
        }
        map.serialize_entry("id", id)?;
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e9 => {
                serializer.serialize_i64(*number as i64)
            }
            Value::Number(number) => serializer.serialize_f32(*number),
            Value::Count(count) => serializer.serialize_u64(*count),
            Value::Span(span) if span.subsec_nanos() == 0 => {
                serializer.serialize_u64(span.as_secs())
            }
            Value::Span(span) => serializer.serialize_f64(span.as_secs_f64()),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Counts(counts) => serializer.collect_map(counts.iter().copied()),
        }
    }
}

/// The record as one line of a JSON file, with its line end.
pub fn json_line(record: &Record) -> Vec<u8> {
    // Writing to memory cannot fail, and every key is a string; should it happen all the same,
    // the line is empty rather than broken.
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::{Event, sample};
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_types() {
        let mut record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        record.id = "0123456789".into();
        let value: serde_json::Value = serde_json::from_slice(&json_line(&record)).unwrap();
        assert_eq!(
            value,
            json!({
                "time": "2026-09-21T14:13:20.250000Z", "event": "drop", "level": "warning",
                "in": "eth0", "src": "203.0.113.7", "dst": "198.51.100.2", "proto": "TCP",
                "spt": 40312, "dpt": 23, "reason": "rate", "what": "login", "seen": 5,
                "limit": 4.25, "flags": "SYN", "seq": 77, "window": 64240, "ttl": 57,
                "length": 60, "ip_id": 4242, "id": "0123456789",
            })
        );
    }

    #[test]
    fn odd_values() {
        for (value, expected) in [
            (Value::Number(f32::NAN), "null"),
            (Value::Number(0.5), "0.5"),
            (Value::Span(std::time::Duration::from_millis(1500)), "1.5"),
            (Value::Flag(false), "false"),
            (Value::Text("a\n\"b".into()), r#""a\n\"b""#),
            (Value::Counts(vec![("rate", 7), ("ports", 1)]), r#"{"rate":7,"ports":1}"#),
        ] {
            assert_eq!(serde_json::to_string(&value).unwrap(), expected);
        }
    }
}
