//! The atomics of stocks and rates: those of the standard library, or, with `--cfg interleaved`, loom's, which try all
//! interleavings of the threads that use them.

#[cfg(not(all(test, interleaved)))]
pub(super) use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

#[cfg(all(test, interleaved))]
pub(super) use tried::{AtomicI64, AtomicU64, Ordering};

#[cfg(all(test, interleaved))]
mod tried {
    pub(in crate::team) use loom::sync::atomic::Ordering;
    use std::ops::Deref;

    macro_rules! named_as_in_std {
        ($name:ident, $number:ty) => {
            #[derive(Debug)]
            pub(in crate::team) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(in crate::team) fn new(number: $number) -> Self {
                    Self(loom::sync::atomic::$name::new(number))
                }

                pub(in crate::team) fn try_update(
                    &self,
                    set: Ordering,
                    get: Ordering,
                    next: impl FnMut($number) -> Option<$number>,
                ) -> Result<$number, $number> {
                    self.0.fetch_update(set, get, next)
                }

                #[allow(dead_code, reason = "not of both numbers")]
                pub(in crate::team) fn update(
                    &self,
                    set: Ordering,
                    get: Ordering,
                    mut next: impl FnMut($number) -> $number,
                ) -> $number {
                    self.0.fetch_update(set, get, |number| Some(next(number))).unwrap_or_else(|number| number)
                }
            }

            impl Deref for $name {
                type Target = loom::sync::atomic::$name;
                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }
        };
    }

    named_as_in_std!(AtomicI64, i64);
    named_as_in_std!(AtomicU64, u64);
}
