//! What the prompt of a request looks like, as it came and as it went out.

use gateway_core::prompt_shape::PromptShape;
use gateway_core::rules::document::{Ends, Layout};

/// What the prompt of a request looks like.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// Whether somebody wants to know, and does not yet: its body is a prompt, and rows are kept.
    pub is_wanted: bool,
    /// Whether that is to be kept, for dry runs.
    pub is_kept: bool,
    /// Whether the body was read as it came.
    is_read: bool,
    /// Where its members stand there.
    layout: Option<Layout>,
    /// What of the body that goes out is as it came, if that is known.
    pub ends: Ends,
    /// As it came.
    pub came: Option<Box<PromptShape>>,
    /// As it went out, where rules changed it.
    pub sent: Option<Box<PromptShape>>,
}

impl Shapes {
    /// Where the members of the body stand, as it came; `None` if nobody wants to know what it looks like.
    pub(crate) fn layout(&mut self, came: &[u8]) -> Option<&Layout> {
        if self.is_wanted && !std::mem::replace(&mut self.is_read, true) {
            let (shape, layout) = PromptShape::with_layout(came).unzip();
            (self.came, self.layout) = (shape.map(Box::new), layout);
        }
        self.layout.as_ref()
    }

    /// Notes it, once, of the body as it came and of what rules made of it. This is done just before both are given up, so that
    /// a request that no rule reads does not wait for it on its way to the upstream.
    pub(crate) fn note(&mut self, came: Option<&[u8]>, sent: Option<&[u8]>) {
        if !self.is_wanted {
            return;
        }
        if let Some(came) = came {
            self.layout(came);
        }
        (self.is_wanted, self.layout) = (false, None);
        let shape = |sent| match (&self.came, came) {
            (Some(shape), Some(came)) => shape.of_changed(came, sent, self.ends),
            _ => PromptShape::of(sent),
        };
        self.sent = sent.and_then(shape).map(Box::new);
    }
}
