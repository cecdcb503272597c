//! From a file to a [`Config`], or to everything that is wrong with it.
//!
//! The steps, in order: read (bounded) → parse YAML → merge keys → expand variables → hold
//! against the schema → check the meaning. Each goes on after a fault where it can.

use std::path::Path;

use serde_json::Value;

use super::{
    Config, Source,
    check::Check,
    expand::{self, Environment},
    fault::{ConfigFaults, Faults},
    file, form,
    place::At,
    raw, source,
};

/// Largest configuration file, in bytes. One with 64 backends takes about 50 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Loads a configuration file.
///
/// # Errors
/// [`ConfigFaults`] with everything that is wrong: with the file, its YAML, its form, its meaning
/// or the files that it names.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Config, ConfigFaults> {
    let (source, text) = read(path)?;
    checked((path, &text), env, vec![source], true)
}

/// Loads a configuration file to serve over standard input and output, which has no access log: whether
/// that could be written does not matter then.
///
/// # Errors
/// As [`load()`].
pub fn load_for_stdio(path: &Path, env: &dyn Environment) -> Result<Config, ConfigFaults> {
    let (source, text) = read(path)?;
    checked((path, &text), env, vec![source], false)
}

/// Loads a configuration from its text; `path` names it in faults, and relative paths in it start
/// at that file's folder.
///
/// # Errors
/// As [`load()`].
pub fn parse(path: &Path, text: &str, env: &dyn Environment) -> Result<Config, ConfigFaults> {
    checked((path, text), env, Vec::new(), true)
}

fn read(path: &Path) -> Result<(Source, String), ConfigFaults> {
    let (source, read) = file::read(path, FILE_BYTES_MAX);
    let single = |what: String, mend: &str| {
        ConfigFaults::single(path, None, what, mend.to_owned(), vec![source.clone()])
    };
    let bytes = read.map_err(|error| {
        let mend = error.mend(
            "check the path and that this user may read it, or name another file with `--config`",
        );
        single(error.words(FILE_BYTES_MAX), mend)
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((source, text)),
        Err(_not_text) => Err(single("is not UTF-8 text".to_owned(), "save it as UTF-8")),
    }
}

fn checked(
    (path, text): (&Path, &str),
    env: &dyn Environment,
    sources: Vec<Source>,
    may_serve_http: bool,
) -> Result<Config, ConfigFaults> {
    let mut faults = Faults::default();
    let mut tree = match source::read(text, &mut faults) {
        Ok(tree) => tree,
        Err(source::Unreadable { line, what, mend }) => {
            return Err(ConfigFaults::single(path, line, what, mend.to_owned(), sources));
        }
    };
    if let Some(top) = tree.as_object_mut() {
        top.retain(|key, _| !key.starts_with("x-"));
    }
    expand::expand(&mut tree, &At::default(), env, &mut faults);
    form::fit(&mut tree, &raw::schema(), &mut faults);
    let raw = raw_config(&tree, &mut faults);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut check = Check { faults: &mut faults, folder, sources, may_serve_http };
    let config = check.config(raw);
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(faults.into_report((path, text), config.sources))
    }
}

/// The tree as types. It fits them, since it fits their schema; if it ever should not, the place
/// is named, and the message of the deserializer is dropped because it quotes the value.
fn raw_config(tree: &Value, faults: &mut Faults) -> raw::Config {
    match serde_path_to_error::deserialize::<_, raw::Config>(tree) {
        Ok(raw) => raw,
        Err(error) => {
            let place = error.path().iter().fold(At::default(), |at, segment| match segment {
                serde_path_to_error::Segment::Map { key } => at.key(key),
                serde_path_to_error::Segment::Seq { index } => at.item(*index),
                serde_path_to_error::Segment::Enum { .. }
                | serde_path_to_error::Segment::Unknown => at,
            });
            faults.push(&place, "this value does not fit", "see `promgate schema` for its form");
            raw::Config::default()
        }
    }
}
