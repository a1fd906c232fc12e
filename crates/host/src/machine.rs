//! The machine itself: its name, and since when it runs.

use job::{HostName, Timestamp};

use crate::proc::Proc;
use crate::seen::{Blind, Lack, Look, Seen};
use crate::text;

/// What the machine calls itself.
pub fn hostname() -> Seen<HostName> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    match name.parse() {
        Ok(name) => Seen::Known(name),
        Err(invalid) => Seen::Unknown(Blind::Failed(format!("the machine calls itself {name:?}: {invalid}"))),
    }
}

/// Which boot of the machine this is.
pub fn boot_id() -> Seen<String> {
    let look = || -> Look<String> {
        let id = Proc::open()?.enter("sys/kernel/random")?.read("boot_id", text::STAT_BYTES)?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    };
    look().into()
}

/// When the machine was started, to the second, as far as the wall clock knows.
pub fn booted() -> Seen<Timestamp> {
    let look = || -> Look<Timestamp> {
        let stat = Proc::open()?.read("stat", text::TABLE_BYTES)?;
        let seconds = text::boot_time(&stat).ok_or_else(|| Lack::unreadable("/proc/stat"))?;
        Ok(Timestamp(seconds.saturating_mul(1_000_000)))
    };
    look().into()
}
