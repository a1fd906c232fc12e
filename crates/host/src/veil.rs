//! Whether there may be processes that do not even appear.

use crate::proc::Proc;
use crate::seen::{Blind, Lack, Look};
use crate::text::{self, Mount};

/// The first pid namespace and the first user namespace of a machine have these
/// numbers in every kernel.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// Why the list of processes may lack some; `None` if it shows all of them.
pub(crate) fn over(proc: &Proc) -> Option<Blind> {
    match look(proc) {
        Ok(None) => None,
        Ok(Some(why)) | Err(Lack::Blind(why)) => Some(why),
        Err(Lack::Gone) => Some(Blind::Raced),
    }
}

fn look(proc: &Proc) -> Look<Option<Blind>> {
    let this = proc.enter("self")?;
    let mounts = text::mounts(&this.read("mountinfo", text::TABLE_BYTES)?);
    let mounts = mounts.ok_or_else(|| Lack::unreadable("/proc/self/mountinfo"))?;
    let hiding = hiding(&mounts);
    if hiding != Hiding::Nobody {
        let status = text::status(&this.read("status", text::STAT_BYTES)?);
        let status = status.ok_or_else(|| Lack::unreadable("/proc/self/status"))?;
        // The capability counts for everybody only where it was given outside
        // of every container.
        let traces_all = status.may_trace() && this.link("ns/user")?.as_os_str() == FIRST_USER_NAMESPACE;
        let let_in = matches!(hiding, Hiding::ExceptFrom(group) if status.groups.contains(&group));
        if !traces_all && !let_in {
            return Ok(Some(Blind::Hidden));
        }
    }
    let outside = this.link("ns/pid")?.as_os_str() != FIRST_PID_NAMESPACE;
    Ok(outside.then_some(Blind::Outside))
}

/// Whom `/proc` makes invisible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hiding {
    /// Nobody. With `hidepid=1` others are visible, and each is denied.
    Nobody,
    /// Others, except from the members of this group.
    ExceptFrom(u32),
    /// All that we may not look into.
    Others,
}

/// Reads the options of the `/proc` that was mounted last.
fn hiding(mounts: &[Mount]) -> Hiding {
    let Some(proc) = mounts.iter().rev().find(|mount| mount.point.as_os_str() == "/proc") else {
        return Hiding::Nobody;
    };
    match proc.option("hidepid") {
        None | Some(b"0" | b"off" | b"1" | b"noaccess") => Hiding::Nobody,
        Some(b"2" | b"invisible") => {
            let group = proc.option("gid").map_or(Some(0), text::number);
            group.map_or(Hiding::Others, Hiding::ExceptFrom)
        }
        // `ptraceable`, and what may come.
        Some(_) => Hiding::Others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_processes_invisible_hides_them() {
        let check = |options: &str, expect: Hiding| {
            let text = format!("22 1 0:1 / / rw - ext4 x rw\n25 22 0:22 / /proc rw - proc proc {options}\n");
            assert_eq!(hiding(&text::mounts(text.as_bytes()).unwrap()), expect, "{options}");
        };
        check("rw", Hiding::Nobody);
        check("rw,hidepid=0", Hiding::Nobody);
        check("rw,hidepid=off", Hiding::Nobody);
        check("rw,hidepid=1", Hiding::Nobody);
        check("rw,hidepid=noaccess", Hiding::Nobody);
        check("rw,hidepid=2", Hiding::ExceptFrom(0));
        check("rw,gid=4,hidepid=invisible", Hiding::ExceptFrom(4));
        check("rw,hidepid=2,gid=x", Hiding::Others);
        check("rw,gid=4,hidepid=4", Hiding::Others);
        check("rw,hidepid=ptraceable", Hiding::Others);
        check("rw,hidepid=something-new", Hiding::Others);
        assert_eq!(hiding(&[]), Hiding::Nobody);
    }
}
