//! An object, and nothing that merely looks like one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Reads `T` from an object.
///
/// What is derived for a struct would also take an array of its fields in their
/// order, and that order is nobody's business.
#[derive(Debug, Clone)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::LeaseWish;

    #[test]
    fn the_fields_in_their_order_are_no_object() {
        let array = r#"[["q"],"w",1,"1s","1m"]"#;
        assert!(serde_json::from_str::<LeaseWish>(array).is_ok());
        assert_eq!(
            serde_json::from_str::<Object<LeaseWish>>(array).unwrap_err().to_string(),
            "invalid type: sequence, expected an object at line 1 column 0"
        );
        let object = r#"{"queues":["q"],"worker":"w"}"#;
        assert_eq!(serde_json::from_str::<Object<LeaseWish>>(object).unwrap().0.worker, "w");
    }
}
