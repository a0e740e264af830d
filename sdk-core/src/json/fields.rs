//! What types take from a [`Tree`].
//!
//! The names that serde knows of a type's fields are looked up one by one, and the values handed over as a sequence. Of what serde
//! makes for a type, that is the smallest part: no names to compare, no field to have come twice, no error with words.

use std::fmt;
use std::slice;

use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::tree::Tree;

/// `None` for a text that says no such value.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    let tree = Tree::of(text)?;
    T::deserialize(Value(Some(&tree))).ok()
}

/// That a value is another's. It says nothing more, so that nothing has to be kept for saying it.
#[derive(Debug)]
struct Other;

impl fmt::Display for Other {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Other {}

impl de::Error for Other {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Other
    }

    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Other
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Other
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Other
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Other
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Other
    }

    fn missing_field(_: &'static str) -> Self {
        Other
    }

    fn duplicate_field(_: &'static str) -> Self {
        Other
    }
}

/// A value, or the place where there is none.
#[derive(Clone, Copy)]
struct Value<'t>(Option<&'t Tree<'t>>);

impl<'t> Deserializer<'t> for Value<'t> {
    type Error = Other;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0.ok_or(Other)? {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Number(number) => any_number(number, visitor),
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(list) => visitor.visit_seq(List(list.iter())),
            Tree::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Bool(value)) => visitor.visit_bool(*value),
            _ => Err(Other),
        }
    }

    fn deserialize_u64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Number(number)) => visitor.visit_u64(number.parse().map_err(|_| Other)?),
            _ => Err(Other),
        }
    }

    fn deserialize_i64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Number(number)) => visitor.visit_i64(number.parse().map_err(|_| Other)?),
            _ => Err(Other),
        }
    }

    fn deserialize_f64<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Number(number)) => visitor.visit_f64(about(number)),
            _ => Err(Other),
        }
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Text(text)) => visitor.visit_str(text),
            _ => Err(Other),
        }
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            None | Some(Tree::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Null) => visitor.visit_unit(),
            _ => Err(Other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Other> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::List(list)) => visitor.visit_seq(List(list.iter())),
            _ => Err(Other),
        }
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Object(object)) => {
                visitor.visit_map(Map { entries: object.iter(), value: Value(None) })
            }
            _ => Err(Other),
        }
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Other> {
        match self.0 {
            Some(Tree::Object(object)) => visitor.visit_seq(Fields { names: names.iter(), object }),
            _ => Err(Other),
        }
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Other> {
        let Some(Tree::Text(name)) = self.0 else { return Err(Other) };
        // What has no place has none that serde would know: `#[serde(other)]`, or an error.
        let place = names.iter().position(|known| known == name).unwrap_or(names.len());
        visitor.visit_enum(U32Deserializer::<Other>::new(place as u32))
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.0.ok_or(Other).and_then(|_| visitor.visit_unit())
    }

    fn deserialize_u8<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i8<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Other> {
        self.deserialize_str(visitor)
    }

    serde::forward_to_deserialize_any! {
    <W: Visitor<'t>>
    f32 char bytes byte_buf unit_struct tuple tuple_struct }
}

impl<'t> IntoDeserializer<'t, Other> for Value<'t> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// The values of a list.
struct List<'t>(slice::Iter<'t, Tree<'t>>);

impl<'t> de::SeqAccess<'t> for List<'t> {
    type Error = Other;

    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Other> {
        let Some(value) = self.0.next() else { return Ok(None) };
        seed.deserialize(Value(Some(value))).map(Some)
    }
}

/// The values of an object by the names of a type's fields.
struct Fields<'t> {
    names: slice::Iter<'static, &'static str>,
    object: &'t [(std::borrow::Cow<'t, str>, Tree<'t>)],
}

impl<'t> Fields<'t> {
    /// The next field's; an error if there are two.
    fn next(&mut self) -> Result<Value<'t>, Other> {
        let name = self.names.next().ok_or(Other)?;
        let mut named = self.object.iter().filter(|(known, _)| known == name);
        let value = named.next().map(|(_, value)| value);
        if named.next().is_some() { Err(Other) } else { Ok(Value(value)) }
    }
}

impl<'t> de::SeqAccess<'t> for Fields<'t> {
    type Error = Other;

    /// To serde the sequence ends with a field that is missing: then comes its default, if it has one.
    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Other> {
        let value = self.next()?;
        match seed.deserialize(value) {
            Err(Other) if value.0.is_none() => Ok(None),
            read => read.map(Some),
        }
    }
}

/// The names of an object and their values in turn.
struct Map<'t> {
    entries: slice::Iter<'t, (std::borrow::Cow<'t, str>, Tree<'t>)>,
    value: Value<'t>,
}

impl<'t> de::MapAccess<'t> for Map<'t> {
    type Error = Other;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Other> {
        let Some((name, value)) = self.entries.next() else { return Ok(None) };
        self.value = Value(Some(value));
        seed.deserialize(name.as_ref().into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'t>>(&mut self, seed: T) -> Result<T::Value, Other> {
        seed.deserialize(self.value)
    }
}

/// A number of whatever kind it is.
fn any_number<'t, V: Visitor<'t>>(number: &'t str, visitor: V) -> Result<V::Value, Other> {
    if let Ok(whole) = number.parse::<u64>() {
        return visitor.visit_u64(whole);
    }
    match number.parse::<i64>() {
        Ok(whole) if whole != 0 => visitor.visit_i64(whole),
        _ => fraction(number, visitor),
    }
}

/// As it is written, for [facts](super::facts): to read it and to write it takes tables of 10 KB.
#[cfg(feature = "small")]
fn fraction<'t, V: Visitor<'t>>(number: &'t str, visitor: V) -> Result<V::Value, Other> {
    visitor.visit_bytes(number.as_bytes())
}

#[cfg(not(feature = "small"))]
fn fraction<'t, V: Visitor<'t>>(number: &'t str, visitor: V) -> Result<V::Value, Other> {
    visitor.visit_f64(number.parse().map_err(|_| Other)?)
}

/// A number whose last digits don't matter, such as a time: 15 digits of it are right.
fn about(number: &str) -> f64 {
    let (digits, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (mut value, mut scale, mut is_fraction) = (0.0, 0_i32, false);
    for digit in digits.bytes() {
        match digit {
            b'.' => is_fraction = true,
            b'-' => {}
            digit => {
                value = value * 10.0 + f64::from(digit - b'0');
                scale -= i32::from(is_fraction);
            }
        }
    }
    let exponent: i32 = exponent.parse().unwrap_or(i32::MAX);
    // What is beyond these bounds is nothing, or beyond all.
    let scale = exponent.saturating_add(scale).clamp(-400, 400);
    for _ in 0..scale.abs() {
        value = if scale < 0 { value / 10.0 } else { value * 10.0 };
    }
    if number.starts_with('-') { -value } else { value }
}
