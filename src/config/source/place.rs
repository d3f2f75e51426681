//! Places in a text: lines and columns from 1. Columns count characters, as an editor does.

/// Line and column of the byte at `offset`; of the text's end for what lies behind it.
pub(crate) fn place_in(text: &str, offset: usize) -> (usize, usize) {
    let is_before = |&(at, character): &(usize, char)| at + character.len_utf8() <= offset;
    text.char_indices().take_while(is_before).fold((1, 1), |(line, column), (_, character)| match character {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    })
}

/// Where a place of serde_json's is in `text`, as an offset: its columns count bytes, and are those of the last byte that it
/// has read.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "网关 x\n\té😀=1\n";
        for (part, place) in
            [("网", (1, 1)), ("关", (1, 2)), ("x", (1, 4)), ("é", (2, 2)), ("😀", (2, 3)), ("1", (2, 5))]
        {
            assert_eq!(place_in(text, text.find(part).expect(part)), place, "{part}");
        }
        assert_eq!((place_in(text, text.len()), place_in(text, 999), place_in("", 0)), ((3, 1), (3, 1), (1, 1)));
        assert_eq!(place_in(text, 1), (1, 1), "within a character");
    }
}
