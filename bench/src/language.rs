//! The languages in which results are written; `docs/benchmarks.md` has a twin in each.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The one that is in this language.
    pub(crate) fn pick<T>(self, english: T, chinese: T) -> T {
        match self {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// The page in this language, from the root of the repository.
    pub(crate) fn page(self) -> &'static str {
        self.pick("docs/benchmarks.md", "docs/benchmarks.zh-CN.md")
    }
}
