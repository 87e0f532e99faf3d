//! The boundaries of requests on a connection.
//!
//! The framework decodes every request in its read buffer and keeps them all until their turn. 128
//! KiB of short requests thereby take 35 MiB, and a busy loop while the client accepts no answer.
//! The socket therefore withholds the bytes of a request until the answer to the request before it
//! was sent.
//!
//! This is not a parser. The framework refuses what is malformed and then reads no further. Bytes
//! that the framework accepts are framed exactly as the framework frames them
//! (`requests_end_where_the_framework_ends_them`).

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE};

/// The form of the body behind a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http::frame) enum BodyForm {
    /// A body of this length in bytes.
    Sized(u64),
    /// A sequence of chunks, each with its length before it.
    Chunked,
}

impl BodyForm {
    /// Returns the form of the body that the framework reads behind a head it has accepted.
    pub(in crate::http::frame) fn of(method: &Method, headers: &HeaderMap) -> Self {
        // The framework accepts no other encoding, and none beside a length.
        if headers.contains_key(TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        let mut upgrades = headers.get_all(UPGRADE).filter_map(|value| value.to_str().ok());
        if upgrades.any(|value| value.trim().eq_ignore_ascii_case("websocket")) {
            return Self::ENDLESS;
        }
        let len = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match len.and_then(|len| len.trim().parse().ok()).unwrap_or(0) {
            0 if method == Method::CONNECT => Self::ENDLESS,
            len => Self::Sized(len),
        }
    }

    /// A body that ends with the connection.
    const ENDLESS: Self = Self::Sized(u64::MAX);
}

/// The position in a connection's requests of the bytes handed to the framework.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    /// True if the current request was answered.
    is_answered: bool,
    /// True if bytes wait for the current request to start or to be answered.
    is_holding: bool,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// A head: the length of the current line, and whether a line before it was not empty.
    Head { line_len: u64, has_line: bool },
    /// The end of a head whose body is not known yet.
    Behind,
    /// A body or its rest, in bytes.
    Sized(u64),
    /// The line before a chunk: the chunk's length, and whether more digits may follow.
    ChunkHead { len: u64, is_len: bool },
    /// A chunk or its rest, in bytes.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// The start of a line behind the last chunk.
    TrailerStart,
    /// A line behind the last chunk.
    Trailer,
    /// The line feed of such a line.
    TrailerEnd,
    /// The line feed of the empty line that ends the trailers.
    LastEnd,
    /// The end of a request.
    Whole,
}

const HEAD: Part = Part::Head { line_len: 0, has_line: false };

impl Framing {
    pub(super) const fn new() -> Self {
        Self { part: HEAD, is_answered: false, is_holding: false }
    }

    /// Starts the request of the last head. Returns true if bytes wait that may now be handed on.
    pub(super) fn begin(&mut self, body: BodyForm) -> bool {
        self.is_answered = false;
        self.part = match body {
            BodyForm::Sized(0) => Part::Whole,
            BodyForm::Sized(len) => Part::Sized(len),
            BodyForm::Chunked => Part::ChunkHead { len: 0, is_len: true },
        };
        self.is_holding && !matches!(self.part, Part::Whole)
    }

    /// Ends the current request, or lets it end with its body. Returns true if bytes wait that may
    /// now be handed on.
    pub(super) fn answered(&mut self) -> bool {
        self.is_answered = true;
        if !matches!(self.part, Part::Whole) {
            return false;
        }
        self.part = HEAD;
        self.is_holding
    }

    /// Returns the number of bytes that may be handed on now. The rest waits.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some((&byte, rest)) = bytes.get(taken..).and_then(<[u8]>::split_first) {
            taken += match &mut self.part {
                Part::Behind | Part::Whole => break,
                Part::Sized(left) | Part::Chunk(left) => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len() + 1);
                    *left -= len as u64;
                    len
                }
                _ => {
                    self.step(byte);
                    1
                }
            };
            match self.part {
                Part::Sized(0) => self.whole(),
                Part::Chunk(0) => self.part = Part::ChunkEnd,
                _ => {}
            }
        }
        self.is_holding = taken < bytes.len();
        taken
    }

    fn whole(&mut self) {
        self.part = if self.is_answered { HEAD } else { Part::Whole };
    }

    /// Advances by one byte of a part that consists of lines.
    fn step(&mut self, byte: u8) {
        match (&mut self.part, byte) {
            (Part::Head { line_len: 0, has_line: true }, b'\n') => self.part = Part::Behind,
            (Part::Head { line_len, has_line }, b'\n') => {
                *has_line |= *line_len > 0;
                *line_len = 0;
            }
            (Part::Head { line_len, .. }, byte) if byte != b'\r' => *line_len += 1,
            (Part::ChunkHead { len: 0, .. }, b'\n') => self.part = Part::TrailerStart,
            (Part::ChunkHead { len, .. }, b'\n') => self.part = Part::Chunk(*len),
            (Part::ChunkHead { len, is_len }, byte) => {
                match char::from(byte).to_digit(16).filter(|_| *is_len) {
                    Some(digit) => *len = len.saturating_mul(16).saturating_add(digit.into()),
                    None => *is_len = false,
                }
            }
            (Part::ChunkEnd, b'\n') => self.part = Part::ChunkHead { len: 0, is_len: true },
            // In trailers only a carriage return ends a line.
            (Part::TrailerStart, b'\r') => self.part = Part::LastEnd,
            (Part::TrailerStart, _) => self.part = Part::Trailer,
            (Part::Trailer, b'\r') => self.part = Part::TrailerEnd,
            (Part::TrailerEnd, _) => self.part = Part::TrailerStart,
            (Part::LastEnd, _) => self.whole(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_http::h1::{Codec, Message};
    use bytes::BytesMut;
    use tokio_util::codec::Decoder as _;

    use super::*;

    /// Takes the bytes in pieces of every length and compares the bytes taken before some wait.
    fn assert_taken(begin: impl Fn(&mut Framing), bytes: &str, expect: &str) {
        for piece_len in 1..=bytes.len() {
            let mut framing = Framing::new();
            begin(&mut framing);
            let mut taken = Vec::new();
            for piece in bytes.as_bytes().chunks(piece_len) {
                let len = framing.take(piece);
                taken.extend_from_slice(&piece[..len]);
                if len < piece.len() {
                    break;
                }
            }
            assert_eq!(String::from_utf8_lossy(&taken), expect, "in pieces of {piece_len}");
            assert_eq!(framing.take(b"x"), 0, "what follows waits");
        }
    }

    const HEADS: [&str; 8] = [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\n\n\r\nGET /a HTTP/1.1\nHost: x\n\n",
        "GET /a HTTP/1.0\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /a HTTP/1.0\r\nContent-Length:  0003\t\r\n\r\n\r\n\r",
        "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\ncontent-length: 4\r\n\r\nGET ",
        "CONNECT a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\n\n",
    ];

    const CHUNKS: [&str; 6] = [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "a;x=1\r\n\r\n0\r\n\r\n012\r\n1 \r\n\n\r\n000\r\na: b\r\nc: d\r\n\r\n",
        "A \t;\"\"\r\n0123456789\r\n0 \r\n\na\nb: \n\n\r\n\r\n",
        "0;a\r\n\n\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ];

    /// The requests above, and where the framework ends each.
    #[actix_web::test]
    async fn requests_end_where_the_framework_ends_them() {
        let chunked = "PUT /a HTTP/1.1\r\nTransfer-Encoding:  Chunked \r\nHost: x\r\n\r\n";
        let bodies = CHUNKS.iter().map(|chunks| format!("{chunked}{chunks}"));
        for request in HEADS.iter().map(|head| (*head).to_owned()).chain(bodies) {
            let next = "GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
            let mut left = BytesMut::from(format!("{request}{next}").as_bytes());
            let mut codec = Codec::default();
            let Ok(Some(Message::Item(head))) = codec.decode(&mut left) else {
                panic!("{request:?} is not a request");
            };
            let (head_len, body) = (
                request.len() + next.len() - left.len(),
                BodyForm::of(&head.head().method, &head.head().headers),
            );
            if body != BodyForm::Sized(0) {
                while !matches!(codec.decode(&mut left), Ok(Some(Message::Chunk(None)))) {
                    assert!(!left.is_empty(), "{request:?} does not end");
                }
            }
            assert_eq!(left, next, "behind {request:?}");
            let begin = |framing: &mut Framing| {
                assert_eq!(framing.take(request.as_bytes()), head_len, "the head of {request:?}");
                framing.begin(body);
            };
            assert_taken(|_| {}, &format!("{request}{next}"), &request[..head_len]);
            assert_taken(begin, &format!("{}{next}", &request[head_len..]), &request[head_len..]);
        }
    }

    #[actix_web::test]
    async fn heads_refused_by_the_framework_are_no_requests() {
        for head in [
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
            "PUT / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n 2\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\n",
            "PUT / HTTP/1.1\r\n\r\r\n\r\n",
        ] {
            let mut bytes = BytesMut::from(head.as_bytes());
            let decoded = Codec::default().decode(&mut bytes);
            assert!(!matches!(decoded, Ok(Some(_))), "{head:?}");
        }
    }

    #[actix_web::test]
    async fn bodies_without_an_end_are_endless() {
        for request in [
            "CONNECT a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nUpgrade: WebSocket\r\n\r\n",
        ] {
            let mut bytes = BytesMut::from(format!("{request}more").as_bytes());
            let mut codec = Codec::default();
            let Ok(Some(Message::Item(head))) = codec.decode(&mut bytes) else {
                panic!("{request:?} is not a request");
            };
            assert!(matches!(codec.decode(&mut bytes), Ok(Some(Message::Chunk(Some(_))))));
            assert_eq!(BodyForm::of(&head.head().method, &head.head().headers), BodyForm::ENDLESS);
        }
    }

    #[test]
    fn the_next_request_comes_after_the_answer_and_after_a_body_that_nobody_read() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let mut framing = Framing::new();
        for _ in 0..3 {
            assert_eq!(framing.take(head), head.len());
            assert_eq!(framing.take(head), 0, "before the first request starts");
            assert!(!framing.answered(), "nothing was asked");
            assert!(!framing.begin(BodyForm::Sized(0)), "there is no body to hand on");
            assert_eq!(framing.take(head), 0, "before the first answer");
            assert!(framing.answered(), "bytes wait");
        }
        assert_eq!(framing.take(head), head.len());
        assert!(!framing.begin(BodyForm::Sized(3)), "nothing waits");
        assert!(!framing.answered());
        assert_eq!(framing.take(b"abcGET / HTTP/1.1\r\n\r\nGET"), 3 + head.len());
        assert!(framing.begin(BodyForm::Sized(3)), "a body waits");
    }
}
