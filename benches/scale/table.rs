//! Tables in Markdown, for the documentation.

/// Prints a title and a table, its first column to the left and the others to the right.
pub(crate) fn print(title: &str, heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .chain([heads[column].chars().count(), 3])
            .max()
            .unwrap_or(3)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    println!("\n{title}\n");
    println!("{}", line(heads.to_vec()));
    let rules = widths.iter().enumerate().map(|(at, width)| {
        let dashes = "-".repeat(*width);
        if at == 0 { dashes } else { format!("{}:", &dashes[1..]) }
    });
    println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
    for row in rows {
        println!("{}", line(row.iter().map(String::as_str).collect()));
    }
}
