//! Whether a change spoils what Anthropic has cached of earlier requests.

use crate::rules::document::{Document, compacted};

/// Whether the changes touch what Anthropic caches up to the last `cache_control` of `tools` and `system`, so that a
/// cache written without them is not hit. The order there is tools, system, messages, whatever the order in the body;
/// blanks between tokens do not count.
pub fn touches_cached_prefix(document: &Document<'_>) -> bool {
    let changed = document.to_bytes();
    let (Ok(mut before), Ok(mut after)) = (Document::parse(document.source().as_bytes()), Document::parse(&changed))
    else {
        return false;
    };
    let end_of = |blocks: &[Block]| blocks.iter().rposition(|block| block.cached).map_or(0, |last| last + 1);
    let (tools, system) = (blocks(&mut before, "tools"), blocks(&mut before, "system"));
    let (tools_after, system_after) = (blocks(&mut after, "tools"), blocks(&mut after, "system"));
    match end_of(&system) {
        0 => !tools_after.starts_with(&tools[..end_of(&tools)]),
        end => tools_after != tools || !system_after.starts_with(&system[..end]),
    }
}

/// An element of `tools` or `system`.
#[derive(PartialEq)]
struct Block {
    /// Without blanks between tokens.
    text: String,
    cached: bool,
}

fn blocks(document: &mut Document<'_>, name: &str) -> Vec<Block> {
    let source = document.source();
    let Some(root) = document.root_mut().object() else { return Vec::new() };
    let Some(list) = root.find(name).and_then(|place| root.at(place).list()) else { return Vec::new() };
    let length = list.len();
    let block = |index| {
        let node = list.at(index);
        let text = compacted(&node.text(source));
        let mark = node.object().and_then(|block| block.member("cache_control"));
        Block { text, cached: mark.is_some_and(|mark| mark.scalar() != Some("null")) }
    };
    (0..length).map(block).collect()
}
