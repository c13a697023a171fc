//! What is known of each recipient, kept in the job's data between attempts: whoever has a mail does not get it again.
//!
//! The data is the one place that lives as long as the job does, through restarts and in whichever process runs the next
//! attempt. The member is ours; everything else stays as the producer wrote it, byte for byte.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// The member of the data that is ours.
pub(super) const MEMBER: &str = "oxherd.mail";

/// Answers by recipient's address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ledger {
    pub(super) accepted: BTreeMap<String, String>,
    pub(super) rejected: BTreeMap<String, String>,
    /// An attempt began to send and has not said how that ended. Written only where a mail must not be doubled.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) sending: bool,
}

impl Ledger {
    pub(super) fn is_settled(&self, address: &str) -> bool {
        self.accepted.contains_key(address) || self.rejected.contains_key(address)
    }

    /// The data with this ledger in it. The data is an object, or the ledger would not have been read from it.
    pub(super) fn within(&self, data: &RawValue) -> serde_json::Result<Box<RawValue>> {
        let Members(members) = serde_json::from_str(data.get())?;
        let ledger = to_raw_value(self)?;
        let mut text = String::from("{");
        let ours = (MEMBER.to_owned(), &*ledger);
        let kept = members.into_iter().filter(|(name, _)| name != MEMBER);
        for (name, value) in kept.chain((*self != Self::default()).then_some(ours)) {
            if text.len() > 1 {
                text.push(',');
            }
            text += &serde_json::to_string(&name)?;
            text.push(':');
            text += value.get();
        }
        text.push('}');
        RawValue::from_string(text)
    }
}

/// An object's members in order, their values untouched.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Walk).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f105_the_ledger_travels_in_the_data_and_nothing_else_changes() {
        let data =
            RawValue::from_string(r#" { "to": ["a@x"], "n": 1.10, "big": 12345678901234567890123 } "#.into()).unwrap();
        let ledger = Ledger { accepted: [("a@x".into(), "250 ok".into())].into(), ..Ledger::default() };
        let with = ledger.within(&data).unwrap();
        assert_eq!(
            with.get(),
            r#"{"to":["a@x"],"n":1.10,"big":12345678901234567890123,"oxherd.mail":{"accepted":{"a@x":"250 ok"},"rejected":{}}}"#
        );
        let read: serde_json::Value = serde_json::from_str(with.get()).unwrap();
        assert_eq!(serde_json::from_value::<Ledger>(read[MEMBER].clone()).unwrap(), ledger);
        let again = Ledger { sending: true, ..ledger }.within(&with).unwrap();
        assert_eq!(again.get().matches(MEMBER).count(), 1);
        assert!(again.get().ends_with(r#""sending":true}}"#));
        assert_eq!(
            Ledger::default().within(&again).unwrap().get(),
            r#"{"to":["a@x"],"n":1.10,"big":12345678901234567890123}"#
        );
        assert_eq!(Ledger::default().within(&RawValue::from_string("{}".into()).unwrap()).unwrap().get(), "{}");
    }
}
