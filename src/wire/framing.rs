//! How large a head may be, and what it says of the body behind it.

/// The most header lines of a request: as many as hyper takes.
pub const MAX_HEADERS: usize = 100;

/// How large a head may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// First line, headers and line ends together.
    pub bytes: usize,
    /// Header lines.
    pub headers: usize,
}

impl Default for HeadLimits {
    /// The bounds of the contract: 32 KiB and [`MAX_HEADERS`].
    fn default() -> Self {
        Self {
            bytes: 32 * 1024,
            headers: MAX_HEADERS,
        }
    }
}

/// How a message's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes; never 0.
    Length(u64),
    /// Chunks.
    Chunked,
    /// A response that ends with its connection.
    UntilClose,
}

/// What a request's head says, for pairing it with the request that hyper makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadFacts {
    /// The request line and headers, with their line ends.
    pub bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// How the body is delimited.
    pub body: Framing,
    /// `Expect: 100-continue`, in HTTP/1.1.
    pub expects_continue: bool,
    /// An `Upgrade` header. What follows the head is read as HTTP/1 all the same.
    pub upgrade: bool,
}
