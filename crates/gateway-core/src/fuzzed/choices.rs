//! An input as a list of choices: from its front they are taken, and what is left is a text.

use crate::usage::summary::Tokens;

/// Choices, and a text behind them. When they are used up, each is 0.
#[derive(Debug)]
pub(super) struct Choices<'i>(&'i [u8]);

impl<'i> Choices<'i> {
    /// Those of an input.
    pub(super) fn new(input: &'i [u8]) -> Self {
        Self(input)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Whether there are none left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `count`, which is at most 256.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// One of these.
    pub(super) fn one<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        &of[self.below(of.len())]
    }

    /// A number of any size.
    pub(super) fn number(&mut self) -> u64 {
        let size = self.below(9);
        (0..size).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// So many bytes, or as many as there are.
    pub(super) fn bytes(&mut self, count: usize) -> &'i [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// What is left.
    pub(super) fn rest(self) -> &'i [u8] {
        self.0
    }

    /// Tokens of all kinds, of any number.
    pub(super) fn tokens(&mut self) -> Tokens {
        Tokens {
            input: self.number(),
            output: self.number(),
            cache_write: self.number(),
            cache_write_1h: self.number(),
            cache_read: self.number(),
        }
    }
}
