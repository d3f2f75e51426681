//! Which tools a response is to use, by name. Bounded, whatever an upstream sends.

/// Most names that are told apart.
pub const MOST_NAMES: usize = 16;
/// Most characters of a name that are kept.
pub const LONGEST_NAME: usize = 64;

/// Names of tools, each with how often it was to be used, in the order in which they came. Uses of further tools are in the
/// count of all uses alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools(Vec<(String, u32)>);

impl Tools {
    /// One more use of a tool.
    pub fn add(&mut self, name: &str) {
        self.count(name, 1);
    }

    /// Whether none has a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, uses)| (name.as_str(), *uses))
    }

    /// The same with other names; `is_cut` says that a name may be only the beginning of one.
    pub fn renamed(&self, clean: impl Fn(&str, bool) -> String) -> Self {
        let mut renamed = Self::default();
        for (name, uses) in self.iter() {
            renamed.count(&clean(name, name.chars().count() >= LONGEST_NAME), uses);
        }
        renamed
    }

    fn count(&mut self, name: &str, uses: u32) {
        let name = name.char_indices().nth(LONGEST_NAME).map_or(name, |(end, _)| &name[..end]);
        if name.trim().is_empty() {
            return;
        }
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| known == name) {
            *known = known.saturating_add(uses);
        } else if self.0.len() < MOST_NAMES {
            self.0.push((name.to_owned(), uses));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_names_of_such_a_length_are_told_apart() {
        let mut tools = Tools::default();
        for round in 0..3 {
            for number in 0..40 {
                tools.add(&format!("{number:02}{}", "ü".repeat(200)));
            }
            tools.add(" ");
            tools.add("");
            assert_eq!(tools.iter().count(), MOST_NAMES, "{round}");
        }
        for (number, (name, uses)) in tools.iter().enumerate() {
            assert_eq!((name.chars().count(), uses), (LONGEST_NAME, 3));
            assert!(name.starts_with(&format!("{number:02}")), "those that came first");
        }
    }

    #[test]
    fn names_that_become_the_same_are_one() {
        let mut tools = Tools::default();
        ["sk-a", "Read", "sk-b", "sk-a"].into_iter().for_each(|name| tools.add(name));
        let clean =
            tools.renamed(|name, _| if name.starts_with("sk-") { "********".to_owned() } else { name.to_owned() });
        assert_eq!(clean.iter().collect::<Vec<_>>(), [("********", 3), ("Read", 1)]);
        tools.add(&"x".repeat(65));
        let cut = std::cell::RefCell::new(Vec::new());
        let _ = tools.renamed(|name, is_cut| {
            cut.borrow_mut().push(is_cut);
            name.to_owned()
        });
        assert_eq!(cut.into_inner(), [false, false, false, true]);
    }
}
