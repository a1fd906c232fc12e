//! What clippy cannot see: which crate may know which, files that nobody
//! names, and words that do not belong in the product.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate, and those of ours that it may depend on.
const MAY_KNOW: [(&str, &[&str]); 13] = [
    ("job", &[]),
    ("store", &["job"]),
    ("queue", &["job", "store"]),
    ("wire", &["job"]),
    ("server", &["job", "wire", "queue"]),
    ("runner", &["job", "queue"]),
    ("host", &["job"]),
    ("release", &["job"]),
    ("supervisor", &["job"]),
    ("client", &["job", "wire"]),
    ("agent", &["job", "wire", "host", "release", "supervisor", "runner", "aloud-client"]),
    (
        "aloud",
        &[
            "job",
            "store",
            "queue",
            "wire",
            "server",
            "runner",
            "host",
            "release",
            "supervisor",
            "aloud-client",
            "agent",
            "notice",
        ],
    ),
    ("notice", &["aloud-client"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn folder(name: &str) -> PathBuf {
    root().join(if name == "notice" { "examples" } else { "crates" }).join(name)
}

/// Every file below `folder` with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with("target") && name != ".git" {
                found.extend(files(&path, endings));
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_crate_depends_only_on_those_above_it() {
    let listed: BTreeMap<_, _> = MAY_KNOW.into();
    let names: Vec<_> = fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len() + 1, listed.len(), "a crate is missing in MAY_KNOW, or listed there in vain: {names:?}");
    for (name, may_know) in listed {
        let manifest: toml::Table = fs::read_to_string(folder(name).join("Cargo.toml")).unwrap().parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        let ours =
            dependencies.keys().filter(|key| MAY_KNOW.iter().any(|(ours, _)| ours == key) || key.starts_with("aloud"));
        for dependency in ours {
            assert!(may_know.contains(&dependency.as_str()), "`{name}` may not depend on `{dependency}`");
        }
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (name, _) in MAY_KNOW {
        assert!(architecture.contains(&format!("[`{name}`]")) || name == "notice", "`{name}` is not in the table");
    }
}

#[test]
fn a_database_driver_stays_in_its_module() {
    let at_home = ["crates/store/src/sqlite", "crates/client/src/outbox", "crates/client/examples", "examples/notice"];
    for path in files(&root(), &[".rs"]) {
        let relative = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let test = relative.contains("/tests/") || relative.contains("/benches/");
        if test || at_home.iter().any(|home| relative.starts_with(home)) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let named = source.lines().any(|line| line.contains("rusqlite::") && !line.trim_start().starts_with("//"));
        assert!(!named, "{relative} names the database driver");
    }
}

#[test]
fn every_source_file_is_named_by_another() {
    for (name, _) in MAY_KNOW {
        let src = folder(name).join("src");
        let all: Vec<_> = files(&src, &[".rs"]);
        let sources: String = all.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        for path in all {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let root = ["lib", "main", "mod"].contains(&stem.as_str()) || path.parent().unwrap().ends_with("bin");
            assert!(root || sources.contains(&format!("mod {stem};")), "{} is named by no `mod`", path.display());
        }
        for path in files(&src, &[".sql", ".html", ".css", ".js", ".txt"]) {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(sources.contains(&file), "{} is used nowhere", path.display());
        }
    }
}

#[test]
fn no_crate_allows_unsafe_code() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    for (name, _) in MAY_KNOW {
        let manifest: toml::Table = fs::read_to_string(folder(name).join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "`{name}` does not take the lints");
    }
}

#[test]
fn rooms_have_nouns() {
    for path in files(&root(), &[".rs"]) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let no_noun = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "imp"];
        assert!(!no_noun.contains(&stem.as_str()), "{}: which noun does it serve?", path.display());
    }
}
