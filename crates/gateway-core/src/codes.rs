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

/// The values of a schema of docs/openapi.yaml.
#[cfg(test)]
pub(crate) fn documented(schema: &str) -> Vec<&'static str> {
    let openapi = include_str!("../../../docs/openapi.yaml");
    let (_, schema) = openapi.split_once(&format!("\n    {schema}:\n")).expect("the schema");
    let (_, list) = schema.split_once("enum: [").expect("its values");
    let (list, _) = list.split_once(']').expect("their end");
    list.split(',').map(str::trim).collect()
}
