//! What a worker finds in its environment, and the files that say so.
//!
//! In those files stand lines of `NAME=VALUE`; empty ones and those that begin
//! with `#` say nothing. `export ` before the name is passed over. A value may
//! stand in single or double quotes; in double quotes `\n`, `\"`, `\\` and
//! `\$` mean what they mean to a shell. Nothing is ever replaced by another
//! variable's value, and no value is ever told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::users::User;
use super::{FAILED, Failed, Order};

/// What the worker finds in its environment; the later wins.
pub(super) fn of(order: &Order, user: Option<&User>) -> Result<BTreeMap<String, String>, Failed> {
    let mut env = BTreeMap::new();
    if let Some(user) = user {
        let of = [("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name), ("SHELL", &user.shell)];
        env.extend(of.map(|(name, value)| (name.to_owned(), value.clone())));
    }
    env.extend(order.env.iter().filter(|(name, _)| user.is_none() || !env_of_user(name)).cloned());
    for file in &order.pool.env_files {
        env.extend(env_file(order, file)?);
    }
    env.extend(order.pool.env.clone());
    env.extend(order.code.env.iter().cloned());
    let (worker, own) = (&order.worker, |name: &str| format!("ALOUD_{name}"));
    env.insert(own("RELEASE"), order.code.id.clone());
    env.insert(own("GENERATION"), worker.generation().0.to_string());
    env.insert(own("WORKER"), worker.to_string());
    env.insert(own("POOL"), worker.pool().to_string());
    env.insert("NOTIFY_SOCKET".into(), order.notify.to_string_lossy().into_owned());
    env.insert("PWD".into(), logical(order).to_string_lossy().into_owned());
    Ok(env)
}

/// What a user's own name and home are said in.
pub(super) fn env_of_user(name: &str) -> bool {
    ["HOME", "USER", "LOGNAME", "SHELL"].contains(&name)
}

fn env_file(order: &Order, file: &Path) -> Result<Vec<(String, String)>, Failed> {
    let read = read_env_file(&order.code.dir, file);
    read.map_err(|(what, hint)| Failed {
        message: order.message(&what, "The program was not run.", hint),
        code: FAILED,
    })
}

/// Reads a file of variables; or answers what is wrong and what to do.
pub(super) fn read_env_file(from: &Path, file: &Path) -> Result<Vec<(String, String)>, (String, &'static str)> {
    let text = file.to_string_lossy();
    let (optional, file) = match text.strip_prefix('-') {
        Some(rest) => (true, PathBuf::from(rest)),
        None => (false, file.to_owned()),
    };
    let path = from.join(file);
    let text = match fs::read_to_string(&path) {
        Err(error) if optional && error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let what = format!("the file of its environment, `{}`, cannot be read: {error}", path.display());
            return Err((what, "write it, or put `-` before its path if it may be missing"));
        }
        Ok(text) => text,
    };
    parse(&text).map_err(|why| {
        let what = format!("the file of its environment, `{}`, cannot be used: {why}", path.display());
        (what, "write one NAME=VALUE on each line")
    })
}

fn logical(order: &Order) -> PathBuf {
    match &order.pool.workdir {
        Some(workdir) => order.code.logical.join(workdir),
        None => order.code.logical.clone(),
    }
}

/// Reads such a file. An error names the line and what is wrong, and never
/// repeats a value, which may be secret.
fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let told = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    told.map(|(at, line)| entry(line).map_err(|why| format!("line {at} {why}"))).collect()
}

fn entry(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=').ok_or("is not of the form NAME=VALUE")?;
    let name = name.trim_end();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits) {
        return Err("has a name that is not made of letters, digits and `_`");
    }
    let value = value.trim();
    if value.contains('\0') {
        return Err("holds a NUL byte");
    }
    let value = match value.chars().next() {
        Some('"') => double_quoted(&value[1..])?,
        Some('\'') => {
            let inner = value[1..].strip_suffix('\'').ok_or("has a quote that is not closed")?;
            inner.to_owned()
        }
        Some(_) | None => value.to_owned(),
    };
    Ok((name.to_owned(), value))
}

fn double_quoted(text: &str) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.as_str().trim().is_empty() => return Ok(out),
            '"' => return Err("has something after the closing quote"),
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('"' | '\\' | '$')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("has a quote that is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_people_write_it() {
        let text =
            "# secrets\n\nAPP_KEY=base64:a=b=\nexport NAME = two words \nQ='a \"b\" $c'\nD=\"x\\n\\\"y\\\" \\z\"\nE=\n";
        let pairs = parse(text).unwrap();
        let found: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            found,
            [("APP_KEY", "base64:a=b="), ("NAME", "two words"), ("Q", "a \"b\" $c"), ("D", "x\n\"y\" \\z"), ("E", "")]
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_the_value() {
        let wrong = |text: &str| parse(text).unwrap_err();
        assert_eq!(wrong("A=1\nhunter2\n"), "line 2 is not of the form NAME=VALUE");
        assert_eq!(wrong("1A=hunter2"), "line 1 has a name that is not made of letters, digits and `_`");
        assert_eq!(wrong("A='hunter2"), "line 1 has a quote that is not closed");
        assert_eq!(wrong("A=\"hunter2\" x"), "line 1 has something after the closing quote");
    }
}
