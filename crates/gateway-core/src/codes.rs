//! Enums whose values have codes.

/// An enum whose values have codes: what programs, the request log and metrics call them. A code is written beside its
/// value, so that a value can be renamed and its code stays. No code changes once it was released.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $value,)* }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// Its code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$value => $code,)* }
            }
        }
    };
}
pub(crate) use codes;
