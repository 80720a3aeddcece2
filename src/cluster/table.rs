//! Columns, as wide as what is in them.

use super::teller::safe;

/// Lines of text under their heads.
pub(super) fn columns<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let safe = |row: &[String; N]| std::array::from_fn::<_, N, _>(|at| safe(&row[at]));
    let lines: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows.iter().map(safe)).collect();
    let widths: Vec<usize> =
        (0..N).map(|at| lines.iter().map(|row| row[at].chars().count()).max().unwrap_or_default()).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    lines.iter().fold(String::new(), |text, row| text + &line(row) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_as_wide_as_its_widest_cell() {
        let rows = [["a".to_owned(), "long".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(columns(["NAME", "B"], &rows), "NAME     B\na        long\nlonger\n");
    }
}
