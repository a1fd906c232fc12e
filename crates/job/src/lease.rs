//! The right to run one attempt of a job.

use std::fmt;
use std::str::FromStr;

use crate::id::JobId;

/// The token of one attempt. Whoever finishes or extends must show it; a later
/// claim of the same job has another.
///
/// It fences, it does not authorise: it is hard to meet by accident, and no
/// secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lease(pub u64);

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lease; it has 16 digits of 0-9 and a-f, and comes with the leased job")]
pub struct NotALease;

impl FromStr for Lease {
    type Err = NotALease;

    fn from_str(text: &str) -> Result<Self, NotALease> {
        let hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex {
            return Err(NotALease);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotALease)
    }
}

/// Randomness that the caller brings, from which a claim makes its leases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseSeed(pub u64);

impl LeaseSeed {
    /// The lease of `job`'s attempt number `attempt`.
    pub fn lease(self, job: JobId, attempt: u32) -> Lease {
        Lease(mix(self.0 ^ mix(job.0 ^ mix(u64::from(attempt)))))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which
/// every bit of the input reaches every bit of the output.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        let lease = LeaseSeed(7).lease(JobId(17), 1);
        assert_eq!(lease.to_string().parse(), Ok(lease));
        assert_ne!(lease, LeaseSeed(7).lease(JobId(17), 2));
        assert_ne!(lease, LeaseSeed(7).lease(JobId(18), 1));
        assert_ne!(lease, LeaseSeed(8).lease(JobId(17), 1));
        for bad in ["", "1", "+123456789abcdef", "0123456789ABCDEF", "0123456789abcdef0"] {
            assert_eq!(bad.parse::<Lease>(), Err(NotALease));
        }
    }
}
