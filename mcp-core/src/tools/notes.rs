//! What a backend remarks on its answer, within a share of the answer's size.

use rmcp::model::JsonObject;

use super::{
    shape::json_bytes,
    text::{fitted, push},
};

/// Part of an answer's size that the notes may have, so that most is left to the data.
const SHARE: usize = 4;

/// What a note takes beside itself: in JSON quotes and a comma, in the text its kind and a break.
const AROUND_BYTES: usize = 16;

/// A piece of a note that is shorter than this tells nothing.
const PIECE_BYTES_MIN: usize = 64;

/// Warnings and infos that fit.
#[derive(Debug)]
pub(crate) struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Notes {
    /// Takes what fits into an answer of `answer_bytes_max` bytes, warnings first.
    pub(crate) fn fit(warnings: &[String], infos: &[String], answer_bytes_max: usize) -> Self {
        let mut room = answer_bytes_max / SHARE;
        let warnings = take(warnings, &mut room);
        Self { warnings, infos: take(infos, &mut room) }
    }

    /// Adds them to a structured answer.
    pub(crate) fn put(&self, structured: &mut JsonObject) {
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                structured.insert(name.to_owned(), notes.as_slice().into());
            }
        }
    }

    /// The lines that tell them to a reader, each after a break.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (kind, notes) in [("warning", &self.warnings), ("info", &self.infos)] {
            for note in notes {
                push(&mut text, format_args!("\n{kind}: {note}"));
            }
        }
        text
    }
}

/// Takes notes while there is room for them in both forms of the answer.
fn take(notes: &[String], room: &mut usize) -> Vec<String> {
    let mut taken: Vec<String> = Vec::with_capacity(notes.len());
    for note in notes {
        let each_max = (*room / 2).saturating_sub(AROUND_BYTES);
        let whole = json_bytes(note) <= each_max;
        if !whole && each_max < PIECE_BYTES_MIN {
            let more = notes.len() - taken.len();
            taken.push(format!("and {more} more"));
            break;
        }
        let note = fitted(note, each_max);
        *room = room.saturating_sub(2 * (json_bytes(&note) + AROUND_BYTES));
        taken.push(note);
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notes(count: usize, bytes: usize) -> Vec<String> {
        vec!["w".repeat(bytes); count]
    }

    #[test]
    fn notes_that_fit_are_whole() {
        let notes = Notes::fit(&notes(2, 100), &notes(1, 50), 64 << 10);
        let mut structured = JsonObject::new();
        notes.put(&mut structured);
        assert_eq!(structured["warnings"], json!(["w".repeat(100), "w".repeat(100)]));
        assert_eq!(structured["infos"], json!(["w".repeat(50)]));
    }

    #[test]
    fn notes_keep_to_their_share_in_both_forms_and_say_what_is_missing() {
        for hostile in ["w", "\u{1}", "é", "\""] {
            let many = vec![hostile.repeat(1000); 11];
            for answer_bytes_max in [4 << 10, 64 << 10] {
                let notes = Notes::fit(&many, &many, answer_bytes_max);
                let (mut structured, text) = (JsonObject::new(), notes.text());
                notes.put(&mut structured);
                let bytes = json_bytes(&structured) + json_bytes(&text);
                assert!(bytes <= answer_bytes_max / SHARE + 128, "{bytes} of {answer_bytes_max}");
                assert!(bytes > answer_bytes_max / SHARE / 2, "{bytes} of {answer_bytes_max}");
                assert!(text.contains("more") || text.contains("(cut)"), "{text}");
            }
        }
    }
}
