//! Sections of `aloud.toml`, each declared once.
//!
//! [`section!`] makes of one declaration the type that the file is read into,
//! the overlay of the environment, and the entries of the reference and of the
//! sample file. So the doc comment of a setting is its manual entry, and there
//! is no second place to forget.

use crate::report::Report;
use crate::settings::env::Env;

/// A section, as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// Its header, without brackets; empty at the top of the file.
    pub(crate) name: &'static str,
    /// What it is about, line by line.
    pub(crate) doc: &'static [&'static str],
    /// Its settings, in the order of their declaration.
    pub(crate) entries: &'static [Entry],
}

/// A setting, as the reference shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its key.
    pub(crate) key: &'static str,
    /// What it means, line by line.
    pub(crate) doc: &'static [&'static str],
    /// A value as TOML: the default where there is one, else an example.
    pub(crate) value: Value,
    /// The variable that overrides the file; empty if there is none.
    pub(crate) env: &'static str,
    /// The flag that overrides both; empty if there is none.
    pub(crate) flag: &'static str,
}

/// What a setting is if it is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// This, in TOML.
    Default(&'static str),
    /// Decided elsewhere, as its doc comment says; this is an example, in TOML.
    Example(&'static str),
}

/// A section that the environment can override.
pub(crate) trait Overlay {
    /// Lets the environment override what the file said.
    fn overlay(&mut self, env: &Env) -> Result<(), Report>;
}

/// Declares a section: see `settings/file.rs` for how it reads.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        [$name:literal] $section:ident {
            $(
                $(#[doc = $doc:literal])*
                $key:ident: $type:ty = $value:ident($toml:literal) $(, env $env:literal)? $(, flag $flag:literal)?;
            )*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $section {
            $($(#[doc = $doc])* pub(crate) $key: Option<$type>,)*
        }

        impl $section {
            /// What the reference says of it.
            pub(crate) const MANUAL: $crate::settings::section::Section = $crate::settings::section::Section {
                name: $name,
                doc: &[$($section_doc),*],
                entries: &[$($crate::settings::section::Entry {
                    key: stringify!($key),
                    doc: &[$($doc),*],
                    value: $crate::settings::section::Value::$value($toml),
                    env: concat!("", $($env)?),
                    flag: concat!("", $($flag)?),
                }),*],
            };
        }

        impl $crate::settings::section::Overlay for $section {
            fn overlay(&mut self, env: &$crate::settings::env::Env) -> Result<(), $crate::report::Report> {
                $(
                    if let Some(value) = env.read(concat!("", $($env)?))? {
                        self.$key = Some(value);
                    }
                )*
                Ok(())
            }
        }
    };
}
pub(crate) use section;
