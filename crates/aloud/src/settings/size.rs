//! A number of bytes, as people write it.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512B`, `64KiB`, `64MiB`, `2GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is not a size; write a whole number and a unit: `512B`, `64KiB`, `64MiB`, `2GiB`");
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(bad)?;
        let number = text.trim_end_matches(unit).trim_end();
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, factor): &(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        let (unit, factor) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl<'de> serde::Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(read("64MiB"), Ok(64 << 20));
        assert_eq!(read("0B"), Ok(0));
        assert_eq!(read("3 KiB"), Ok(3_072));
        for bad in ["", "64", "MiB", "-1B", "1.5GiB", "64MB", "99999999999999999999B", "99999999999GiB"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for size in [0, 1, 1_023, 1_024, 1 << 20, 5 << 30] {
            assert_eq!(read(&Size(size).to_string()), Ok(size));
        }
    }
}
