//! What an access record can say: a closed list of facts, each with its name in every format.
//!
//! The list stands before the configuration, which names fields in its rules, and before the access log, which
//! writes them. The documentation's table and the JSON Schema of a record are made from it, so that none of them
//! can say something else.

mod schema;
mod table;

pub use self::schema::{record_schema_json, table_markdown};

/// The version of the schema, which begins each record.
///
/// A new field does not change it; a field that goes, or means something else, does.
pub const SCHEMA_VERSION: u64 = 1;

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A moment, in UTC with milliseconds.
    Time,
    /// A whole number.
    Number,
    /// A length of time, in milliseconds with microseconds as fraction.
    Milliseconds,
    /// One of a few words of ours.
    Word,
    /// Text of ours or of the operator.
    Text,
    /// Text that a client gave: the detectors look at it.
    Client,
    /// An address, with its port where there is one.
    Address,
    /// Several texts of ours or of a token.
    List,
    /// Several texts that a client gave.
    ClientList,
    /// Texts by name.
    Object,
}

impl Kind {
    /// Whether such a value can be masked, hashed or shown by its length: each makes a text of it.
    #[must_use]
    pub const fn is_redactable(self) -> bool {
        matches!(self, Self::Text | Self::Client | Self::Address)
    }

    /// The kind in words, for a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Number => "number",
            Self::Milliseconds => "milliseconds",
            Self::Word => "word",
            Self::Text => "text",
            Self::Client => "client's text",
            Self::Address => "address",
            Self::List => "list of texts",
            Self::ClientList => "list of client's texts",
            Self::Object => "object of texts",
        }
    }
}

/// Makes the closed list of fields. Each line: its name in JSON, in ECS and as an `OpenTelemetry` attribute, its kind,
/// and what it means.
macro_rules! fields {
    ($($variant:ident = $json:literal, $ecs:literal, $otel:literal, $kind:ident, $meaning:literal;)+) => {
        /// A fact that a record can hold. The order is that in which they are written.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $(#[doc = $meaning] $variant,)+
        }

        impl Field {
            /// Every field, in the order in which they are written.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Their names in a JSON record, in the same order.
            pub const NAMES: [&'static str; Self::COUNT] = [$($json,)+];

            /// Their names in a record of the Elastic Common Schema, in the same order.
            pub const ECS_NAMES: [&'static str; Self::COUNT] = [$($ecs,)+];

            /// Place of the field in [`Field::ALL`].
            #[must_use]
            #[expect(clippy::as_conversions, reason = "the discriminant of an enum without fields")]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Its name in a JSON record, and in a filter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $json,)+ }
            }

            /// Its name in a record of the Elastic Common Schema.
            #[must_use]
            pub const fn ecs_name(self) -> &'static str {
                match self { $(Self::$variant => $ecs,)+ }
            }

            /// Its name as an attribute of an `OpenTelemetry` log record.
            #[must_use]
            pub const fn otel_name(self) -> &'static str {
                match self { $(Self::$variant => $otel,)+ }
            }

            /// What kind of value it holds.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

use fields;

pub use self::table::Field;

impl Field {
    /// The field of that name in JSON records.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// Whether every record holds it, so that no rule can take it out or change it: without these nobody could read
    /// the others.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Version | Self::Event | Self::Time)
    }

    /// Longest text written of it, in bytes; what is longer is cut and ends with `…`.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        if matches!(self, Self::Query) {
            2048
        } else if matches!(self, Self::Path | Self::Resource) {
            512
        } else if matches!(self, Self::UserAgent | Self::Subject | Self::Issuer) {
            256
        } else {
            128
        }
    }
}

#[cfg(test)]
mod tests;
