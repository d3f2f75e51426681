//! Why a TLS handshake with an upstream failed.

use crate::language::Language;
use serde::{Deserialize, Serialize};

/// Why the other side of a handshake is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsFault {
    /// Its certificate has expired.
    Expired,
    /// Its certificate begins later.
    NotYetValid,
    /// Its certificate is for another name.
    OtherName,
    /// Nobody whom this machine trusts has signed its certificate.
    UnknownIssuer,
    /// Its certificate is an authority's, and vouches for itself.
    SelfSigned,
    /// Its certificate is wrong in another way.
    Invalid,
    /// It does not speak TLS.
    NotTls,
}

impl TlsFault {
    /// Whether it is its certificate that is wrong.
    pub fn is_of_certificate(self) -> bool {
        self != Self::NotTls
    }

    /// What is wrong, as a clause. Others than the operator learn it too.
    pub fn what(self, language: Language) -> &'static str {
        let (english, chinese) = match self {
            Self::Expired => ("its certificate has expired", "它的证书已过期"),
            Self::NotYetValid => ("its certificate is not valid yet", "它的证书尚未生效"),
            Self::OtherName => ("its certificate is for another name", "它的证书属于另一个域名"),
            Self::UnknownIssuer => {
                ("its certificate was issued by nobody whom this machine trusts", "它的证书由本机不信任的机构签发")
            }
            Self::SelfSigned => ("its certificate is self-signed", "它的证书是自签名的"),
            Self::Invalid => ("its certificate is not valid", "它的证书无效"),
            Self::NotTls => ("it does not speak TLS", "它不支持 TLS"),
        };
        match language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// What to do, as a clause.
    pub(super) fn cure(self, language: Language) -> &'static str {
        let (english, chinese) = match self {
            Self::Expired => (
                "it has to be renewed there, unless this machine's clock is wrong",
                "需由对方更新证书，也可能是本机时间不准",
            ),
            Self::NotYetValid => ("check this machine's clock", "请检查本机时间"),
            Self::OtherName => {
                ("check base_url, or set sni to the name that it is for", "请检查 base_url，或把 sni 设为证书上的域名")
            }
            Self::UnknownIssuer => (
                "set ca_file to its authority's certificate if it is one of yours; else somebody may listen in between",
                "如果签发机构是你自己的，请把 ca_file 设为它的证书；否则中间可能有人窃听",
            ),
            Self::SelfSigned => (
                "set ca_file to it if it is yours; else somebody may listen in between",
                "如果证书是你自己的，请把 ca_file 设为该证书；否则中间可能有人窃听",
            ),
            Self::Invalid => {
                ("check base_url; else it has to be replaced there", "请检查 base_url；如果没有写错，需由对方更换证书")
            }
            Self::NotTls => ("check scheme and port of base_url", "请检查 base_url 的协议和端口"),
        };
        match language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }
}
