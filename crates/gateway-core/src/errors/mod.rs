//! What the errors of upstreams mean: rules that say by an error's status, type, code and words what follows. Pure: an error
//! and rules in, the rule that decides out.

pub mod built_in;
mod known;
mod rule;
mod then;
mod told;
mod when;

pub use known::{BUILT_IN, BuiltIn, Says, Where};
pub use rule::{ErrorRule, Which, deciding};
pub use then::{Of, Substitute, Then};
pub use told::{Told, status_of_type};
pub use when::{Unmet, When, Words};

/// How much of an error's body is read before anything follows, decoded.
pub const DECIDING_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
