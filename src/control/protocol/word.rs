//! A standing as its word.

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::policy::Standing;

pub(super) fn serialize<S: Serializer>(standing: &Standing, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(standing.word())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Standing, D::Error> {
    let word = String::deserialize(d)?;
    [Standing::Clean, Standing::Suspect, Standing::Banned]
        .into_iter()
        .find(|standing| standing.word() == word)
        .ok_or_else(|| de::Error::custom(format!("{word:?} is not a standing")))
}
