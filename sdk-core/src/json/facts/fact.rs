//! Facts as the small reader hands them over. A number with a fraction stays as it is written.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub(super) struct Facts(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(InTurn)
    }
}

struct InTurn;

impl<'de> Visitor<'de> for InTurn {
    type Value = Facts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Facts, A::Error> {
        let mut facts = Map::new();
        while let Some((name, Fact(fact))) = entries.next_entry()? {
            facts.insert(name, fact);
        }
        Ok(Facts(facts))
    }
}

struct Fact(Value);

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(AnyKind).map(Fact)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fact")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    /// A number that is no whole one.
    fn visit_bytes<E: de::Error>(self, number: &[u8]) -> Result<Value, E> {
        let text = str::from_utf8(number).map_err(E::custom)?;
        Ok(Value::Number(Number::from_string_unchecked(text.to_owned())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    /// What is in it nobody asks: it is no fact.
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Ok(Value::Array(Vec::new()))
    }

    /// As well.
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Ok(Value::Object(Map::new()))
    }
}
