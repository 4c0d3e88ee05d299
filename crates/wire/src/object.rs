//! JSON objects, read as nothing else: serde would take a list for a structure too, by the order of its
//! members, and so read what nobody else reads there.

use crate::Malformed;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// The object that `bytes` are.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice::<Object<T>>(bytes).map(|o| o.0).map_err(|_| Malformed("a JSON object with the members it must have"))
}

/// A member that is an object, for `#[serde(deserialize_with)]`.
pub fn member<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Object::deserialize(from).map(|o| o.0)
}

/// The same for one that may be absent.
pub fn maybe<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(from)?.map(|o| o.0))
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        from.deserialize_map(OfMembers(PhantomData)).map(Object)
    }
}

struct OfMembers<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMembers<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Pair {
        a: u8,
        #[serde(default, deserialize_with = "maybe")]
        b: Option<Box<Pair>>,
    }

    #[test]
    fn a_list_is_no_object_however_deep() {
        assert_eq!(parse::<Pair>(br#"{"a":1,"b":{"a":2}}"#).unwrap().b.unwrap().a, 2);
        assert_eq!(parse::<Pair>(br#" {"a":1,"b":null} "#).unwrap().b, None);
        for bad in ["[1,null]", r#"{"a":1,"b":[2,null]}"#, r#"{"a":1,"a":2}"#, "null", "1", r#"{"a":1} 2"#] {
            assert!(parse::<Pair>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
