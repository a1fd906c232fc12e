//! Rows and columns for people: fitted to a terminal, plain in a pipe.
//!
//! Scripts are better served by `--json`; still, what stands in a pipe is one
//! row a line, with the same columns whatever the width of a terminal.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, LineStyle, TableStyle};

/// On a terminal: a line under the header, and none elsewhere.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Rows under a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.header.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Writes it to where the output goes.
    pub(crate) fn print(&self) -> io::Result<()> {
        let stdout = io::stdout();
        let text = if stdout.is_terminal() { self.fitted(None) } else { self.plain() };
        stdout.lock().write_all(text.as_bytes())
    }

    fn fitted(&self, width: Option<u16>) -> String {
        let mut table = self.styled(RULED);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = width {
            table.set_width(width);
        }
        table.trim_fmt() + "\n"
    }

    fn plain(&self) -> String {
        let mut table = self.styled(TableStyle::new());
        table.set_content_arrangement(ContentArrangement::Disabled);
        let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
        lines.join("\n") + "\n"
    }

    fn styled(&self, style: TableStyle) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(style);
        table.set_header(self.header.iter().map(|name| name.to_uppercase()));
        table.add_rows(self.rows.iter().map(|row| row.iter().map(|cell| one_line(cell))));
        table
    }
}

/// A cell never holds what would move a terminal's cursor, or break the row.
fn one_line(cell: &str) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues() -> Table {
        let mut table = Table::new(&["queue", "ready", "paused"]);
        table.row(vec!["mail".into(), "12".into(), "by ute:\nthe smarthost is down".into()]);
        table.row(vec!["default".into(), "0".into(), String::new()]);
        table
    }

    #[test]
    fn a_pipe_gets_one_row_a_line() {
        insta::assert_snapshot!(queues().plain(), @r"
        QUEUE    READY  PAUSED
        mail     12     by ute: the smarthost is down
        default  0      -
        ");
    }

    #[test]
    fn a_terminal_gets_what_fits_its_width() {
        insta::assert_snapshot!(queues().fitted(Some(40)), @r"
         QUEUE     READY   PAUSED
        ─────────────────────────────────────
         mail      12      by ute: the
                           smarthost is down
         default   0       -
        ");
    }
}
