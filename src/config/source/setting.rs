//! What a setting is. Each is declared once, in the section that reads it: key, variables, default, parser, help in both
//! languages. `check`, the schema, the panel and the tests of the documentation follow these declarations.

use super::message::Message;
use super::value;

/// What is known of a setting, whatever its type.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Path in the YAML file, dots between the levels.
    pub key: &'static str,
    /// Names in the environment and in `env/.env`; the first that is set counts.
    pub env: &'static [&'static str],
    /// The value if nobody sets it, as text; empty for "not set".
    pub default: &'static str,
    /// Whether it is a comma list, which may be a list in the YAML file too.
    pub is_list: bool,
    /// What it means.
    pub help: Help,
    /// Whether a change counts only after a restart or an upgrade.
    pub needs_restart: bool,
    /// Whether its value is never shown.
    pub is_secret: bool,
    /// Whether it is a key or holds one: blanks and line ends around it are no part of it.
    pub is_key: bool,
    /// Whether the panel may set it.
    pub panel: Panel,
}

/// A line for the operator.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "they are the languages")]
pub struct Help {
    pub en: &'static str,
    pub zh: &'static str,
}

/// Whether the panel may set something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// It may.
    MaySet,
    /// It may not any more: what older versions wrote still counts, with a warning.
    NoMore,
    /// It may not, and never could.
    Never,
}

/// One setting, whose texts become values of this type.
pub struct Setting<T: 'static> {
    /// What is known of it.
    pub about: About,
    parse: Parse<T>,
    /// How its text is shown, if not as it is.
    show: Option<fn(&str) -> String>,
}

enum Parse<T: 'static> {
    With(fn(&str) -> Result<T, Message>),
    /// One of these names.
    Choice(&'static [(&'static str, T)]),
    /// The same, in capitals; small letters will do.
    Capitals(&'static [(&'static str, T)]),
}

impl<T: Clone> Setting<T> {
    /// One value, with its default and help in English and Chinese.
    pub const fn one(
        key: &'static str,
        default: &'static str,
        parse: fn(&str) -> Result<T, Message>,
        en: &'static str,
        zh: &'static str,
    ) -> Self {
        let about = About {
            key,
            env: &[],
            default,
            is_list: false,
            help: Help { en, zh },
            needs_restart: false,
            is_secret: false,
            is_key: false,
            panel: Panel::MaySet,
        };
        Self { about, parse: Parse::With(parse), show: None }
    }

    /// A comma list.
    pub const fn list(
        key: &'static str,
        default: &'static str,
        parse: fn(&str) -> Result<T, Message>,
        en: &'static str,
        zh: &'static str,
    ) -> Self {
        let mut list = Self::one(key, default, parse, en, zh);
        list.about.is_list = true;
        list
    }

    /// One of a few values, by name.
    pub const fn choice(
        key: &'static str,
        default: &'static str,
        choices: &'static [(&'static str, T)],
        en: &'static str,
        zh: &'static str,
    ) -> Self {
        let Self { about, show, .. } = Self::one(key, default, |_| Err(Message::OneValueAlone), en, zh);
        Self { about, parse: Parse::Choice(choices), show }
    }

    /// Names of choices are in capitals, but small letters will do.
    pub const fn in_capitals(self) -> Self {
        let parse = match self.parse {
            Parse::Choice(choices) | Parse::Capitals(choices) => Parse::Capitals(choices),
            Parse::With(parse) => Parse::With(parse),
        };
        Self { about: self.about, parse, show: self.show }
    }

    /// Its variables.
    pub const fn env(mut self, names: &'static [&'static str]) -> Self {
        self.about.env = names;
        self
    }

    /// A change needs a restart.
    pub const fn restart(mut self) -> Self {
        self.about.needs_restart = true;
        self
    }

    /// It is a key: its value is never shown.
    pub const fn secret(mut self) -> Self {
        self.about.is_secret = true;
        self.key()
    }

    /// It holds a key: blanks and line ends around it are cut off.
    pub const fn key(mut self) -> Self {
        self.about.is_key = true;
        self
    }

    /// Whether the panel may set it.
    pub const fn panel(mut self, panel: Panel) -> Self {
        self.about.panel = panel;
        self
    }

    /// Its value is shown in another form than its text.
    pub const fn shown(mut self, show: fn(&str) -> String) -> Self {
        self.show = Some(show);
        self
    }

    /// The value of a text.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(&self, text: &str) -> Result<T, Message> {
        match self.parse {
            Parse::With(parse) => parse(text),
            Parse::Choice(choices) => value::choice(text, choices),
            Parse::Capitals(choices) => value::choice(&text.to_ascii_uppercase(), choices),
        }
    }

    /// The value if nobody sets it. The declarations are closed, and a test reads all defaults: one that cannot be read is a
    /// programming error.
    pub fn default_value(&self) -> T {
        match self.parse(self.about.default) {
            Ok(value) => value,
            Err(why) => panic!("the default of {} cannot be read: {why}", self.about.key),
        }
    }

    /// A text of it as it may be shown.
    pub fn show(&self, text: &str) -> String {
        match self.show {
            _ if self.about.is_secret => "********".to_owned(),
            Some(show) => show(text),
            None => text.to_owned(),
        }
    }

    /// The names of its values, if they are few.
    pub fn choices(&self) -> Vec<&'static str> {
        match self.parse {
            Parse::With(_) => Vec::new(),
            Parse::Choice(choices) | Parse::Capitals(choices) => choices.iter().map(|(name, _)| *name).collect(),
        }
    }
}

/// A setting of any type, for those who need all of them.
pub(crate) struct Entry {
    /// What is known of it.
    pub about: About,
    /// The names of its values, if they are few.
    pub choices: fn() -> Vec<&'static str>,
    /// Tells what is wrong with a text.
    #[cfg(test)]
    pub check: fn(&str) -> Result<(), Message>,
}

/// Declares the settings of a section, and `SETTINGS`, all of them.
macro_rules! settings {
    ($($name:ident: $type:ty = $declared:expr;)+) => {
        $(pub(crate) const $name: Setting<$type> = $declared;)+

        /// All settings of this section.
        pub(crate) const SETTINGS: &[$crate::config::source::setting::Entry] = &[$($crate::config::source::setting::Entry {
            about: $name.about,
            choices: || $name.choices(),
            #[cfg(test)]
            check: |text| $name.parse(text).map(drop),
        }),+];
    };
}
pub(crate) use settings;

/// A list or a mapping of names under `gateway:`, read apart from the settings.
#[derive(Debug)]
pub(crate) struct List {
    /// Its path.
    pub key: &'static str,
    /// What it is.
    pub help: Help,
}

/// All of them.
pub(crate) const LISTS: [List; 8] = [
    List {
        key: "gateway.upstreams",
        help: Help {
            en: "Where requests go. API_BASE_URL and API_BASE_URLS replace it.",
            zh: "请求发往哪里。API_BASE_URL 与 API_BASE_URLS 会取代它。",
        },
    },
    List {
        key: "gateway.rules",
        help: Help {
            en: "Rules that change requests, applied in order after those of the upstream's profile.",
            zh: "修改请求的规则，在上游的配置档（profile）的规则之后依次应用。",
        },
    },
    List {
        key: "gateway.failover.errors",
        help: Help {
            en: "What follows an upstream's error, by its status, type, code and message; before the built-in rules.",
            zh: "上游返回错误后怎么办，按状态码、类型、代码和消息判断；优先于内置规则。",
        },
    },
    List {
        key: "gateway.routes",
        help: Help { en: "Which client keys go to which upstreams.", zh: "哪些客户端密钥使用哪些上游。" },
    },
    List {
        key: "gateway.prices",
        help: Help {
            en: "What tokens cost, by model; before the built-in prices.",
            zh: "各模型的 token 价格；优先于内置价格。",
        },
    },
    List {
        key: "gateway.models",
        help: Help {
            en: "What GET /v1/models tells where no upstream has a list; none: the models that were used.",
            zh: "上游没有模型列表时 GET /v1/models 返回的模型；未写时为用过的模型。",
        },
    },
    List {
        key: "gateway.key_names",
        help: Help {
            en: "What clients' keys are called in the panel, by the beginnings of their fingerprints.",
            zh: "客户端密钥在面板中的名称，按密钥指纹的开头指定。",
        },
    },
    List {
        key: "gateway.notify.targets",
        help: Help {
            en: "Who is told when something breaks: webhooks, chats, phones, mailboxes.",
            zh: "出现故障时通知谁：webhook、群聊机器人、手机推送、邮箱。",
        },
    },
];
