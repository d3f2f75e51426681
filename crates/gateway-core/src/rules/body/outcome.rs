//! What an action did to a body, or why it changed nothing.

use crate::language::Words;
use crate::language::both;
use crate::rules::document::NoChange;
use std::fmt;

/// What an action did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The text of a block was replaced.
    Replaced,
    /// The same, and it was the attribution of Claude Code.
    AttributionReplaced,
    /// Text was put before the text of a block.
    Prepended,
    /// Text was put after the text of a block.
    Appended,
    /// A block was inserted.
    Inserted,
    /// `system` became a list.
    Listed,
    /// Something was removed.
    Removed,
    /// The model got another name.
    Mapped,
    /// A value was set.
    Set,
    /// Blanks were dropped.
    Compacted,
}

impl Change {
    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::AttributionReplaced => "attribution_replaced",
            Self::Prepended => "prepended",
            Self::Appended => "appended",
            Self::Inserted => "inserted",
            Self::Listed => "listed",
            Self::Removed => "removed",
            Self::Mapped => "mapped",
            Self::Set => "set",
            Self::Compacted => "compacted",
        }
    }
}

impl Change {
    /// What it did, in both languages: in English by its name.
    pub fn words(self) -> Words {
        match self {
            Self::Replaced => both!("replaced", "已替换"),
            Self::AttributionReplaced => both!("attribution_replaced", "替换了归属块"),
            Self::Prepended => both!("prepended", "在前面添加"),
            Self::Appended => both!("appended", "在后面添加"),
            Self::Inserted => both!("inserted", "已插入"),
            Self::Listed => both!("listed", "改成了列表"),
            Self::Removed => both!("removed", "已删除"),
            Self::Mapped => both!("mapped", "已换名"),
            Self::Set => both!("set", "已设置"),
            Self::Compacted => both!("compacted", "去掉了空白"),
        }
    }
}

/// Why an action changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// The body is a JSON text, but no object.
    NotAnObject,
    /// There is no member `system`.
    NoSystem,
    /// `system` is something else than a list.
    NotAList,
    /// `system` is an empty list.
    Empty,
    /// The block has no text, or one that is no string.
    NoText,
    /// The block is the attribution of Claude Code, to which nothing may be added.
    Attribution,
    /// No block of `system` is the one that is meant.
    NoBlock,
    /// There is no member `model`, or it is no string.
    NoModel,
    /// No glob matches the model.
    NoName,
    /// The document has no place for it, or needs no change.
    Document(NoChange),
}

impl Unchanged {
    /// Why, in both languages.
    pub fn words(self) -> Words {
        match self {
            Self::NotAnObject => both!("the body is not a JSON object", "请求体不是 JSON 对象"),
            Self::NoSystem => both!("the body has no `system`", "请求体中没有 `system`"),
            Self::NotAList => both!("`system` is not a list", "`system` 不是列表"),
            Self::Empty => both!("`system` is empty", "`system` 是空的"),
            Self::NoText => both!("the block of `system` has no text", "`system` 的这个块没有文本"),
            Self::Attribution => both!(
                "the block of `system` is Claude Code's attribution, to which nothing may be added; name another target",
                "`system` 的这个块是 Claude Code 的归属块，不能在其中添加内容；请换一个目标"
            ),
            Self::NoBlock => both!("`system` has no such block", "`system` 中没有这个块"),
            Self::NoModel => both!("the body names no model", "请求体没有写模型"),
            Self::NoName => both!("no name is given for this model", "没有为这个模型指定新名称"),
            Self::Document(why) => why.words(),
        }
    }

    /// The name in the access log and the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::NoSystem => "no_system",
            Self::NotAList => "not_a_list",
            Self::Empty => "empty",
            Self::NoText => "no_text",
            Self::Attribution => "attribution",
            Self::NoBlock => "no_block",
            Self::NoModel => "no_model",
            Self::NoName => "no_name",
            Self::Document(NoChange::Same) => "same",
            Self::Document(NoChange::NoPlace) => "no_place",
            Self::Document(NoChange::Absent) => "absent",
            Self::Document(NoChange::TooLarge) => "too_large",
            Self::Document(NoChange::Present) => "present",
        }
    }
}

impl From<NoChange> for Unchanged {
    fn from(why: NoChange) -> Self {
        Self::Document(why)
    }
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

/// What an action did, or why nothing.
pub type Outcome = Result<Change, Unchanged>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::documented;

    #[test]
    fn the_documented_codes_are_those_of_all_outcomes() {
        use {Change as C, NoChange as N, Unchanged as U};
        let changes = [
            C::Replaced,
            C::AttributionReplaced,
            C::Prepended,
            C::Appended,
            C::Inserted,
            C::Listed,
            C::Removed,
            C::Mapped,
            C::Set,
            C::Compacted,
        ];
        let unchanged = [
            U::NotAnObject,
            U::NoSystem,
            U::NotAList,
            U::Empty,
            U::NoText,
            U::Attribution,
            U::NoBlock,
            U::NoModel,
            U::NoName,
        ];
        let of_document = [N::Same, N::NoPlace, N::Absent, N::TooLarge, N::Present].map(U::Document);
        // A new value stops this from compiling: it belongs into a list above too.
        let known = |change: &Change| match change {
            C::Replaced
            | C::AttributionReplaced
            | C::Prepended
            | C::Appended
            | C::Inserted
            | C::Listed
            | C::Removed => change.name(),
            C::Mapped | C::Set | C::Compacted => change.name(),
        };
        let known_unchanged = |unchanged: &Unchanged| match unchanged {
            U::NotAnObject | U::NoSystem | U::NotAList | U::Empty | U::NoText | U::Attribution => unchanged.name(),
            U::NoBlock => unchanged.name(),
            U::NoModel | U::NoName | U::Document(N::Same | N::NoPlace | N::Absent | N::TooLarge | N::Present) => {
                unchanged.name()
            }
        };
        let all = changes.iter().map(known).chain(unchanged.iter().chain(&of_document).map(known_unchanged));
        assert_eq!(documented("BodyOutcome"), all.collect::<Vec<_>>());
    }
}
