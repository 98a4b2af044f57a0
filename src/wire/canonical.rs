//! The one spelling of a JSON value, and the digest that an approval is bound to.
//!
//! RFC 8785, with one difference: a number keeps its exact decimal value instead of the nearest
//! binary64, laid out as ECMAScript would, so that 9007199254740993 and 9007199254740992 are two
//! different calls. Everything else that may vary in spelling (member order, whitespace, escapes,
//! 1.0 or 1) does not change a digest, and everything that changes the meaning does (G4). Which
//! calls need an approval is decided elsewhere.

mod number;

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::gate::approval::{BoundHeader, BoundTo};
use crate::gate::digest::Digest;
use crate::gate::json::Json;

/// Appends the canonical spelling of `json`. Depth is bounded by the reader that made it.
pub fn write(json: &Json<'_>, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(text) => number::write(text, out),
        Json::String(text) => write_string(text, out),
        Json::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                separate(at, out);
                write(element, out);
            }
            out.push(b']');
        }
        Json::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &[(Cow<'_, str>, Json<'_>)], out: &mut Vec<u8>) {
    // RFC 8785 section 3.2.3 orders by UTF-16 code units; byte order differs from it where a
    // supplementary character meets U+E000..U+FFFF.
    let mut ordered: SmallVec<[&(Cow<'_, str>, Json<'_>); 16]> = members.iter().collect();
    ordered.sort_unstable_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
    out.push(b'{');
    for (at, (name, value)) in ordered.into_iter().enumerate() {
        separate(at, out);
        write_string(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = text.as_bytes();
    while let Some(at) = plain
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
    {
        let (before, after) = plain.split_at(at);
        out.extend_from_slice(before);
        let (special, after) = match after {
            [special, after @ ..] => (*special, after),
            [] => break,
        };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            control => {
                let digit = control & 0xf;
                out.extend_from_slice(b"\\u00");
                out.push(b'0' + (control >> 4));
                out.push(if digit < 10 {
                    b'0' + digit
                } else {
                    b'a' + digit - 10
                });
            }
        }
        plain = after;
    }
    out.extend_from_slice(plain);
    out.push(b'"');
}

/// What an approval is given for: exactly this call. Not in it, on purpose: run, policy version,
/// other headers and `_meta`, which may differ between the call that was held and its repeat.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a> {
    /// The workflow that asks.
    pub workflow: &'a str,
    /// The identity that asks.
    pub agent: &'a str,
    /// The tool API.
    pub api: &'a str,
    /// Where it is: an API that was pointed elsewhere is another call.
    pub upstream: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// What the tool was when the person looked at it.
    pub definition: &'a Digest,
    /// The HTTP or JSON-RPC method.
    pub method: &'a str,
    /// The canonical target, with its query.
    pub target: &'a str,
    /// Type, coding, headers and credentials.
    pub bound: &'a BoundTo,
    /// The body, or the arguments of an MCP call.
    pub body: Body<'a>,
}

/// What a call carries.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// Nothing, which is not `null`.
    None,
    /// JSON, by its value.
    Json(&'a Json<'a>),
    /// A multipart body, by the description of its parts, which no boundary is in.
    Parts(&'a str),
    /// Anything else, by its bytes.
    Bytes(&'a [u8]),
}

/// SHA-256 over the canonical JSON of [workflow, agent, api, upstream, tool, tool-definition
/// digest, method, target, media type, coding, headers, credentials, body].
///
/// What is absent is `null`; headers are an object of lists. The array has twelve elements without a
/// body, thirteen with JSON, and fourteen with bytes or parts (the tag `bytes` or `parts`, then a SHA-256),
/// so that no JSON body can be mistaken for another kind.
#[must_use]
pub fn approval_digest(subject: &Approved<'_>) -> Digest {
    let mut text = Vec::with_capacity(512);
    let definition = subject.definition.to_string();
    let Approved {
        workflow,
        agent,
        api,
        upstream,
        tool,
        definition: _,
        method,
        target,
        bound,
        body,
    } = *subject;
    text.push(b'[');
    for (at, field) in [
        workflow,
        agent,
        api,
        upstream,
        tool,
        &definition,
        method,
        target,
    ]
    .into_iter()
    .enumerate()
    {
        separate(at, &mut text);
        write_string(field, &mut text);
    }
    let credentials = bound.credentials.map(|holder| holder.to_string());
    for written in [&bound.media_type, &bound.coding] {
        text.push(b',');
        write_optional(written.as_deref(), &mut text);
    }
    text.extend_from_slice(b",{");
    for (at, BoundHeader { name, values }) in bound.headers.iter().enumerate() {
        separate(at, &mut text);
        write_string(name, &mut text);
        text.extend_from_slice(b":[");
        for (at, value) in values.iter().enumerate() {
            separate(at, &mut text);
            write_string(value, &mut text);
        }
        text.push(b']');
    }
    text.extend_from_slice(b"},");
    write_optional(credentials.as_deref(), &mut text);
    match body {
        Body::None => {}
        Body::Json(json) => {
            text.push(b',');
            write(json, &mut text);
        }
        Body::Parts(described) => {
            text.extend_from_slice(b",\"parts\",");
            write_string(&digest(described.as_bytes()).to_string(), &mut text);
        }
        Body::Bytes(bytes) => {
            text.extend_from_slice(b",\"bytes\",");
            write_string(&digest(bytes).to_string(), &mut text);
        }
    }
    text.push(b']');
    digest(&text)
}

/// SHA-256 of these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
