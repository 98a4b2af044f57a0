//! Every way a message can be refused before policy looks at it, each with its status, slug and one
//! sentence.
//!
//! The sentences hold nothing but what is written in this program: a refusal never repeats a byte
//! that the peer chose (no response splitting, no reflected script, A27). Who answers, closes and records is decided by the proxy.

/// A message that is ambiguous, invalid or past a bound. Small and `Copy`: refusing costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Two framings: the classic of request smuggling.
    #[error("content-length and transfer-encoding together")]
    LengthAndTransferEncoding,
    /// Also when the values agree: one of two readers may merge them and the other not.
    #[error("content-length more than once")]
    LengthTwice,
    /// Signs, blanks, hex, leading zeros, lists, or more digits than any body could need.
    #[error("content-length is not a plain decimal number")]
    Length,
    /// Anything but exactly one `chunked`.
    #[error("transfer-encoding is not exactly chunked")]
    TransferEncoding,
    /// HTTP/1.0 knows no transfer codings; some readers ignore it there.
    #[error("transfer-encoding in an http/1.0 message")]
    TransferEncodingBeforeHttp11,
    /// A line that ends with LF alone.
    #[error("a line that does not end with carriage return and line feed")]
    BareLineFeed,
    /// CR anywhere but before LF.
    #[error("a carriage return inside a line")]
    BareCarriageReturn,
    /// Obsolete line folding.
    #[error("a header continued on the next line")]
    FoldedLine,
    /// No colon, an empty name, a blank before the colon, or a byte no name may have.
    #[error("a header name that is not a token")]
    FieldName,
    /// NUL, CTL or DEL in a value; over HTTP/2 also a blank at its beginning or end.
    #[error("a control character in a header value, or a blank around it")]
    FieldValue,
    /// CGI and its heirs take `_` and `-` for one, so such a name may hide another.
    #[error("a header name with an underscore")]
    FieldUnderscore,
    /// A header or query key that asks for another method, path or host than the ones judged: see
    /// [`overrides`](super::overrides).
    #[error("{0} asks for another request than the one that is judged")]
    Override(&'static str),
    /// Slashes were merged in the path of a call that does more than read.
    #[error("an empty segment in the path")]
    TargetMerged,
    /// A header that decides something, given twice.
    #[error("a header more than once that may be given only once")]
    FieldTwice,
    /// `Connection` would make a hop remove a header that decides something.
    #[error("connection names a protected header")]
    ConnectionNamesProtected,
    /// `Connection` would make a hop remove a header that rules may read.
    #[error("connection names a header of the request")]
    ConnectionNamesField,
    /// `Connection` holds something that is no header name.
    #[error("connection is not a list of tokens")]
    Connection,
    /// Connection-specific headers do not exist in HTTP/2.
    #[error("a connection-specific header in http/2")]
    ConnectionSpecific,
    /// Not `METHOD SP target SP HTTP/x.y`; also HTTP/0.9, TLS and other protocols.
    #[error("the request line is not method, target and version")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("http version is not supported")]
    Version,
    /// A method nobody here knows; case counts.
    #[error("method is not known")]
    MethodUnknown,
    /// CONNECT and TRACE: the gate never tunnels or echoes.
    #[error("method is not allowed")]
    MethodForbidden,
    /// Neither `/…`, nor `http(s)://…`, nor `*` with OPTIONS; or a byte no target may have.
    #[error("the request target is not valid")]
    Target,
    /// Past `target::MAX_TARGET`.
    #[error("the request target is too long")]
    TargetTooLong,
    /// `#`: never sent by a client that follows the standard, dropped by some readers.
    #[error("a fragment in the request target")]
    TargetFragment,
    /// `%` without two hex digits.
    #[error("an invalid percent-encoding in the request target")]
    TargetEncoding,
    /// `%2f`, `%5c` or `\`.
    #[error("an encoded slash or a backslash in the path")]
    TargetSlash,
    /// `%252e` and its kind: a second decoding would see another path.
    #[error("a path that is percent-encoded twice")]
    TargetEncodedTwice,
    /// `;`, raw or encoded.
    #[error("path parameters")]
    TargetParameters,
    /// `..` past the root.
    #[error("a path that leaves the root")]
    TargetEscapesRoot,
    /// Decoded, the path or a judged query is not UTF-8.
    #[error("a target that does not decode to utf-8")]
    TargetUtf8,
    /// NUL or another control character, raw or encoded.
    #[error("a control character in the request target")]
    TargetControl,
    /// A judged query uses `;`, which some readers take for `&`.
    #[error("a semicolon in a query that policy reads")]
    QuerySemicolon,
    /// A judged key occurs twice, or beside a twin in another case or with brackets.
    #[error("a query key that policy reads is given more than once")]
    QueryTwice,
    /// No Host.
    #[error("host is missing")]
    HostMissing,
    /// Two Hosts, equal or not.
    #[error("host more than once")]
    HostTwice,
    /// Not `host` or `host:port`.
    #[error("host is not a name with an optional port")]
    HostSyntax,
    /// The target's authority and Host name different places.
    #[error("host differs from the authority in the request target")]
    HostMismatch,
    /// Well formed, but no tool API answers for this host.
    #[error("no tool api answers for this host")]
    Misdirected,
    /// Anything but `100-continue`.
    #[error("expectation cannot be met")]
    Expectation,
    /// The head did not end within its bound.
    #[error("the head is too large")]
    HeadTooLarge,
    /// The connection ended inside a head.
    #[error("the head is incomplete")]
    HeadIncomplete,
    /// More header lines than the bound.
    #[error("too many headers")]
    TooManyFields,
    /// More heads read ahead than the bound.
    #[error("too many pipelined requests")]
    Pipelined,
    /// Not plain hex digits, or too many of them.
    #[error("chunk size is not a plain hexadecimal number")]
    ChunkSize,
    /// Not the extension grammar of RFC 9112, or too long.
    #[error("chunk extension is not valid")]
    ChunkExtension,
    /// The bytes after a chunk's data are not CR LF.
    #[error("chunk data does not end where its size says")]
    ChunkEnd,
    /// A trailer that would mean something as a header.
    #[error("a trailer that may not be one")]
    TrailerForbidden,
    /// Trailers past their bound.
    #[error("trailers are too large")]
    TrailersTooLarge,
    /// The body is over its bound.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body ended before its framing said so.
    #[error("the body is shorter than announced")]
    BodyIncomplete,
    /// Head or body did not arrive in time.
    #[error("the request did not arrive in time")]
    TooSlow,
    /// A JSON member that a rule or a schema names has a twin in another case.
    #[error("a json member that policy names is given in two spellings")]
    MemberTwin,
    /// A multipart body that two readers could read differently.
    #[error("the multipart body is not valid")]
    Multipart,
    /// A form that two readers could read differently.
    #[error("the form is not valid")]
    Form,
    /// The body is not the JSON it must be.
    #[error("the body is not valid json")]
    Json,
    /// A content type the tool does not take, or none.
    #[error("the content type is not one that the tool takes")]
    MediaType,
    /// A charset other than UTF-8.
    #[error("charset is not utf-8")]
    Charset,
    /// A body that would have to be decoded before it could be judged.
    #[error("content encoding is not supported")]
    ContentEncoding,
    /// An upstream's status line that is none.
    #[error("the status line is not valid")]
    StatusLine,
    /// An upstream answers what was not asked.
    #[error("a response without a request")]
    Unsolicited,
    /// More interim responses than the bound.
    #[error("too many interim responses")]
    Informational,
    /// The upstream changes protocols unasked.
    #[error("the upstream switched protocols")]
    SwitchingProtocols,
    /// 204 or 1xx with a body.
    #[error("a body where the status allows none")]
    BodyNotAllowed,
}

impl Malformed {
    /// The HTTP status an agent gets.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MethodForbidden => 405,
            Self::TooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::MediaType | Self::Charset | Self::ContentEncoding => 415,
            Self::Expectation => 417,
            Self::Misdirected => 421,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            Self::MethodUnknown => 501,
            Self::Version => 505,
            Self::LengthAndTransferEncoding
            | Self::LengthTwice
            | Self::Length
            | Self::TransferEncoding
            | Self::TransferEncodingBeforeHttp11
            | Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::FoldedLine
            | Self::FieldName
            | Self::FieldValue
            | Self::FieldUnderscore
            | Self::FieldTwice
            | Self::Override(_)
            | Self::TargetMerged
            | Self::ConnectionNamesProtected
            | Self::ConnectionNamesField
            | Self::Connection
            | Self::ConnectionSpecific
            | Self::RequestLine
            | Self::Target
            | Self::TargetTooLong
            | Self::TargetFragment
            | Self::TargetEncoding
            | Self::TargetSlash
            | Self::TargetEncodedTwice
            | Self::TargetParameters
            | Self::TargetEscapesRoot
            | Self::TargetUtf8
            | Self::TargetControl
            | Self::QuerySemicolon
            | Self::QueryTwice
            | Self::HostMissing
            | Self::HostTwice
            | Self::HostSyntax
            | Self::HostMismatch
            | Self::HeadIncomplete
            | Self::Pipelined
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::TrailerForbidden
            | Self::BodyIncomplete
            | Self::MemberTwin
            | Self::Multipart
            | Self::Form
            | Self::Json
            | Self::StatusLine
            | Self::Unsolicited
            | Self::Informational
            | Self::SwitchingProtocols
            | Self::BodyNotAllowed => 400,
        }
    }

    /// The problem slug of the contract.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self.status() {
            413 => "too-large",
            415 => "unsupported",
            _ => "malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_status_and_slug_of_the_contract() {
        for (reason, status, slug) in [
            (Malformed::Length, 400, "malformed"),
            (Malformed::MethodForbidden, 405, "malformed"),
            (Malformed::BodyTooLarge, 413, "too-large"),
            (Malformed::Charset, 415, "unsupported"),
            (Malformed::Misdirected, 421, "malformed"),
            (Malformed::Version, 505, "malformed"),
        ] {
            assert_eq!((reason.status(), reason.slug()), (status, slug), "{reason}");
        }
        assert_eq!(
            Malformed::LengthAndTransferEncoding.to_string(),
            "content-length and transfer-encoding together"
        );
    }
}
