//! A tab in an indentation, where YAML takes only blanks: what its reader says of that is hard to understand.

/// Where it is in a text that YAML finds wrong in this line; line and column, from 1. Where that is said to be about a tab, it
/// may be in the next line or the one before.
pub(super) fn near(yaml: &str, line: usize, is_about_tabs: bool) -> Option<(usize, usize)> {
    let reach = usize::from(is_about_tabs);
    let lines = [Some(line), line.checked_add(reach), line.checked_sub(reach)];
    lines.into_iter().flatten().find_map(|number| {
        let text = yaml.lines().nth(number.checked_sub(1)?)?;
        let column = text.chars().take_while(|&c| matches!(c, ' ' | '\t' | '-')).position(|c| c == '\t')?;
        Some((number, column + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_tab_is_found_in_the_indentation_alone() {
        for (yaml, line, is_about_tabs, wanted) in [
            ("a:\n\tb: c\n", 2, false, Some((2, 1))),
            ("a:\n  \tb: c\n", 2, true, Some((2, 3))),
            ("a:\n  b: c\n\td: e\n", 2, true, Some((3, 1))),
            ("a:\n\tb: c\n  d: e\n", 3, true, Some((2, 1))),
            ("a:\n\tb: c\n  d: e\n", 3, false, None),
            ("a:\n  -\t- b\n", 2, true, Some((2, 4))),
            ("a:\tb\n", 1, true, None),
            ("", 1, true, None),
        ] {
            assert_eq!(near(yaml, line, is_about_tabs), wanted, "{yaml:?}");
        }
    }
}
