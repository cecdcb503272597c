//! A table as a terminal shows it.

/// Space between two columns.
const GAP: &str = "  ";

/// A row: its cells, fewer than columns where the last are empty, and what stands below it.
#[derive(Debug)]
pub struct Row {
    /// The cells, in the order of the columns.
    pub cells: Vec<String>,
    /// A line below, indented.
    pub remark: Option<String>,
}

/// Lines of text, each column as wide as its widest cell.
#[must_use]
pub fn table(header: &[&str], rows: impl Iterator<Item = Row>) -> String {
    let header = Row { cells: header.iter().map(|&name| name.to_owned()).collect(), remark: None };
    let rows: Vec<Row> = std::iter::once(header).chain(rows).collect();
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row.cells.get(column).map_or(0, width)).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for Row { cells, remark } in &rows {
        let mut line = String::new();
        for (cell, wide) in cells.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell))));
            line.push_str(GAP);
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(remark) = remark {
            text.push_str(GAP);
            text.push_str(remark);
            text.push('\n');
        }
    }
    text
}

#[expect(clippy::ptr_arg, reason = "it is mapped over cells")]
fn width(cell: &String) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_remarks_stand_below() {
        let row = |cells: &[&str], remark: Option<&str>| Row {
            cells: cells.iter().map(|&cell| cell.to_owned()).collect(),
            remark: remark.map(str::to_owned),
        };
        let rows = [row(&["größe", "yes", "1 ms"], None), row(&["b", "no"], Some("because: x"))];
        assert_eq!(
            table(&["name", "reachable", "after"], rows.into_iter()),
            "name   reachable  after\ngröße  yes        1 ms\nb      no\n  because: x\n"
        );
    }
}
